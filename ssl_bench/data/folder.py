"""A folder of image files, one folder a class."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from ssl_bench.data.arrays import to_split
from ssl_bench.data.images import ImageData, Split
from ssl_bench.data.load import stratified_index
from ssl_bench.data.source import Source
from ssl_bench.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

ENDINGS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})

Sample = tuple[Path, int]


class Folder(Source):
    """One's own image files: ``dataset=folder dataset.file=DIR dataset.image_size=N``.

    ``DIR/train/CLASS/*`` with ``DIR/test/CLASS/*`` (or ``val``) if both are there; else ``DIR/CLASS/*``, of which
    ``test_share`` is put aside for testing, stratified, always the same. Classes are numbered in the order of their
    names. Images become RGB and are cut square as :func:`fit_square` does.
    """

    file: str
    image_size: int = Field(ge=1)
    test_share: float = Field(0.2, gt=0, le=0.5)

    def load(self, roots: Sequence[Path], *, download: bool) -> ImageData:
        """See :meth:`Source.load`; ``roots`` are not looked at."""
        folder = Path(self.file).expanduser()
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
        train_split, test_split = (_decode(samples, self.image_size) for samples in (train, test))
        return ImageData("folder", train_split, test_split, len(names), {"class_names": names})


def fit_square(image: Image, size: int) -> Image:
    """RGB, short side scaled to ``size`` (bilinear, antialiased), the centre square cut out."""
    from PIL import Image as images
    from PIL import ImageOps

    return ImageOps.fit(image.convert("RGB"), (size, size), images.Resampling.BILINEAR)


def decode_image(path: Path, size: int) -> NDArray[np.uint8]:
    """One image file as pixels. Shapes: ``(size, size, 3)``.

    Raises: UserError that names the file if it is broken, not 8 bits a channel, or suspiciously large.
    """
    from PIL import Image as images

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", images.DecompressionBombWarning)
            with images.open(path) as image:
                deep = image.mode.startswith(("I", "F"))
                pixels = np.asarray(fit_square(image, size))
    except Exception as error:  # decoders of broken files raise a dozen different types
        raise UserError(f"{path}: not readable as an image: {type(error).__name__}: {error}") from error
    if deep:
        raise UserError(f"{path}: has more than 8 bits a channel: convert it to 8 bits first")
    return pixels


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
        files = sorted(item for item in (folder / name).iterdir() if _is_image(item))
        if not files:
            endings = ", ".join(sorted(ending[1:] for ending in ENDINGS))
            raise UserError(f"{folder / name}: this class folder holds no images ({endings})")
        samples += [(file, label) for file in files]
    return samples


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in ENDINGS and not path.name.startswith(".") and path.is_file()


def _divide(samples: Sequence[Sample], names: Sequence[str], share: float) -> tuple[list[Sample], list[Sample]]:
    """Training and test samples of one pool; every class keeps at least one image to train on."""
    labels = torch.tensor([label for _, label in samples])
    for name, count in zip(names, torch.bincount(labels).tolist(), strict=True):
        if count < 2:
            raise UserError(f"class {name!r} has one image: it takes two to train on one and test on another")
    chosen = set(stratified_index(labels, max(1, int(len(samples) * share))).tolist())
    train = [sample for position, sample in enumerate(samples) if position not in chosen]
    return train, [samples[position] for position in sorted(chosen)]


def _decode(samples: Sequence[Sample], size: int) -> Split:
    images = np.empty((len(samples), size, size, 3), dtype=np.uint8)
    for position, (path, _) in enumerate(samples):
        images[position] = decode_image(path, size)
    return to_split(images, np.array([label for _, label in samples]))
