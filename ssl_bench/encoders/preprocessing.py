"""What becomes of a standardised image before a foreign encoder sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ssl_bench.config import EncoderConfig
from ssl_bench.data.images import ImageData, Statistics
from ssl_bench.errors import UserError


@dataclass(frozen=True)
class Preprocessing:
    """Standardised images ``(B, C, H, W)`` to what an encoder was trained on.

    Standardisation is undone linearly and never clipped: altered images may leave 0..1, and clipping would hide by how
    much. A single channel is repeated where the encoder takes more. The whole image is resized: nothing is cropped.

    Attributes:
        statistics: Of the dataset, by which the images were standardised.
        channels: How many the encoder takes.
        size: Height and width the encoder takes; ``None`` keeps the image's.
        mean, std: A channel, of images in 0..1; ``None`` leaves them in 0..1.
        interpolation: ``bicubic`` or ``bilinear``, antialiased.
    """

    statistics: Statistics
    channels: int
    size: tuple[int, int] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    interpolation: str = "bicubic"

    def __call__(self, images: Tensor) -> Tensor:
        """Shapes: ``(B, C, H, W)`` standardised -> ``(B, channels, height, width)``."""
        images = images * self.statistics.std + _by_channel(self.statistics.mean, images)
        if images.shape[1] == 1 and self.channels > 1:
            images = images.expand(-1, self.channels, -1, -1)
        if self.size is not None and self.size != tuple(images.shape[-2:]):
            images = functional.interpolate(
                images, self.size, mode=self.interpolation, align_corners=False, antialias=True
            )
        if self.mean is not None:
            images = images - _by_channel(self.mean, images)
        return images if self.std is None else images / _by_channel(self.std, images)

    def __str__(self) -> str:
        steps = ["standardisation undone, not clipped"]
        if len(self.statistics.mean) < self.channels:
            steps.append(f"grey repeated to {self.channels} channels")
        if self.size is not None:
            steps.append(f"whole image {self.interpolation} to {self.size[0]} x {self.size[1]}, antialiased")
        if self.mean is not None:
            steps.append(f"minus {_numbers(self.mean)}")
        if self.std is not None:
            steps.append(f"divided by {_numbers(self.std)}")
        return "; ".join(steps)


def make_preprocessing(
    target: str,
    config: EncoderConfig,
    data: ImageData,
    channels: int,
    size: tuple[int, int] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    interpolation: str = "bicubic",
) -> Preprocessing:
    """An encoder's own preprocessing, with what the configuration says in its place.

    Raises: UserError if the dataset's channels cannot be given to the encoder, or a mean or deviation does not fit.
    """
    if data.channels not in (1, channels):
        raise UserError(f"{target} takes {channels} channels; the images of {data.name} have {data.channels}")
    for key, given in (("mean", config.mean), ("std", config.std)):
        if given is not None and len(given) != channels:
            raise UserError(f"{key} has {len(given)} numbers; {target} takes {channels} channels: give one a channel")
    chosen_mean, chosen_std = config.mean or mean, config.std or std
    return Preprocessing(
        statistics=data.statistics,
        channels=channels,
        size=(config.image_size, config.image_size) if config.image_size else size,
        mean=tuple(chosen_mean) if chosen_mean is not None else None,
        std=tuple(chosen_std) if chosen_std is not None else None,
        # Antialiasing exists for these two; the few models trained with another filter get the nearest of its kind.
        interpolation=interpolation if interpolation == "bilinear" else "bicubic",
    )


def _by_channel(values: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device).view(-1, 1, 1)


def _numbers(values: Sequence[float]) -> str:
    return "(" + ", ".join(f"{value:g}" for value in values) + ")"
