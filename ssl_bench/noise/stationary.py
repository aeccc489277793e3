"""White noise through a filter: what all stationary noises share."""

from __future__ import annotations

import torch
from torch import Generator, Tensor


def radial_frequency(height: int, width: int) -> Tensor:
    """|f| in cycles per pixel on the half plane of ``rfft2``. Shapes: ``(H, W // 2 + 1)``, float64."""
    rows = torch.fft.fftfreq(height, dtype=torch.float64)[:, None]
    columns = torch.fft.rfftfreq(width, dtype=torch.float64)[None, :]
    return torch.hypot(rows, columns)


def unit_gain(power: Tensor, width: int) -> Tensor:
    """The filter that gives white noise of unit variance this power spectrum, scaled to unit variance a pixel.

    By Parseval the mean of the squared filter over the *full* plane is one; columns that stand for their mirror image
    too count twice.

    Shapes: power ``(H, W // 2 + 1)``, any scale -> the same, float32. All zero where there is no power.
    """
    twice = torch.full((power.shape[1],), 2.0, dtype=torch.float64)
    twice[0] = 1.0
    if width % 2 == 0:
        twice[-1] = 1.0
    mean = (power * twice).sum() / (power.shape[0] * width)
    gain: Tensor = torch.sqrt(power / mean) if mean > 0 else torch.zeros_like(power)
    return gain.float()


def sample_stationary(images: Tensor, gain: Tensor, sigma: float, generator: Generator) -> Tensor:
    """Images plus independent filtered noise on every channel. Shapes: images ``(B, C, H, W)`` -> the same."""
    white = torch.randn(images.shape, generator=generator, device=images.device, dtype=torch.float32)
    shaped = torch.fft.irfft2(torch.fft.rfft2(white) * gain.to(images.device), s=images.shape[-2:])
    noisy: Tensor = images + sigma * shaped.to(images.dtype)
    return noisy
