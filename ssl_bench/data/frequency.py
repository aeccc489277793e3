"""Frequencies of images, and their rings: one definition for spectra, noises and targets."""

from __future__ import annotations

import torch
from torch import Tensor


def radial_frequency(height: int, width: int) -> Tensor:
    """|f| in cycles per pixel on the half plane of ``rfft2``. Shapes: ``(H, W // 2 + 1)``, float64."""
    rows = torch.fft.fftfreq(height, dtype=torch.float64)[:, None]
    columns = torch.fft.rfftfreq(width, dtype=torch.float64)[None, :]
    return torch.hypot(rows, columns)


def ring_of(height: int, width: int, rings: int) -> Tensor:
    """The ring of each frequency: equal widths up to 0.5, the last with the corners of the plane.

    A frequency on a border belongs to the outer ring, whatever the rounding. Shapes: ``(H, W // 2 + 1)``, int64.
    """
    return (radial_frequency(height, width) / 0.5 * rings + 1e-9).floor().long().clamp(max=rings - 1)


def dct_ring_of(side: int, rings: int) -> Tensor:
    """The ring of each coefficient of a two-dimensional DCT-II: index u is a wave of u / (2 side) cycles per pixel.

    Shapes: ``(side, side)``, int64; rings as in :func:`ring_of`.
    """
    along = torch.arange(side, dtype=torch.float64) / (2 * side)
    return (torch.hypot(along[:, None], along[None, :]) / 0.5 * rings + 1e-9).floor().long().clamp(max=rings - 1)
