"""A folder of image files, one folder a class."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from pydantic import Field

from ssl_bench.data.decoded import Sample, decoded
from ssl_bench.data.images import ImageData
from ssl_bench.data.load import stratified_index
from ssl_bench.data.source import Source
from ssl_bench.errors import UserError

ENDINGS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})


class Folder(Source):
    """One's own image files: ``dataset=folder dataset.file=DIR dataset.image_size=N``.

    ``DIR/train/CLASS/*`` with ``DIR/test/CLASS/*`` (or ``val``) if both are there; else ``DIR/CLASS/*``, of which
    ``test_share`` is put aside for testing, stratified, always the same. Classes are numbered in the order of their
    names. Images become RGB and are cut square as :func:`fit_square` does, once: decoded images are kept in the user's
    cache, and read from there as long as the files are the same.
    """

    file: str
    image_size: int = Field(ge=1)
    test_share: float = Field(0.2, gt=0, le=0.5)

    def load(self, roots: Sequence[Path], *, download: bool) -> ImageData:
        """See :meth:`Source.load`; ``roots`` are not looked at."""
        folder = Path(self.file).expanduser().resolve()
        if not folder.is_dir():
            raise UserError(f"dataset.file: there is no folder {folder}")
        held_out = next((folder / name for name in ("test", "val") if (folder / name).is_dir()), None)
        if (folder / "train").is_dir() and held_out is not None:
            names = _class_names(folder / "train")
            _check_names(held_out, names)
            train, test = _samples(folder / "train", names), _samples(held_out, names)
        else:
            names = _class_names(folder)
            train, test = _divide(_samples(folder, names), names, self.test_share)
        place = f"{folder} {self.image_size} {self.test_share}"
        return decoded("folder", train, test, names, self.image_size, place)


def _class_names(folder: Path) -> list[str]:
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
    ending = os.path.splitext(item.name)[1].lower()
    return ending in ENDINGS and not item.name.startswith(".") and item.is_file()


def _divide(samples: Sequence[Sample], names: Sequence[str], share: float) -> tuple[list[Sample], list[Sample]]:
    """Training and test samples of one pool; every class keeps at least one image to train on."""
    labels = torch.tensor([label for _, label in samples])
    for name, count in zip(names, torch.bincount(labels).tolist(), strict=True):
        if count < 2:
            raise UserError(f"class {name!r} has one image: it takes two to train on one and test on another")
    chosen = set(stratified_index(labels, max(1, int(len(samples) * share))).tolist())
    train = [sample for position, sample in enumerate(samples) if position not in chosen]
    return train, [samples[position] for position in sorted(chosen)]
