"""Batched views: everything an objective trains on, made on the device from the uint8 images in memory."""

from __future__ import annotations

from collections.abc import Callable

from torch import Generator, Tensor

from ssl_bench.data.augment import apply
from ssl_bench.data.augment_parameters import (
    Recipe,
    RecipeName,
    ViewParameters,
    recipe_for,
    resolve_recipe,
    sample_parameters,
)
from ssl_bench.data.images import Statistics
from ssl_bench.noise.base import Noise
from ssl_bench.processes import ALONE, Share

__all__ = ["Recipe", "RecipeName", "make_views", "recipe_for", "render", "resolve_recipe"]

Render = Callable[[Tensor, ViewParameters, Statistics], Tensor]


def render(images: Tensor, parameters: ViewParameters, statistics: Statistics) -> Tensor:
    """The standardised view of each image that its parameters say. Nothing here is random.

    Shapes: uint8 ``(B, C, H, W)`` -> float32 ``(B, C, H, W)``.
    """
    return _standardised(apply(images, parameters), statistics)


def make_views(
    images: Tensor,
    count: int,
    recipe: Recipe,
    statistics: Statistics,
    noise: Noise | None,
    generator: Generator,
    render: Render = render,
    share: Share = ALONE,
) -> Tensor:
    """Independent random views of each image, standardised; the noise, if any, acts last.

    Args:
        images: uint8 images.
        count: Views of each image, V.
        recipe: What a view may look like; where it changes nothing, all views of an image are that image.
        statistics: Of the training set.
        noise: Acts on the standardised views, one draw a view.
        generator: The only source of randomness, on the images' device. The same state gives the same views.
        render: :func:`render`, or the same compiled: draws cannot be.
        share: Which part of a batch the images are; draws are those of the whole batch.

    Shapes: images ``(B, C, H, W)`` -> float32 ``(V, B, C, H, W)``.

    Raises: ValueError if the generator is on another device than the images.
    """
    if generator.device != images.device:
        raise ValueError(f"the generator is on {generator.device}, the images are on {images.device}: make them agree")
    # Where nothing changes, one view serves for all.
    distinct = 1 if recipe.is_identity else count
    size = len(images)
    parameters = sample_parameters(recipe, distinct * share.count * size, (images.shape[2], images.shape[3]), generator)
    if share.count > 1:
        parameters = parameters.rows(share.rows(size, distinct, images.device))
    views = render(_copies(images, distinct), parameters, statistics)
    views = _copies(views, count // distinct)
    if noise is not None:
        views = noise.sample_share(views, generator, share, count)
    return views.reshape(count, *images.shape)


def _copies(images: Tensor, count: int) -> Tensor:
    """All images, ``count`` times over; the images themselves for 1. Shapes: ``(B, ...)`` -> ``(count B, ...)``."""
    return images.expand(count, *images.shape).flatten(0, 1)


def _standardised(views: Tensor, statistics: Statistics) -> Tensor:
    """What :meth:`Statistics.standardise` gives, to the bit, in place: on a CPU new memory costs more than the work.

    The numbers go to the device with the commands that use them; a tensor of them would be waited for.
    """
    for channel, mean in zip(views.unbind(1), statistics.mean, strict=True):
        channel.sub_(mean)
    return views.div_(statistics.std)
