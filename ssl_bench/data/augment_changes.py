"""The changes views are made by: pure functions of a batch of images, each image with values of its own.

The formulas are torchvision's on float images, to rounding. None of them waits for the device, and all of them take
several images at once, so that one compiled graph, or one loop over blocks, serves a whole batch.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
SOLARIZE_THRESHOLD = 128 / 255
# Not quite summing to one, but they are torchvision's.
RED, GREEN, BLUE = 0.2989, 0.587, 0.114


def shifted(images: Tensor, offsets: Tensor) -> Tensor:
    """Images moved by whole pixels, reflected at the border (the border pixel itself is not repeated).

    Shapes: ``(B, C, H, W)``, offsets int64 ``(B, 2)`` (rows down, columns right; less than the side) -> the same.
    """
    _, channels, height, width = images.shape
    rows = _reflected(torch.arange(height, device=images.device) - offsets[:, :1], height)
    columns = _reflected(torch.arange(width, device=images.device) - offsets[:, 1:], width)
    images = images.gather(2, rows[:, None, :, None].expand(-1, channels, -1, width))
    return images.gather(3, columns[:, None, None, :].expand(-1, channels, height, -1))


def resized_crop(images: Tensor, boxes: Tensor, flip: Tensor | None = None) -> Tensor:
    """Crops enlarged bilinearly to the size of the images, then mirrored where ``flip`` says so.

    A crop is never larger than its image, so that antialiasing has nothing to do. Pixels outside the crop never enter.

    Shapes: float images ``(B, C, H, W)``, boxes int64 ``(B, 4)`` (top, left, height, width), flip bool ``(B,)`` ->
    ``(B, C, H, W)``.
    """
    batch, channels, height, width = images.shape
    top, left, tall, wide = boxes.unbind(1)
    low, high, share = _interpolation(top, tall, height)
    planes = torch.arange(batch * channels, device=images.device).view(batch, channels, 1) * height
    rows = images.reshape(-1, width)
    # Whole rows are copied as they lie in memory; only the columns need a gather.
    lower, upper = (
        rows.index_select(0, (planes + place[:, None]).flatten()).view(images.shape) for place in (low, high)
    )
    images = torch.lerp(lower, upper, share[:, None, :, None])
    low, high, share = (_mirrored(place, flip)[:, None, None] for place in _interpolation(left, wide, width))
    lower, upper = (images.gather(3, place.expand(images.shape)) for place in (low, high))
    return torch.lerp(lower, upper, share)


def blend(images: Tensor, operation: Tensor, factor: Tensor) -> Tensor:
    """Brightness, contrast or saturation, each image its own: all three scale it away from a reference.

    The reference of brightness (0) is black, of contrast (1) the mean grey of the image, of saturation (2) the grey of
    each pixel. A factor of 1 leaves the image as it is, to the bit.

    Shapes: ``(B, C, H, W)`` in 0..1, operation int64 ``(B,)``, factor ``(B,)`` of 0 or more -> the same images.
    """
    reference = _grey(images)
    middle = reference.mean((2, 3), keepdim=True).mul_(wide(operation == CONTRAST))
    reference = reference.mul_(wide(operation == SATURATION)).add_(middle)
    return torch.lerp(reference, images, wide(factor)).clamp_(0, 1)


def hue(images: Tensor, turn: Tensor) -> Tensor:
    """Turn the colour circle, value and saturation kept. Shapes: ``(B, 3, H, W)`` in 0..1, turn ``(B,)`` in turns.

    HSV without its branches and divisions, in units of the chroma, where the circle is 6 long: a colour lies
    ``chroma + green + blue - red - lowest`` from pure red, on green's side or on blue's; and a channel stands above the
    lowest by ``2 * chroma`` less the distance to its own pure colour, between 0 and the chroma.
    """
    red, green, blue = images.unbind(1)
    lowest = torch.minimum(torch.minimum(red, green), blue)
    highest = torch.maximum(torch.maximum(red, green), blue)
    chroma = highest - lowest
    place = (green + blue).sub_(red).sub_(lowest).add_(chroma).copysign(green - blue)
    # From each channel's pure colour (0, 2 and 4 on the circle), the short way round: -3 to 3.
    away = 6 * turn[:, None] - torch.arange(0, 6, 2, device=images.device)
    away = (away - 6 * (away / 6).round())[:, :, None, None]
    lowest, chroma, place = lowest.unsqueeze(1), chroma.unsqueeze(1), place.unsqueeze(1)
    # The sum is within 6 times the chroma, so that the distance to the opposite colour, at 3, needs no wrapping.
    opposite = torch.addcmul(place, chroma, away).abs_().sub_(3 * chroma).abs_()
    return opposite.add_(lowest - chroma).clamp_(lowest, highest.unsqueeze(1))


def grayscale(images: Tensor) -> Tensor:
    """Every channel set to the grey value. Shapes: ``(B, 3, H, W)`` -> the same."""
    return _grey(images).expand(images.shape)


def blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur, edges reflected. Shapes: ``(B, C, H, W)``, sigma ``(B,)`` in pixels -> ``(B, C, H, W)``.

    Sums of shifted images: as many convolutions as images, each with a kernel of its own, are slow in every library.
    """
    radius = blur_radius(min(images.shape[2:]))
    weights = _gaussians(sigma, radius)
    images = functional.pad(images, (radius,) * 4, mode="reflect")
    for axis in (2, 3):
        size = images.shape[axis] - 2 * radius
        total = images.narrow(axis, radius, size) * wide(weights[:, radius])
        for near in range(radius):
            pair = images.narrow(axis, near, size) + images.narrow(axis, 2 * radius - near, size)
            total = total.addcmul_(pair, wide(weights[:, near]))
        images = total
    return images


