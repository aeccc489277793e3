"""A dataset in memory: uint8 images, labels beside them, statistics of the training set."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from ssl_bench.data.gram import pixel_moments
from ssl_bench.data.levels import chunks

GREYS = 256


@dataclass(frozen=True)
class Statistics:
    """What turns pixels into a *standardised image*: the training set's mean a channel, and ONE standard deviation.

    Both in units of pixels divided by 255. One deviation over all channels and pixels keeps the channels' relative
    power, so that a noise strength means the same everywhere.
    """

    mean: tuple[float, ...]
    std: float

    def standardise(self, images: Tensor) -> Tensor:
        """Float images in 0..1 to standardised ones. Shapes: ``(..., C, H, W)`` to the same."""
        return (images - _a_channel(self.mean, images.dtype, images.device)).div_(self.std)

    def restore(self, images: Tensor) -> Tensor:
        """Standardised images to floats in 0..1, clipped. Shapes: ``(..., C, H, W)`` to the same."""
        return self.unclipped(images).clamp_(0, 1)

    def unclipped(self, images: Tensor) -> Tensor:
        """Standardised images to floats of which those of pixels lie in 0..1. Shapes: as :meth:`restore`."""
        return (images * self.std).add_(_a_channel(self.mean, images.dtype, images.device))


@dataclass(frozen=True)
class Split:
    """Images and their labels. Shapes: images uint8 ``(N, C, H, W)``, labels int64 ``(N,)``."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def take(self, index: Tensor) -> Split:
        """The chosen samples, in the order of ``index``."""
        return Split(self.images[index], self.labels[index])


@dataclass(frozen=True)
class ImageData:
    """A dataset in memory. ``details`` holds what a source wants recorded with the run."""

    name: str
    train: Split
    test: Split
    classes: int
    details: dict[str, object] = field(default_factory=dict)

    @property
    def channels(self) -> int:
        """Number of colour channels C."""
        return self.train.images.shape[1]

    @property
    def image_size(self) -> int:
        """Side of the (square) images in pixels."""
        return self.train.images.shape[-1]

    @property
    def shape(self) -> tuple[int, int, int]:
        """An image's (C, H, W)."""
        return self.channels, self.image_size, self.image_size

    @property
    def chance(self) -> float:
        """Test accuracy of always answering the class that is commonest in training."""
        commonest = torch.bincount(self.train.labels, minlength=self.classes).argmax()
        return float((self.test.labels == commonest).double().mean())

    @cached_property
    def statistics(self) -> Statistics:
        """Mean a channel and one standard deviation of the training images, exact (integer sums)."""
        counts = _count_greys(self.train.images)
        greys, count = torch.arange(GREYS), int(counts[0].sum())
        # Of whole numbers far below 2^53, so that float64 is as exact as they are.
        totals, squares = (counts @ greys).double(), (counts @ greys**2).double()
        mean = totals / count
        variance = (squares / count - mean**2).mean()
        std = float(variance.sqrt()) / 255 if variance > 0 else 1.0
        return Statistics(tuple(float(value) / 255 for value in mean), std)

    @cached_property
    def standardised_mean(self) -> Tensor:
        """The mean of the standardised training images, exact up to rounding. Shapes: ``(C, H, W)`` float64."""
        total = torch.zeros(self.shape, dtype=torch.int64)
        for chunk in chunks(self.train.images):
            total += chunk.sum(0, dtype=torch.int64)
        return self.statistics.standardise(total.double() / (255 * len(self.train)))

    @cached_property
    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and covariance of the training pixels (:func:`pixel_moments`). Shapes: ``(D,)``, ``(D, D)`` float64."""
        return pixel_moments(self.train.images)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all images and labels, 16 hex digits: the key of whatever is cached about this dataset.

        How many files were skipped is part of it: a run on what was left of a folder is none on a whole one.
        """
        digest = hashlib.sha256()
        for split in (self.train, self.test):
            digest.update(str(tuple(split.images.shape)).encode())
            # A few at a time: those that are mapped from a file need not all fit into memory.
            for images in chunks(split.images):
                digest.update(images.contiguous().numpy().data)
            digest.update(split.labels.contiguous().numpy().data)
        return counted(digest.hexdigest()[:16], self.details)

    def standardised(self, images: Tensor) -> Tensor:
        """Standardised float32 images of uint8 ones. Shapes: ``(N, C, H, W)`` to the same."""
        made = images.to(torch.float32, copy=True).div_(255)
        return made.sub_(_a_channel(self.statistics.mean, made.dtype, made.device)).div_(self.statistics.std)


def counted(fingerprint: str, details: Mapping[str, object]) -> str:
    """A fingerprint of images with the number of files that were skipped, if any were. 16 hex digits."""
    skipped = details.get("skipped_files", 0)
    return hashlib.sha256(f"{fingerprint} {skipped} skipped".encode()).hexdigest()[:16] if skipped else fingerprint


@lru_cache(maxsize=64)
def _a_channel(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """One value a channel, brought to a device once: each time it is, an accelerator is waited for.

    Shapes: -> ``(C, 1, 1)``; not to be changed.
    """
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=dtype, device=device).view(-1, 1, 1)


def _count_greys(images: Tensor) -> Tensor:
    """How often each channel has each value. Shapes: uint8 ``(N, C, H, W)`` -> int64 ``(C, 256)``."""
    counts = torch.zeros(images.shape[1], GREYS, dtype=torch.int64)
    for chunk in chunks(images):
        for channel, count in enumerate(counts):
            count += torch.bincount(chunk[:, channel].flatten(), minlength=GREYS)
    return counts
