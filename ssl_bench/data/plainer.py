"""Plainer copies of a dataset: without colour, or of its centre alone."""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_bench.data.images import ImageData, Split
from ssl_bench.data.levels import chunks
from ssl_bench.errors import UserError

# Weights of red, green and blue in the brightness of a pixel (ITU-R BT.601), in thousandths.
LUMA = (299, 587, 114)


def plainer(data: ImageData, grey: bool, crop: int | None) -> ImageData:
    """The dataset in grey, or cropped at the centre, or both; ``details`` says so. Unchanged where nothing is asked.

    Raises: UserError if the crop is larger than the images, or grey is asked of other than 1 or 3 channels.
    """
    if crop is not None and crop > data.image_size:
        raise UserError(f"dataset.crop={crop} is larger than the images of {data.name!r}, of {data.image_size} px")
    if grey and data.channels not in (1, 3):
        raise UserError(f"dataset.grey needs images of 3 channels, and those of {data.name!r} have {data.channels}")
    if not grey and crop is None:
        return data
    said = ({"grey": True} if grey else {}) | ({} if crop is None else {"crop": crop})
    train, test = (Split(_changed(split.images, grey, crop), split.labels) for split in (data.train, data.test))
    return ImageData(data.name, train, test, data.classes, {**data.details, **said})


def _changed(images: Tensor, grey: bool, crop: int | None) -> Tensor:
    """Some images at a time: those that are mapped from a file need not all fit into memory."""
    parts = []
    for chunk in chunks(images):
        part = chunk if crop is None else centre(chunk, crop)
        parts.append(brightness(part) if grey else part.contiguous())
    return torch.cat(parts)


def centre(images: Tensor, side: int) -> Tensor:
    """The central square; of two middles the upper left one. Shapes: ``(N, C, H, W)`` -> ``(N, C, side, side)``."""
    top, left = (images.shape[2] - side) // 2, (images.shape[3] - side) // 2
    return images[:, :, top : top + side, left : left + side]


def brightness(images: Tensor) -> Tensor:
    """Brightness rounded to grey levels. Shapes: uint8 ``(N, C, H, W)`` -> uint8 ``(N, 1, H, W)``, C of 1 or 3."""
    if images.shape[1] == 1:
        return images.contiguous()
    weights = torch.tensor(LUMA, dtype=torch.int32).view(1, 3, 1, 1)
    total = (images.int() * weights).sum(1, keepdim=True)
    return total.add_(500).div_(1000, rounding_mode="floor").to(torch.uint8)
