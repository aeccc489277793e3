"""The spectrum of an encoder's map of tokens: how much it varies from one position to the next."""

from __future__ import annotations

import torch
from torch import Tensor

LEAST_SIDE = 4


def log_amplitude(maps: Tensor) -> list[float] | None:
    """Log amplitude of the map's Fourier transform along its diagonal, less that at frequency 0 (Park et al.).

    "What Do Self-Supervised Vision Transformers Learn?" (arXiv 2305.00729): mean of ln|F| over images and channels, at
    the frequencies (i, i) / side from 0 to 1/2. These are frequencies of features over positions, not of pixels.

    Shapes: ``(N, C, h, h)`` -> ``h // 2 + 1`` numbers, the first of them 0; ``None`` for a map of fewer than 4 x 4.
    """
    side = maps.shape[-1]
    if side < LEAST_SIDE:
        return None
    amplitude = torch.fft.fft2(maps.double(), norm="ortho").abs()
    along = amplitude.diagonal(dim1=-2, dim2=-1)[..., : side // 2 + 1]
    # A channel that is constant over positions has no amplitude to take the logarithm of.
    level = along.clamp(min=1e-12 * float(amplitude.max().clamp(min=1e-300))).log().mean((0, 1))
    values: list[float] = (level - level[0]).tolist()
    return values
