"""Datasets that torchvision can read (and download), kept as one ``.npz`` file after the first reading."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from ssl_bench.config import LARGEST_IMAGE
from ssl_bench.data.arrays import read_arrays, to_split, write_arrays
from ssl_bench.data.decoding import fit_square
from ssl_bench.data.images import ImageData, Split
from ssl_bench.data.source import Source
from ssl_bench.errors import UserError

_BY_FLAG = ({"train": True}, {"train": False})
_BY_NAME = ({"split": "train"}, {"split": "test"})


@dataclass(frozen=True)
class Facts:
    """What differs between torchvision's datasets.

    ``files`` is what torchvision leaves in its root; ``splits`` are the arguments for the training and the test part.
    """

    name: str
    torchvision_class: str
    classes: int
    files: str
    splits: tuple[Mapping[str, object], Mapping[str, object]]


class TorchvisionSet(Source):
    """A named dataset: ``NAME.npz`` in a root, else torchvision's own files, else a download if that is allowed."""

    facts: ClassVar[Facts]

    @property
    def stem(self) -> str:
        """Name of the ``.npz`` file without its ending."""
        return self.facts.name

    @property
    def files(self) -> str:
        """What torchvision leaves in its root."""
        return self.facts.files

    def arguments(self) -> dict[str, Any]:
        """Further arguments of torchvision's class."""
        return {}

    def load(self, roots: Sequence[Path], *, download: bool) -> ImageData:
        """See :meth:`Source.load`."""
        for root in roots:
            if (root / f"{self.stem}.npz").is_file():
                return read_arrays(root / f"{self.stem}.npz", self.facts.name, self.facts.classes)
        for root in roots:
            if (root / self.files).exists():
                return self._read(root, download and root == roots[0])
        if download:
            return self._read(roots[0], download)
        places = ", ".join(str(root) for root in roots)
        raise UserError(
            f"dataset {self.facts.name!r} is not in {places}: put {self.stem}.npz or torchvision's files "
            f"({self.files}) there (set dataset.root or SSL_BENCH_DATA), or pass dataset.download=true"
        )

    def _read(self, root: Path, download: bool) -> ImageData:
        """Through torchvision, once: the next time the ``.npz`` file written here is read."""
        try:
            if download:
                root.mkdir(parents=True, exist_ok=True)
            # torchvision prints, and standard output belongs to --json.
            with contextlib.redirect_stdout(sys.stderr):
                train, test = (_read_split(self._open(root, download, split)) for split in self.facts.splits)
        except Exception as error:  # whatever pickle, PIL, scipy or the network makes of a broken file or connection
            cure = "look at the cause" if download else "remove them and pass dataset.download=true"
            raise UserError(
                f"dataset {self.facts.name!r}: torchvision cannot get it from {root / self.files}: "
                f"{type(error).__name__}: {error}; {cure}, or put {self.stem}.npz there"
            ) from error
        data = ImageData(self.facts.name, train, test, self.facts.classes)
        with contextlib.suppress(OSError):  # a read-only root: the data are read all the same
            write_arrays(root / f"{self.stem}.npz", data)
        return data

    def _open(self, root: Path, download: bool, split: Mapping[str, object]) -> Any:
        from torchvision import datasets

        make = getattr(datasets, self.facts.torchvision_class)
        try:
            return make(str(root), download=False, **split, **self.arguments())
        except RuntimeError:  # "not found or corrupted"; asked second, since some classes refuse to download twice
            if not download:
                raise
            return make(str(root), download=True, **split, **self.arguments())


class Cifar10(TorchvisionSet):
    """CIFAR-10: 50,000 and 10,000 photographs of 32 x 32 pixels, 10 classes."""

    facts = Facts("cifar10", "CIFAR10", 10, "cifar-10-batches-py", _BY_FLAG)


class Cifar100(TorchvisionSet):
    """CIFAR-100: 50,000 and 10,000 photographs of 32 x 32 pixels, the 100 fine classes."""

    facts = Facts("cifar100", "CIFAR100", 100, "cifar-100-python", _BY_FLAG)


class Svhn(TorchvisionSet):
    """SVHN, cropped: 73,257 and 26,032 house-number digits of 32 x 32 pixels; the "extra" part is left out."""

    facts = Facts("svhn", "SVHN", 10, "train_32x32.mat", _BY_NAME)


class Stl10(TorchvisionSet):
    """STL-10: 5,000 and 8,000 labelled photographs of 96 x 96 pixels; the unlabelled part is left out."""

    facts = Facts("stl10", "STL10", 10, "stl10_binary", _BY_NAME)


class Mnist(TorchvisionSet):
    """MNIST: 60,000 and 10,000 handwritten digits of 28 x 28 pixels, grey."""

    facts = Facts("mnist", "MNIST", 10, "MNIST/raw", _BY_FLAG)


class FashionMnist(TorchvisionSet):
    """Fashion-MNIST: 60,000 and 10,000 garments of 28 x 28 pixels, grey."""

    facts = Facts("fashion_mnist", "FashionMNIST", 10, "FashionMNIST/raw", _BY_FLAG)


class Imagenette(TorchvisionSet):
    """Imagenette: 9,469 and 3,925 photographs, ten classes of ImageNet, cut square as :func:`fit_square` does.

    Read from the smallest of the three published archives whose images are not smaller than ``image_size``.
    """

    facts = Facts("imagenette", "Imagenette", 10, "imagenette2", ({"split": "train"}, {"split": "val"}))

    image_size: int = Field(128, ge=8, le=LARGEST_IMAGE)

    @property
    def archive(self) -> str:
        """The published size read from."""
        return next((f"{size}px" for size in (160, 320) if self.image_size <= size), "full")

    @property
    def stem(self) -> str:
        """Name of the ``.npz`` file without its ending: it tells the size."""
        return f"imagenette_{self.image_size}"

    @property
    def files(self) -> str:
        """What torchvision leaves in its root."""
        return {"160px": "imagenette2-160", "320px": "imagenette2-320", "full": "imagenette2"}[self.archive]

    def arguments(self) -> dict[str, Any]:
        """Further arguments of torchvision's class."""
        return {"size": self.archive, "transform": lambda image: fit_square(image, self.image_size)}


def _read_split(dataset: Any) -> Split:
    """All images of a torchvision dataset that gives PIL images of one size."""
    first = np.asarray(dataset[0][0])
    images = np.empty((len(dataset), *first.shape), dtype=np.uint8)
    labels = np.empty(len(dataset), dtype=np.int64)
    for position in range(len(dataset)):
        image, labels[position] = dataset[position]
        images[position] = np.asarray(image)
    return to_split(images, labels)
