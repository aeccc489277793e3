"""Image files decoded once, into a file of the user's cache that is mapped: nothing is read until it is used."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import time
import warnings
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor

from ssl_bench import terminal
from ssl_bench.data.decoding import CHUNK, decode_files
from ssl_bench.data.images import ImageData, Split, Statistics, counted
from ssl_bench.errors import UserError
from ssl_bench.files import cache_folder, read_json, replace_file, write_json

# Part of what decoded files are known by: to be raised with the rules of decoding.
RULE = "decoded/2"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# A file that was not written to for so long is what a kill left of it.
ABANDONED_SECONDS = 3600

Sample = tuple[str, int]


@dataclass(frozen=True)
class MappedData(ImageData):
    """Images mapped from a file. What takes reading all of them is computed once, and kept beside it.

    ``written`` is when the file was, in nanoseconds: what is kept is of those images and no others.
    """

    file: Path = Path()
    written: int = 0

    @cached_property
    def fingerprint(self) -> str:
        """See :attr:`ImageData.fingerprint`."""
        return counted(str(self._known["fingerprint"]), self.details)

    @cached_property
    def statistics(self) -> Statistics:
        """See :attr:`ImageData.statistics`."""
        return Statistics(tuple(self._known["mean"]), float(self._known["std"]))

    @cached_property
    def _known(self) -> dict[str, Any]:
        beside = self.file.with_suffix(".json")
        with contextlib.suppress(UserError):
            known = read_json(beside)
            if known.get("written") == self.written:
                return known
        plain = ImageData(self.name, self.train, self.test, self.classes)
        statistics = {"mean": list(plain.statistics.mean), "std": plain.statistics.std}
        known = {"written": self.written, "fingerprint": plain.fingerprint, **statistics}
        with contextlib.suppress(OSError):
            write_json(beside, known)
        return known


def decoded(
    name: str, train: Sequence[Sample], test: Sequence[Sample], classes: Sequence[str], size: int, place: str
) -> ImageData:
    """A dataset of image files, decoded if these files were not before.

    Args:
        name: The name the dataset goes by.
        train: Paths and labels of the training images.
        test: Paths and labels of the test images.
        classes: Names of the classes.
        size: Side of the images in pixels.
        place: Says where the files lie and how they were chosen: what was decoded of that place before is replaced.

    Raises: UserError for a file that cannot be decoded, or if the cache has no room for the images.
    """
    files = [path for path, _ in (*train, *test)]
    labels = torch.tensor([label for _, label in (*train, *test)])
    stem = f"images_{hashlib.sha256(os.fsencode(place)).hexdigest()[:8]}"
    file = cache_folder() / f"{stem}_{_key(train, test, classes, size)}.npy"
    images, written = _images(file, stem, files, size)
    count = len(train)
    splits = Split(images[:count], labels[:count]), Split(images[count:], labels[count:])
    about: dict[str, object] = {"class_names": list(classes)}
    if written is None:
        return ImageData(name, *splits, len(classes), about)
    return MappedData(name, *splits, len(classes), about, file, written)


def _images(file: Path, stem: str, files: Sequence[str], size: int) -> tuple[Tensor, int | None]:
    """The images of a decoded file, made if need be, and when; in memory where the cache cannot be used."""
    shape = (len(files), 3, size, size)
    with contextlib.suppress(OSError, ValueError, EOFError):  # it is not there, or damaged
        return _map(file, shape)
    try:
        replace_file(file, lambda part: _write(part, shape, files))
        mapped = _map(file, shape)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise _no_room(file.parent, prod(shape)) from error
        terminal.console().print(
            f"{file.parent} cannot be used ({error.strerror or error}): images are decoded at every start",
            soft_wrap=True,
        )
    else:
        with contextlib.suppress(OSError):
            _sweep(file, stem)
        return mapped
    images = torch.empty(shape, dtype=torch.uint8)
    for part, pixels in zip(torch.split(images, CHUNK), _watched(files, size), strict=True):
        part.copy_(torch.from_numpy(pixels))
    return images, None


def _map(file: Path, shape: tuple[int, ...]) -> tuple[Tensor, int]:
    """A file's images, and when it was written.

    Raises: OSError, ValueError, EOFError if it is not there, or not whole.
    """
    status = file.stat()
    images = np.load(file, mmap_mode="r", allow_pickle=False)
    if images.shape != shape or images.dtype != np.uint8 or images.offset + images.nbytes != status.st_size:
        raise ValueError(f"{file}: {images.dtype} {images.shape} in {status.st_size} bytes")
    with warnings.catch_warnings():
        # That it cannot be written to. One that can, copied on write, counts as memory that may be needed, and is
        # refused where there is less of that than images.
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(images), status.st_mtime_ns


def _write(part: Path, shape: tuple[int, ...], files: Sequence[str]) -> None:
    if shutil.disk_usage(part.parent).free < prod(shape):
        raise _no_room(part.parent, prod(shape))
    with part.open("wb") as stream, contextlib.closing(_watched(files, shape[-1])) as decoding:
        np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for pixels in decoding:
            stream.write(pixels.data)


def _watched(files: Sequence[str], size: int) -> Generator[NDArray[np.uint8], None, None]:
    """Pixels of files as they are decoded, behind a progress bar on a terminal."""
    console = terminal.console()
    title, total = f"decoding {len(files):,} images", -(-len(files) // CHUNK)
    quiet = not terminal.shows_bars()
    with contextlib.closing(decode_files(files, size)) as decoding:
        # Processes are started before there is a thread that draws, which a fork would stop halfway.
        first = list(islice(decoding, 1))
        yield from track(chain(first, decoding), title, total, console=console, transient=True, disable=quiet)


def _no_room(folder: Path, needed: int) -> UserError:
    free = shutil.disk_usage(folder).free
    return UserError(
        f"the decoded images take {needed / 1e9:.1f} GB, and {folder} has {free / 1e9:.1f} GB left: make room, set "
        "XDG_CACHE_HOME to a folder that has it, or choose a smaller dataset.image_size"
    )


def _sweep(file: Path, stem: str) -> None:
    """Delete what was decoded of the same place before. Who has mapped it keeps it."""
    for other in file.parent.glob(f"{stem}_*"):
        if other.stem != file.stem:
            other.unlink(missing_ok=True)
    for part in file.parent.glob(f".{stem}_*.part"):
        if time.time() - part.stat().st_mtime > ABANDONED_SECONDS:
            part.unlink(missing_ok=True)


def _key(train: Sequence[Sample], test: Sequence[Sample], classes: Sequence[str], size: int) -> str:
    """A hash of all that decides the decoded images: rule, size, classes, and the files, by name, size and time.

    Raises: UserError if a file is gone since it was listed.
    """
    digest = hashlib.sha256(os.fsencode(repr((RULE, size, len(train), list(classes)))))
    for path, label in (*train, *test):
        try:
            status = os.stat(path)
        except OSError as error:
            raise UserError(f"{path}: not readable: {error.strerror}") from error
        digest.update(os.fsencode(f"{label} {status.st_size} {status.st_mtime_ns} {path}\n"))
    return digest.hexdigest()[:16]
