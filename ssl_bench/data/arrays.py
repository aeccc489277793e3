"""The ``.npz`` form of a dataset: ``train_images``, ``train_labels``, ``test_images``, ``test_labels``; no pickle."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ssl_bench.data.images import ImageData, Split
from ssl_bench.data.source import Source
from ssl_bench.errors import UserError
from ssl_bench.files import given_path, replace_file
from ssl_bench.memory import available_memory

NEEDED = ("train_images", "train_labels", "test_images", "test_labels")


class Arrays(Source):
    """One's own images: ``dataset=arrays dataset.file=FILE``, a ``.npz`` file as :func:`read_arrays` wants it."""

    file: str

    def load(self, roots: Sequence[Path], *, download: bool) -> ImageData:
        """See :meth:`Source.load`; ``roots`` are not looked at."""
        return read_arrays(given_path(self.file, "dataset.file"), "arrays")


def read_arrays(path: Path, name: str, classes: int | None = None) -> ImageData:
    """The dataset in a ``.npz`` file: uint8 images ``(N, H, W, C)`` or ``(N, H, W)``, integer labels ``(N,)`` from 0.

    Args:
        path: The file.
        name: The name the dataset goes by.
        classes: Number of classes; by default one more than the largest training label, every class being present.

    Raises: UserError that names the file if it is not there, cannot be read or does not hold these arrays.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    try:
        _check_size(path)
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in NEEDED}
    except UserError:
        raise
    except KeyError as error:
        raise UserError(f"{path}: {error.args[0]}; it must hold {', '.join(NEEDED)}") from error
    except Exception as error:  # a broken zip, deflate stream or array header raises a dozen different types
        raise UserError(f"{path}: not readable as a .npz without pickle: {type(error).__name__}: {error}") from error
    for part in ("train", "test"):
        _check_part(path, part, arrays[f"{part}_images"], arrays[f"{part}_labels"])
    # Taken out, so that only one part is in memory twice.
    train, test = (to_split(arrays.pop(f"{part}_images"), arrays.pop(f"{part}_labels")) for part in ("train", "test"))
    if train.images.shape[1:] != test.images.shape[1:]:
        sizes = f"{tuple(train.images.shape[1:])} and {tuple(test.images.shape[1:])}"
        raise UserError(f"{path}: training and test images differ in (C, H, W): {sizes}")
    if classes is None:
        classes = _count_classes(path, train)
    highest = max(int(train.labels.max()), int(test.labels.max()))
    if highest >= classes:
        raise UserError(f"{path}: label {highest} is outside 0..{classes - 1}")
    return ImageData(name, train, test, classes)


def write_arrays(path: Path, data: ImageData) -> None:
    """Write a dataset in the form that :func:`read_arrays` reads; the file is there whole or not at all.

    Raises: OSError if the place cannot be written to.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for part, split in (("train", data.train), ("test", data.test)):
        arrays[f"{part}_images"] = split.images.permute(0, 2, 3, 1).numpy()
        arrays[f"{part}_labels"] = split.labels.numpy()

    def write(part: Path) -> None:
        with part.open("wb") as stream:  # given a path, numpy would append an ending of its own
            np.savez(stream, allow_pickle=False, **arrays)

    replace_file(path, write)


def to_split(images: NDArray[np.uint8], labels: NDArray[Any]) -> Split:
    """Arrays in the order of image files as tensors in the order of networks.

    Shapes: images ``(N, H, W, C)`` or ``(N, H, W)``, labels ``(N,)`` -> ``(N, C, H, W)`` and int64 ``(N,)``.
    """
    pixels = torch.from_numpy(images if images.ndim == 4 else images[..., None])
    return Split(pixels.permute(0, 3, 1, 2).contiguous(), torch.from_numpy(labels.astype(np.int64)))


def _check_size(path: Path) -> None:
    """Refuse what unpacks to more than there is memory, and arrays that claim to be larger than they are.

    A few kilobytes may be made to unpack to terabytes; and an array is allocated by what its header says.

    Raises: UserError; whatever a broken archive makes zipfile and numpy raise.
    """
    with zipfile.ZipFile(path) as archive:
        parts = [part for part in archive.infolist() if part.filename.removesuffix(".npy") in NEEDED]
        unpacked, available = sum(part.file_size for part in parts), available_memory()
        if available is not None and unpacked > available:
            raise UserError(
                f"{path}: unpacks to {unpacked / 1e9:,.1f} GB, and {available / 1e9:,.1f} GB of memory are free: "
                "make it smaller, or use dataset=folder, which keeps images on disk"
            )
        for part in parts:
            with archive.open(part) as stream:
                version = np.lib.format.read_magic(stream)
                read_header = (
                    np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                )
                shape, _, dtype = read_header(stream)
            if prod(shape) * dtype.itemsize > part.file_size:
                raise UserError(
                    f"{path}: {part.filename} says that it is {shape}, more than its {part.file_size:,} bytes"
                )


def _check_part(path: Path, part: str, images: NDArray[Any], labels: NDArray[Any]) -> None:
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        got = f"{images.dtype} {images.shape}"
        raise UserError(f"{path}: {part}_images must be uint8 (N, H, W, C) or (N, H, W), not {got}")
    if not np.issubdtype(labels.dtype, np.integer) or labels.ndim != 1:
        raise UserError(f"{path}: {part}_labels must be integers (N,), not {labels.dtype} {labels.shape}")
    if len(images) != len(labels):
        raise UserError(f"{path}: {len(images)} {part}_images but {len(labels)} {part}_labels")
    if not images.size:
        raise UserError(f"{path}: {part}_images is empty: {images.shape}")
    if labels.min() < 0:
        raise UserError(f"{path}: {part}_labels holds {labels.min()}: number the classes from 0")


def _count_classes(path: Path, train: Split) -> int:
    present = torch.unique(train.labels)
    if len(present) != int(present[-1]) + 1:
        absent = int((present != torch.arange(len(present))).nonzero()[0])
        raise UserError(
            f"{path}: train_labels go up to {int(present[-1])} but never are {absent}: "
            "number the classes from 0 without gaps"
        )
    return len(present)
