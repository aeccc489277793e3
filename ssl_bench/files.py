"""Files that are whole or not there: written beside, flushed to disk, then renamed.

Tensors, and JSON that is asked to, carry the hash of what they say, so that a byte that changed later is seen.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl_bench.errors import NotWritten, UserError

if TYPE_CHECKING:
    from torch import Tensor

# The key of a hash, in JSON and in the header of a safetensors file.
SEAL = "sha256"


def given_path(text: str, where: str) -> Path:
    """A path that a user gave, ``~`` expanded, whether or not anything is there.

    Raises: UserError, which says ``where`` it was given, if nothing could be there: no such home, a name too long,
        links in a circle.
    """
    try:
        path = Path(text).expanduser()
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(f"{where}={text}: {getattr(error, 'strerror', None) or error}") from error
    return path


def replace_file(path: Path, write: Callable[[Path], None], name: Callable[[Path], str] | None = None) -> Path:
    """Let ``write`` make a temporary file in the same folder, then put it in place of ``path`` in one step.

    Both the file and its place in the folder are on disk before this returns.

    Args:
        path: The file.
        write: Makes the temporary file.
        name: Names the file by what was written, where its own name shall not be that of ``path``.

    Returns: The file.

    Raises: NotWritten if the disk is full or may not be written to.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(part)
        flush(part)
        path = path.with_name(name(part)) if name is not None else path
        os.replace(part, path)
        flush(path.parent)
    except OSError as error:
        raise NotWritten(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return path


def flush(path: Path) -> None:
    """Bring a file, or a folder's list of files, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Replace a text file in one step."""

    def write(part: Path) -> None:
        part.write_text(text, encoding="utf-8")

    replace_file(path, write)


def write_json(path: Path, value: Any, *, sealed: bool = False) -> None:
    """Replace a JSON file in one step. NaN and infinity are refused: they are not JSON.

    ``sealed`` adds the hash of all that it says, which :func:`read_json` checks and takes away.
    """
    value = {**value, SEAL: _digest(value)} if sealed else value
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises: UserError if it is not there, not a JSON object, or not what was written.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        whole = not isinstance(value, dict) or value.pop(SEAL, None) in (None, _digest(value))
    except FileNotFoundError as error:
        raise UserError(f"{path} is not there") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} does not hold a JSON object")
    if not whole:
        raise UserError(f"{path} is damaged: it does not say what was written")
    return value


def _digest(value: Mapping[str, Any]) -> str:
    """The hash of JSON, however it is laid out."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, allow_nan=False).encode()).hexdigest()


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Replace a safetensors file in one step. Tensors are copied to the CPU; shared storage is written twice."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}

    def write(part: Path) -> None:
        try:
            save_file(plain, part, metadata={SEAL: _digest_of_tensors(plain)})
        except SafetensorError as error:  # which hides what the system said
            raise OSError(str(error)) from error

    replace_file(path, write)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises: UserError if it is not there or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            seal = (file.metadata() or {}).get(SEAL)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error
    if seal not in (None, _digest_of_tensors(tensors)):
        raise UserError(f"{path} is damaged: its tensors are not what was written")
    return tensors


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file; none where it is not there or damaged."""
    try:
        return read_tensors(path)
    except UserError:
        return {}


def seal_of_tensors(path: Path) -> str | None:
    """The hash of what was written to a safetensors file, as its header says; ``None`` where it does not."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return (file.metadata() or {}).get(SEAL)
    except (OSError, SafetensorError):
        return None


def _digest_of_tensors(tensors: Mapping[str, Tensor]) -> str:
    """The hash of names, types, shapes and numbers."""
    import torch

    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def cache_folder() -> Path:
    """Where what was computed from datasets is kept: ``$XDG_CACHE_HOME/ssl_bench``, by default in ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ssl_bench"
