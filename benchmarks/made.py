"""Images and features made from a seed, of the kind that the work meets: every contestant makes the same."""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_bench.data.images import ImageData, Split

CLASSES = 10
# Pixels drawn at a time: their Fourier transforms would take more memory than the images.
CHUNK = 1 << 20
# Directions that tell the classes apart, those of most variance.
TELLING = 32
# In units of the noise: a linear probe is right on some four of five.
APART = 0.4


def made_images(train: int, test: int = 64, size: int = 32, channels: int = 3, seed: int = 0) -> ImageData:
    """Coloured noise of power 1/f², as photographs have, with labels that say nothing of it."""
    generator = torch.Generator().manual_seed(seed)
    first, second = (_split(count, size, channels, generator) for count in (train, test))
    return ImageData(f"made {size} px", first, second, CLASSES)


def _split(count: int, size: int, channels: int, generator: torch.Generator) -> Split:
    images = torch.empty(count, channels, size, size, dtype=torch.uint8)
    for chunk in torch.split(images, max(1, CHUNK // (channels * size**2))):
        chunk.copy_(_coloured(len(chunk), size, channels, generator))
    # At random, but none is far rarer than another: each has to be held out of.
    labels = torch.randperm(count, generator=generator) % CLASSES
    return Split(images, labels)


def _coloured(count: int, size: int, channels: int, generator: torch.Generator) -> Tensor:
    """Pixels of 127.5 ± 50, clipped. Shapes: -> ``(N, C, H, W)`` float32."""
    white = torch.randn(count, channels, size, size, generator=generator)
    rows, columns = torch.fft.fftfreq(size), torch.fft.rfftfreq(size)
    radius = torch.hypot(rows[:, None], columns).clamp(min=1 / size)
    waves: Tensor = torch.fft.irfft2(torch.fft.rfft2(white) / radius, s=(size, size))
    pixels: Tensor = 127.5 + 50 * waves / waves.std()
    return pixels.round_().clamp_(0, 255)


def made_features(count: int, dimension: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Features of overlapping classes, with a power-law spectrum in no axis's direction, and their labels.

    Shapes: -> ``(N, D)`` float32, ``(N,)``.
    """
    generator = torch.Generator().manual_seed(seed)
    turn = torch.linalg.qr(torch.randn(dimension, dimension, generator=generator)).Q
    spread = torch.arange(1, dimension + 1).float().rsqrt()
    centres = torch.randn(CLASSES, dimension, generator=generator)
    centres[:, TELLING:] = 0
    labels = torch.randperm(count, generator=generator) % CLASSES
    noise = torch.randn(count, dimension, generator=generator)
    return ((APART * centres[labels] + noise) * spread) @ turn, labels
