"""A dataset in memory: uint8 images, labels beside them, statistics of the training set."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor


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
        mean = torch.tensor(self.mean, dtype=images.dtype, device=images.device).view(-1, 1, 1)
        return (images - mean) / self.std

    def restore(self, images: Tensor) -> Tensor:
        """Standardised images to floats in 0..1, clipped. Shapes: ``(..., C, H, W)`` to the same."""
        mean = torch.tensor(self.mean, dtype=images.dtype, device=images.device).view(-1, 1, 1)
        return (images * self.std + mean).clamp(0, 1)


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
        totals, squares, count = _integer_sums(self.train.images)
        mean = totals / count
        variance = (squares / count - mean**2).mean()
        std = float(variance.sqrt()) / 255 if variance > 0 else 1.0
        return Statistics(tuple(float(value) / 255 for value in mean), std)

    @cached_property
    def standardised_mean(self) -> Tensor:
        """The mean of the standardised training images, exact up to rounding. Shapes: ``(C, H, W)`` float64."""
        total = sum(chunk.long().sum(0) for chunk in torch.split(self.train.images, 1000))
        assert isinstance(total, Tensor)
        return self.statistics.standardise(total.double() / (255 * len(self.train)))

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all images and labels, 16 hex digits: the key of whatever is cached about this dataset."""
        digest = hashlib.sha256()
        for split in (self.train, self.test):
            digest.update(str(tuple(split.images.shape)).encode())
            digest.update(split.images.numpy().tobytes())
            digest.update(split.labels.numpy().tobytes())
        return digest.hexdigest()[:16]

    def standardised(self, images: Tensor) -> Tensor:
        """Standardised float32 images of uint8 ones. Shapes: ``(N, C, H, W)`` to the same."""
        return self.statistics.standardise(images.float() / 255)


def _integer_sums(images: Tensor) -> tuple[Tensor, Tensor, int]:
    """Sum and sum of squares a channel, float64 but exact: integers far below 2^53. Shapes: ``(C,)``, ``(C,)``."""
    totals = torch.zeros(images.shape[1], dtype=torch.float64)
    squares = torch.zeros_like(totals)
    for chunk in torch.split(images, 1000):
        wide = chunk.to(torch.int64)
        totals += wide.sum((0, 2, 3)).double()
        squares += wide.square().sum((0, 2, 3)).double()
    return totals, squares, images.numel() // images.shape[1]
