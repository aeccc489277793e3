"""Crop, flip, colour jitter, grey, blur and solarize of a whole batch, each image with parameters of its own.

The formulas are torchvision's on float images, to rounding. Two ways to a batch whose images want different things:
an accelerator computes the change for every image and selects with ``where`` (never waiting for the device to say
which), the CPU works on the images concerned, in blocks that stay in its cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import permutations, product
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ssl_bench.data.augment_parameters import JitterParameters, ViewParameters

SOLARIZE_THRESHOLD = 128 / 255
# Not quite summing to one, but they are torchvision's.
RED, GREEN, BLUE = 0.2989, 0.587, 0.114
# Values in a block of images the CPU works on at a time: a megabyte of float32.
BLOCK = 1 << 18

Change = Callable[..., Tensor]


@torch.no_grad()
def apply(images: Tensor, parameters: ViewParameters, *, grouped: bool | None = None) -> Tensor:
    """One view of each image.

    Order: shift, crop and flip, colour jitter, grayscale, blur, solarize. Saturation, hue and grayscale act on images
    of three channels only.

    Args:
        images: uint8 in 0..255, or float in 0..1.
        parameters: One set an image, on the images' device.
        grouped: Work on the images concerned only, which asks the device which they are. None: on the CPU.

    Shapes: images ``(B, C, H, W)`` -> float32 ``(B, C, H, W)`` in 0..1.
    """
    if grouped is None:
        grouped = images.device.type == "cpu"
    coloured = images.shape[1] == 3
    if parameters.shift is not None:
        images = shifted(images, parameters.shift)
    views = _geometry(images, parameters.crop, parameters.flip)
    if parameters.jitter is not None:
        views = _jitter(views, parameters.jitter, grouped)
    if parameters.grayscale is not None and coloured:
        views = _on_chosen(views, parameters.grayscale, grayscale, (), grouped)
    if parameters.blur is not None:
        views = _on_chosen(views, parameters.blur.chosen, blur, (parameters.blur.sigma,), grouped)
    if parameters.solarize is not None:
        views = _on_chosen(views, parameters.solarize, solarize, (), grouped)
    return views


def shifted(images: Tensor, offsets: Tensor) -> Tensor:
    """Images moved by whole pixels, reflected at the border (the border pixel itself is not repeated).

    Shapes: ``(B, C, H, W)``, offsets int64 ``(B, 2)`` (rows down, columns right; less than the side) -> the same.
    """
    _, channels, height, width = images.shape
    rows = _reflected(torch.arange(height, device=images.device) - offsets[:, :1], height)
    columns = _reflected(torch.arange(width, device=images.device) - offsets[:, 1:], width)
    images = images.gather(2, rows[:, None, :, None].expand(-1, channels, -1, width))
    return images.gather(3, columns[:, None, None, :].expand(-1, channels, height, -1))


def _reflected(place: Tensor, side: int) -> Tensor:
    return (side - 1) - ((side - 1) - place.abs()).abs()


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
    lower, upper = (rows[(planes + place[:, None]).flatten()].view(images.shape) for place in (low, high))
    images = torch.lerp(lower, upper, share[:, None, :, None])
    low, high, share = (_mirrored(place, flip)[:, None, None] for place in _interpolation(left, wide, width))
    lower, upper = (images.gather(3, place.expand(images.shape)) for place in (low, high))
    return torch.lerp(lower, upper, share)


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Scale towards black (0) or away from it. Shapes: ``(B, C, H, W)`` in 0..1, factor ``(B,)`` -> the same."""
    return (images * _wide(factor)).clamp_(0, 1)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Scale around the mean grey of the image (the mean of all channels where there are not three).

    Shapes: ``(B, C, H, W)`` in 0..1, factor ``(B,)`` -> the same.
    """
    means = images.mean((2, 3), keepdim=True)
    middle = _grey(means) if images.shape[1] == 3 else means.mean(1, keepdim=True)
    return torch.lerp(middle, images, _wide(factor)).clamp_(0, 1)


def saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Scale around each pixel's grey. Shapes: ``(B, 3, H, W)`` in 0..1, factor ``(B,)`` -> the same."""
    return torch.lerp(_grey(images), images, _wide(factor)).clamp_(0, 1)


def hue(images: Tensor, turn: Tensor) -> Tensor:
    """Turn the colour circle, value and saturation kept. Shapes: ``(B, 3, H, W)`` in 0..1, turn ``(B,)`` in turns.

    HSV without its six branches: a channel falls below the value by the chroma times a trapezoid of the distance, on
    the colour circle, between the hue and the channel's opposite colour.
    """
    red, green, blue = images.unbind(1)
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    # A grey pixel has chroma 0, and so keeps its value whatever hue the 1 here leads to.
    circle = 6 * torch.where(chroma > 0, chroma, 1.0)
    angle = torch.where(
        value == red,
        (green - blue) / circle,
        torch.where(value == green, (blue - red) / circle + 1 / 3, (red - green) / circle + 2 / 3),
    )
    opposite = torch.arange(3, device=images.device).view(3, 1, 1) / 3 + 0.5
    away = (angle + turn.view(-1, 1, 1)).unsqueeze(1) - opposite
    depth = away.sub_(away.round()).abs_().mul_(-6).add_(2).clamp_(0, 1)
    return value.unsqueeze(1) - depth.mul_(chroma.unsqueeze(1))


