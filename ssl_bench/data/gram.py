"""Exact moments of pixels: sums of products of whole numbers, none of them ever rounded."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

# Pixels less 128 are integers of at most 128. float32 holds any sum of 1,024 of their products exactly, int32 of many
# more; float64 holds the sum of all such sums.
CENTRE = 128
FLOAT_ROWS = 1024
INTEGER_ROWS = 4096
# Of a symmetric matrix only what is right of its diagonal blocks is computed.
BLOCK = 512


def pixel_moments(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and covariance of uint8 images, in pixel units. Exact up to the last rounding: sums are of integers.

    Shapes: ``(N, C, H, W)`` uint8 -> ``(D,)``, ``(D, D)``, float64.
    """
    total, products = gram(images)
    mean = total / len(images)
    return mean + CENTRE, products.div_(len(images)).sub_(torch.outer(mean, mean))


def gram(images: Tensor) -> tuple[Tensor, Tensor]:
    """Sum and sum of outer products of pixels less 128, over all images. Exact.

    Shapes: uint8 ``(N, ...)`` -> ``(D,)``, ``(D, D)``, float64.
    """
    dimension = images[0].numel()
    total = torch.zeros(dimension, dtype=torch.float64)
    products = torch.zeros(dimension, dimension, dtype=torch.float64)
    for chunk in torch.split(images, exact_rows()):
        pixels = centred(chunk)
        total += pixels.sum(0)
        for start in range(0, dimension, BLOCK):
            products[start : start + BLOCK, start:] += product(pixels[:, start : start + BLOCK], pixels[:, start:])
    for start in range(0, dimension, BLOCK):
        products[start + BLOCK :, start : start + BLOCK] = products[start : start + BLOCK, start + BLOCK :].T
    return total, products


def exact_rows() -> int:
    """How many rows :func:`product` takes at once."""
    return INTEGER_ROWS if _bytes_are_exact() else FLOAT_ROWS


def centred(images: Tensor) -> Tensor:
    """Pixels less 128, as :func:`product` takes them. Shapes: uint8 ``(n, ...)`` -> int8 or float32 ``(n, D)``."""
    # Flipping the highest bit of a byte takes 128 off, once the byte is read as a signed one.
    pixels = (images.flatten(1) ^ CENTRE).view(torch.int8)
    return pixels if _bytes_are_exact() else pixels.float()


def product(left: Tensor, right: Tensor) -> Tensor:
    """``left^T right`` of at most :func:`exact_rows` rows of :func:`centred` pixels, or what is no larger. Exact.

    Shapes: int8 or float32 ``(n, D)``, ``(n, K)`` -> int32 or float32 ``(D, K)``.
    """
    return torch._int_mm(left.T, right) if left.dtype == torch.int8 else left.T @ right


@cache
def _bytes_are_exact() -> bool:
    """Whether this processor multiplies bytes exactly; where it does, five times as fast as float32.

    It takes instructions for it (VNNI). A processor without them adds pairs of products in 16 bits, and cuts off what
    is too large for them, or torch multiplies bytes one by one: a hundred times as slowly as float32. So it does
    without oneDNN, and on another architecture.
    """
    with_onednn: Callable[[], bool] = torch.backends.mkldnn.is_available
    if not (with_onednn() and torch.cpu._is_vnni_supported()):
        return False
    # oneDNN may have been told, in its environment, to do without them. The largest bytes there are find that out: the
    # sum of any pair of products is too large for 16 bits.
    draws = torch.randint(0, 2, (FLOAT_ROWS, 256), generator=torch.Generator().manual_seed(0))
    extremes = (255 * draws - CENTRE).to(torch.int8)
    return torch.equal(product(extremes, extremes).float(), product(extremes.float(), extremes.float()))
