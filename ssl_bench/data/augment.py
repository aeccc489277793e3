"""Crop, flip, colour jitter, grey, blur and solarize of a whole batch, each image with parameters of its own.

Two ways to a batch whose images want different things: an accelerator computes a change for every image and selects
(never waiting for the device to say which, so that all of it compiles as one graph); the CPU works on the images
concerned, in blocks that stay in its cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from ssl_bench.data.augment_changes import (
    CONTRAST,
    HUE,
    blend,
    blur,
    grayscale,
    hue,
    resized_crop,
    shifted,
    solarize,
    wide,
)
from ssl_bench.data.augment_parameters import JitterParameters, ViewParameters

# Values in a block of images the CPU works on at a time: a megabyte of float32. What lies between the operations of a
# larger one leaves the cache; beyond a few megabytes its memory is given back and fetched anew, at a higher cost.
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
    views = _moved(images, parameters)
    if parameters.jitter is not None:
        views = _jitter(views, parameters.jitter, grouped)
    if parameters.grayscale is not None and images.shape[1] == 3:
        views = _on_chosen(views, parameters.grayscale, grayscale, (), grouped)
    if parameters.blur is not None:
        views = _on_chosen(views, parameters.blur.chosen, blur, (parameters.blur.sigma,), grouped)
    if parameters.solarize is not None:
        views = _on_chosen(views, parameters.solarize, solarize, (), grouped)
    return views


def _moved(images: Tensor, parameters: ViewParameters) -> Tensor:
    """Float images shifted, cropped and mirrored, in memory of their own."""
    given = (parameters.shift, parameters.crop, parameters.flip)
    if all(values is None for values in given):
        return _unit_range(images)
    views = torch.empty(images.shape, device=images.device)
    for part in _blocks(images):
        views[part] = _geometry(images[part], *(None if values is None else values[part] for values in given))
    return views


def _geometry(images: Tensor, shift: Tensor | None, crop: Tensor | None, flip: Tensor | None) -> Tensor:
    if shift is not None:
        images = shifted(images, shift)
    images = _unit_range(images)
    if crop is not None:
        return resized_crop(images, crop, flip)
    return images if flip is None else torch.where(wide(flip), images.flip(-1), images)


def _unit_range(images: Tensor) -> Tensor:
    """A float32 copy in 0..1."""
    copy = images.to(torch.float32, copy=True)
    return copy if images.is_floating_point() else copy.div_(255)


def _jitter(images: Tensor, jitter: JitterParameters, grouped: bool) -> Tensor:
    """The colour operations, in the order of each image: blends before its turn of hue, the hue, the other blends."""
    order, chosen = jitter.order, jitter.chosen
    factors = jitter.factors.gather(1, order)

    def blends(images: Tensor, places: range, active: Tensor) -> Tensor:
        effective = torch.where(active & chosen[:, None], factors, 1.0)
        for place in places:
            images = blend(images, order[:, place], effective[:, place])
        return images

    if images.shape[1] != 3:
        return blends(images, range(4), order <= CONTRAST)
    turn_of_hue = (order == HUE).to(torch.uint8).argmax(1)
    if grouped:
        for place in range(4):
            change = partial(_in_order, hue_place=place)
            images = _on_chosen(images, chosen & (turn_of_hue == place), change, (order, factors), grouped)
        return images
    place_of_hue = turn_of_hue[:, None]
    places = torch.arange(4, device=images.device)
    images = blends(images, range(3), places < place_of_hue)
    images = torch.where(wide(chosen), hue(images, jitter.factors[:, HUE]), images)
    return blends(images, range(1, 4), places > place_of_hue)


def _in_order(images: Tensor, order: Tensor, factors: Tensor, hue_place: int) -> Tensor:
    """The four operations on images whose hue all comes at one place. Shapes: order, factors by place ``(B, 4)``."""
    for place in range(4):
        if place == hue_place:
            images = hue(images, factors[:, place])
        else:
            images = blend(images, order[:, place], factors[:, place])
    return images


def _on_chosen(images: Tensor, chosen: Tensor, change: Change, arguments: Sequence[Tensor], grouped: bool) -> Tensor:
    """Change the chosen images, in place if grouped. Shapes: chosen bool ``(B,)``, arguments ``(B, ...)`` each."""
    if not grouped:
        return torch.where(wide(chosen), change(images, *arguments), images)
    members = chosen.nonzero().squeeze(1)
    for part in _blocks(images, len(members)):
        rows = members[part]
        # Whole images: several times as fast as images[rows].
        changed = change(*(values.index_select(0, rows) for values in (images, *arguments)))
        images.index_copy_(0, rows, changed)
    return images


def _blocks(images: Tensor, count: int | None = None) -> Iterator[slice]:
    """Slices of nearly equal size that cover ``count`` images (default: all): one, except on the CPU."""
    count = len(images) if count is None else count
    most = max(1, BLOCK // images.shape[1:].numel()) if images.device.type == "cpu" else max(1, count)
    parts = -(-count // most)
    return (slice(part * count // parts, (part + 1) * count // parts) for part in range(parts))
