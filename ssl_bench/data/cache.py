"""What was computed from datasets, kept in the user's cache."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ssl_bench.errors import UserError
from ssl_bench.files import cache_folder, read_tensors, save_tensors

if TYPE_CHECKING:
    from torch import Tensor

# Bytes of tensors kept; the eigenbasis of CIFAR-10 has 75 million, and each of its projections has one.
ROOM = 10 * 2**30


def cached(name: str, compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Tensors kept in the user's cache under a name that says all they depend on; computed where they are not there.

    A cache that cannot be read or written costs time, not results.
    """
    file = cache_folder() / f"{name}.safetensors"
    try:
        tensors = read_tensors(file)
    except UserError:
        tensors = compute()
        with contextlib.suppress(OSError):
            save_tensors(file, tensors)
            _make_room(file.parent)
    else:
        with contextlib.suppress(OSError):
            os.utime(file)
    return tensors


def _make_room(folder: Path) -> None:
    """Delete the tensors used least recently, where there are too many. Who has loaded them keeps them."""
    kept = 0
    files = {file: file.stat() for file in folder.glob("*.safetensors")}
    for file in sorted(files, key=lambda file: files[file].st_mtime_ns, reverse=True):
        kept += files[file].st_size
        if kept > ROOM:
            file.unlink(missing_ok=True)
