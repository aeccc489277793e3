"""The Fourier heat map of an encoder (Yin et al., arXiv 1906.08988): what one wave of fixed norm does to it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ssl_bench.spectrum.altered import Altered, displacement, probe_error

# More frequencies than these along an axis are thinned out evenly: each costs a forward an image.
ROWS, COLUMNS = 16, 9


@dataclass(frozen=True)
class HeatMap:
    """What waves do, by frequency.

    Shapes: rows ``(h,)`` and columns ``(w,)``, cycles per pixel, rows from the most negative; displacement ``(h, w)``,
    mean distance the embedding moves in units of its spread; error ``(h, w)``, of the frozen probe.
    """

    rows: Tensor
    columns: Tensor
    displacement: Tensor
    error: Tensor


def heat_map(asked: Altered, samples: int) -> HeatMap:
    """Add every wave of a grid of frequencies to the first ``samples`` of the images to alter.

    The wave is real, one frequency and its mirror, of length ``asked.norm`` over all channels; its sign is drawn for
    each image and channel, the same for every encoder.
    """
    images, labels, clean = asked.images[:samples], asked.labels[:samples], asked.embedding[:samples]
    size = images.shape[-1]
    rows = _thinned(torch.arange(-(size // 2), (size + 1) // 2), ROWS)
    columns = _thinned(torch.arange(size // 2 + 1), COLUMNS)
    generator = torch.Generator().manual_seed(0)
    moved, wrong = [], []
    for row in rows.tolist():
        signs = torch.randint(0, 2, (len(columns), *images.shape[:2], 1, 1), generator=generator) * 2.0 - 1
        waves = torch.stack([wave(size, row, column) for column in columns.tolist()])
        change = signs * waves[:, None, None] * (asked.norm / math.sqrt(images.shape[1]))
        embedding = _encode_all(asked.encode, images + change)
        moved.append(displacement(embedding, clean, asked.spread))
        wrong.append(torch.tensor(probe_error(asked.scores, embedding, labels), dtype=torch.float64))
    return HeatMap(rows / size, columns / size, torch.stack(moved), torch.stack(wrong))


def wave(size: int, row: int, column: int) -> Tensor:
    """A real wave of unit length: ``row`` and ``column`` cycles a side. Shapes: -> ``(size, size)``."""
    place = torch.arange(size, dtype=torch.float64)
    angle = 2 * math.pi * (row * place[:, None] + column * place[None, :]) / size
    # A quarter of pi off, so that the wave at the Nyquist frequency is none of zeros, in any direction.
    made = (angle + math.pi / 4).cos()
    return (made / made.square().sum().sqrt()).float()


def _encode_all(encode: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Shapes: ``(S, A, C, H, W)`` -> ``(S, A, D)``."""
    made = encode(images.flatten(0, 1))
    return made.view(*images.shape[:2], -1)


def _thinned(values: Tensor, most: int) -> Tensor:
    """Whole multiples of one step, 0 among them, at most so many."""
    step = math.ceil(len(values) / most)
    return values[values % step == 0]
