"""Files that are whole or not there: written beside, flushed to disk, then renamed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl_bench.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor


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
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(part)
        _flush(part)
        path = path.with_name(name(part)) if name is not None else path
        os.replace(part, path)
        _flush(path.parent)
    finally:
        part.unlink(missing_ok=True)
    return path


def _flush(path: Path) -> None:
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


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file in one step. NaN and infinity are refused: they are not JSON."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises: UserError if it is not there or not a JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path} is not there") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} does not hold a JSON object")
    return value


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Replace a safetensors file in one step. Tensors are copied to the CPU; shared storage is written twice."""
    from safetensors.torch import save_file

    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    replace_file(path, lambda part: save_file(plain, part))


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file; none where it is not there or damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError):
        return {}
