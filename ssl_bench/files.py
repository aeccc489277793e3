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


def replace_file(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` make a temporary file in the same folder, then put it in place of ``path`` in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(part)
        with part.open("rb") as handle:
            os.fsync(handle.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


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
    except (OSError, ValueError) as error:
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