def grayscale(images: Tensor) -> Tensor:
    """Every channel set to the grey value. Shapes: ``(B, 3, H, W)`` -> the same."""
    return _grey(images).expand(images.shape)


def blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur, edges reflected. Shapes: ``(B, C, H, W)``, sigma ``(B,)`` in pixels -> ``(B, C, H, W)``.

    Each plane is a channel of one depthwise convolution, since each image has a kernel of its own.
    """
    batch, channels, height, width = images.shape
    radius = blur_radius(min(height, width))
    kernels = _gaussians(sigma, radius).repeat_interleave(channels, 0)
    planes = functional.pad(images, (radius,) * 4, mode="reflect").flatten(0, 1)[None]
    # In half precision the result would be off by half a grey level.
    with torch.autocast(images.device.type, enabled=False):
        columns = functional.conv2d(planes, kernels[:, None, :, None], groups=batch * channels)
        return functional.conv2d(columns, kernels[:, None, None, :], groups=batch * channels).view(images.shape)


def blur_radius(image_size: int) -> int:
    """Pixels to each side in the blur's kernel: a tenth of the image across, as in SimCLR; at least one."""
    return min(max(1, image_size // 10 // 2), image_size - 1)


def solarize(images: Tensor) -> Tensor:
    """Invert the pixels of at least 128 / 255. Shapes: any, in 0..1 -> the same."""
    return torch.where(images >= SOLARIZE_THRESHOLD, 1 - images, images)


def _geometry(images: Tensor, crop: Tensor | None, flip: Tensor | None) -> Tensor:
    """Float images cropped and mirrored, in memory of their own."""
    if crop is None:
        views = _unit_range(images)
        return views if flip is None else torch.where(_wide(flip), views.flip(-1), views)
    size = _block_size(images)
    parts = torch.split(images, size)
    flips: Sequence[Tensor | None] = [None] * len(parts) if flip is None else torch.split(flip, size)
    each = zip(parts, torch.split(crop, size), flips, strict=True)
    return torch.cat([resized_crop(_unit_range(part), boxes, mirrored) for part, boxes, mirrored in each])


def _unit_range(images: Tensor) -> Tensor:
    """A float32 copy in 0..1."""
    copy = images.to(torch.float32, copy=True)
    return copy if images.is_floating_point() else copy.div_(255)


def _jitter(images: Tensor, jitter: JitterParameters, grouped: bool) -> Tensor:
    """The colour operations, in the order of each image."""
    operations: list[Change] = [brightness, contrast, saturation, hue][: 4 if images.shape[1] == 3 else 2]

    def in_order(part: Tensor, factors: Tensor, order: Sequence[int]) -> Tensor:
        for number in order:
            if number < len(operations):
                part = operations[number](part, factors[:, number])
        return part

    if grouped:
        code = _order_code(jitter.order.unbind(1))
        for order in permutations(range(4)):
            chosen = jitter.chosen & (code == _order_code(order))
            images = _on_chosen(images, chosen, partial(in_order, order=order), (jitter.factors,), grouped)
        return images
    for place, number in product(range(4), range(len(operations))):
        chosen = jitter.chosen & (jitter.order[:, place] == number)
        images = _on_chosen(images, chosen, operations[number], (jitter.factors[:, number],), grouped)
    return images


def _order_code(order: Sequence[Any]) -> Any:
    """One number for a permutation of 0..3; of integers, or of tensors of them."""
    return order[0] * 64 + order[1] * 16 + order[2] * 4 + order[3]


def _on_chosen(images: Tensor, chosen: Tensor, change: Change, arguments: Sequence[Tensor], grouped: bool) -> Tensor:
    """Change the chosen images, in place if grouped. Shapes: chosen bool ``(B,)``, arguments ``(B, ...)`` each."""
    if not grouped:
        return torch.where(_wide(chosen), change(images, *arguments), images)
    for rows in torch.split(chosen.nonzero().squeeze(1), _block_size(images)):
        images[rows] = change(images[rows], *(argument[rows] for argument in arguments))
    return images


def _block_size(images: Tensor) -> int:
    """How many images to work on at a time: all of them, except on the CPU."""
    return max(1, BLOCK // images.shape[1:].numel()) if images.device.type == "cpu" else max(1, len(images))


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
    """Grey value of each pixel. Shapes: ``(B, 3, H, W)`` -> ``(B, 1, H, W)``."""
    red, green, blue = images.unbind(1)
    return (RED * red).add_(green, alpha=GREEN).add_(blue, alpha=BLUE).unsqueeze(1)


def _wide(values: Tensor) -> Tensor:
    """One value an image, to be broadcast over its pixels. Shapes: ``(B,)`` -> ``(B, 1, 1, 1)``."""
    return values.view(-1, 1, 1, 1)
