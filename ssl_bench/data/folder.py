"""A folder of image files, one folder a class."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from pydantic import Field

from ssl_bench.config import LARGEST_IMAGE
from ssl_bench.data.broken import leave_out_broken
from ssl_bench.data.decoded import Sample, decoded
from ssl_bench.data.images import ImageData
from ssl_bench.data.load import stratified_index
from ssl_bench.data.source import Source
from ssl_bench.errors import UserError
from ssl_bench.files import given_path

ENDINGS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})


class Folder(Source):
    """One's own image files: ``dataset=folder dataset.file=DIR dataset.image_size=N``.

    ``DIR/train/CLASS/*`` with ``DIR/test/CLASS/*`` (or ``val``) if both are there; else ``DIR/CLASS/*``, of which
    ``test_share`` is put aside for testing, stratified, always the same. Classes are numbered in the order of their
    names. Images become RGB and are cut square as :func:`fit_square` does, once: decoded images are kept in the user's
    cache, and read from there as long as the files are the same.

    A file that cannot be decoded (:func:`decode_image`) is an error that names it. With ``skip_broken`` it is left out
    as if it were not there, and counted: ``skipped_files`` of the dataset's details, and part of its fingerprint.
    """

    file: str
    image_size: int = Field(ge=1, le=LARGEST_IMAGE)
    test_share: float = Field(0.2, gt=0, le=0.5)
    skip_broken: bool = False

    def load(self, roots: Sequence[Path], *, download: bool) -> ImageData:
        """See :meth:`Source.load`; ``roots`` are not looked at."""
        folder = given_path(self.file, "dataset.file").resolve()
        try:
            return self._load(folder)
        except OSError as error:
            raise UserError(f"{error.filename or folder}: cannot be read: {error.strerror or error}") from error

    def _load(self, folder: Path) -> ImageData:
        if not folder.is_dir():
            raise UserError(f"dataset.file: there is no folder {folder}")
        place = f"{folder} {self.image_size} {self.test_share}{' skip_broken' if self.skip_broken else ''}"
        held_out = next((folder / name for name in ("test", "val") if (folder / name).is_dir()), None)
        if (folder / "train").is_dir() and held_out is not None:
            names = _class_names(folder / "train")
            _check_names(held_out, names)
            train, test = _samples(folder / "train", names), _samples(held_out, names)
            listed = len(train) + len(test)
            train, test = self._usable(train, f"{place} train"), self._usable(test, f"{place} test")
            _check_classes(folder / "train", train, names)
        else:
            names = _class_names(folder)
            samples = _samples(folder, names)
            listed = len(samples)
            train, test = _divide(self._usable(samples, place), names, self.test_share)
        data = decoded("folder", train, test, names, self.image_size, place)
        skipped = listed - len(train) - len(test)
        return replace(data, details={**data.details, "skipped_files": skipped}) if self.skip_broken else data

    def _usable(self, samples: list[Sample], place: str) -> list[Sample]:
        return leave_out_broken(samples, self.image_size, place) if self.skip_broken else samples


def _class_names(folder: Path) -> list[str]:
    for item in folder.iterdir():
        if item.is_symlink() and not item.exists():
            raise UserError(f"{item}: this link leads nowhere: mend or delete it")
    names = sorted(item.name for item in folder.iterdir() if item.is_dir() and not item.name.startswith("."))
    if len(names) < 2:
        raise UserError(f"{folder}: must hold one folder a class, at least two; found {len(names)}")
    return names


def _check_names(folder: Path, known: Sequence[str]) -> None:
    for name in _class_names(folder):
        if name not in known:
            raise UserError(f"{folder / name}: this class has no folder in train")


def _samples(folder: Path, names: Sequence[str]) -> list[Sample]:
    """Every image file with its class, sorted, so that the order does not depend on the file system."""
    samples: list[Sample] = []
    for label, name in enumerate(names):
        if not (folder / name).is_dir():
            continue
        with os.scandir(folder / name) as items:
            files = sorted(item.name for item in items if _is_image(item))
        if not files:
            endings = ", ".join(sorted(ending[1:] for ending in ENDINGS))
            raise UserError(f"{folder / name}: this class folder holds no images ({endings})")
        samples += [(os.path.join(folder, name, file), label) for file in files]
    return samples


def _is_image(item: os.DirEntry[str]) -> bool:
    """Whether it is called an image; a link that leads nowhere is, so that it is named and not passed over."""
    ending = os.path.splitext(item.name)[1].lower()
    return ending in ENDINGS and not item.name.startswith(".") and not os.path.isdir(item.path)


def _check_classes(folder: Path, samples: Sequence[Sample], names: Sequence[str]) -> None:
    there = {label for _, label in samples}
    for label, name in enumerate(names):
        if label not in there:
            raise UserError(f"{folder / name}: no image of this class can be used")


def _divide(samples: Sequence[Sample], names: Sequence[str], share: float) -> tuple[list[Sample], list[Sample]]:
    """Training and test samples of one pool; every class keeps at least one image to train on."""
    labels = torch.tensor([label for _, label in samples], dtype=torch.int64)
    for name, count in zip(names, torch.bincount(labels, minlength=len(names)).tolist(), strict=True):
        if count < 2:
            many = "one image" if count else "no image that can be used"
            raise UserError(f"class {name!r} has {many}: it takes two to train on one and test on another")
    chosen = set(stratified_index(labels, max(1, int(len(samples) * share))).tolist())
    train = [sample for position, sample in enumerate(samples) if position not in chosen]
    return train, [samples[position] for position in sorted(chosen)]