def blur_radius(image_size: int) -> int:
    """Pixels to each side in the blur's kernel: a tenth of the image across, as in SimCLR; at least one."""
    return min(max(1, image_size // 10 // 2), image_size - 1)


def solarize(images: Tensor) -> Tensor:
    """Invert the pixels of at least 128 / 255. Shapes: any, in 0..1 -> the same."""
    return torch.where(images >= SOLARIZE_THRESHOLD, 1 - images, images)


def wide(values: Tensor) -> Tensor:
    """One value an image, to be broadcast over its pixels. Shapes: ``(B,)`` -> ``(B, 1, 1, 1)``."""
    return values.view(-1, 1, 1, 1)


def _reflected(place: Tensor, side: int) -> Tensor:
    return (side - 1) - ((side - 1) - place.abs()).abs()


def _interpolation(start: Tensor, length: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Where each of ``size`` output pixels lies in a crop: the pixel below, the one above, the share of the latter.

    Computed from the crop's own edge: float32 coordinates of a large image would not hold the fraction.

    Shapes: ``(B,)`` each -> ``(B, size)`` each.
    """
    step = (length / size)[:, None]
    last = (length - 1)[:, None]
    inside = ((torch.arange(size, device=start.device) + 0.5) * step - 0.5).clamp_(min=0).minimum(last)
    below = inside.floor()
    low = below.long()
    return low + start[:, None], (low + 1).minimum(last) + start[:, None], inside - below


def _mirrored(columns: Tensor, flip: Tensor | None) -> Tensor:
    return columns if flip is None else torch.where(flip[:, None], columns.flip(1), columns)


def _gaussians(sigma: Tensor, radius: int) -> Tensor:
    """Weights that sum to one. Shapes: ``(B,)`` -> ``(B, 2 * radius + 1)``."""
    offsets = torch.arange(-radius, radius + 1, device=sigma.device)
    weights = torch.exp(-0.5 * (offsets / sigma[:, None]).square())
    return weights / weights.sum(1, keepdim=True)


def _grey(images: Tensor) -> Tensor:
    """Grey value of each pixel: the mean of the channels where there are not three. To ``(B, 1, H, W)``."""
    if images.shape[1] != 3:
        return images.mean(1, keepdim=True)
    red, green, blue = images.unbind(1)
    return (RED * red).add_(green, alpha=GREEN).add_(blue, alpha=BLUE).unsqueeze(1)
