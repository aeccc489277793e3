"""Example images and what configurations make of them, as pictures inside the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from ssl_bench.reporting.collect import Run
from ssl_bench.reporting.groups import Block, Group
from ssl_bench.reporting.numbers import count
from ssl_bench.reporting.stored import Array, arrays, by_step, samples_by_step

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
# Bytes of pixels that the pictures of a page may have together, before compression.
BUDGET = 1_500_000
LARGEST = 64
# Snapshots shown of a training: its first, its last, and evenly spread ones between (snapshots are log-spaced).
ROWS = 6


@dataclass(frozen=True)
class Row:
    """Images side by side, as they lie in memory: ``label`` says when or what, ``pixels`` is ``(N, H, W, C)``."""

    label: str
    pixels: Pixels


@dataclass(frozen=True)
class Sheet:
    """Rows of images of one configuration; ``note`` says which seed."""

    label: str
    note: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Strip:
    """A row of images as a data address."""

    label: str
    source: str
    width: int
    height: int


def sheets(block: Block) -> list[Sheet]:
    """The test images, and below them what the lowest seed of each configuration makes of them through training.

    Raises: UserError if a file of examples is damaged.
    """
    return _beside_originals(block, _reconstructed)


def noisy_sheets(block: Block) -> list[Sheet]:
    """The test images, and below them as each configuration that corrupts its input is shown them.

    Raises: UserError if a file of examples is damaged.
    """
    return _beside_originals(block, _corrupted)


def strips(rows: Sequence[Row], side: int) -> list[Strip]:
    """The rows as pictures whose images are at most so many pixels wide."""
    return [_strip(row, side) for row in rows]


def side_for(all_sheets: Sequence[Sheet]) -> int:
    """Largest side in pixels with which all images, hardly compressed, keep to the budget."""
    images = sum(len(row.pixels) * row.pixels.shape[-1] for sheet in all_sheets for row in sheet.rows)
    return max(16, min(LARGEST, int((BUDGET / max(images, 1)) ** 0.5)))


def _beside_originals(block: Block, made: Any) -> list[Sheet]:
    found: list[Sheet] = []
    for group in block.groups:
        run = next((run for run in group.measured if run.directory.arrays_file.exists()), None)
        tensors = {} if run is None else arrays(run, lambda name: not name.startswith("heat_"))
        rows = () if run is None else tuple(made(run, tensors))
        if run is None or not rows or "images" not in tensors:
            continue
        originals = Row("test images as they are", pixels_of(tensors["images"]))
        found.append(Sheet(group.label, _seed(group, run), (originals, *rows)))
    return found


def _reconstructed(run: Run, tensors: dict[str, Array]) -> list[Row]:
    steps, samples = by_step(tensors, "reconstructions"), samples_by_step(run)
    known = [step for step in steps if step in samples]
    if known:
        chosen = np.unique(np.linspace(0, len(known) - 1, ROWS).round().astype(int))
        kept = [known[index] for index in chosen]
        return [Row(f"after {count(samples[step])} samples", pixels_of(steps[step])) for step in kept]
    if "reconstructions" in tensors:
        return [Row("at the last snapshot", pixels_of(tensors["reconstructions"]))]
    return []


def _corrupted(run: Run, tensors: dict[str, Array]) -> list[Row]:
    return [Row("as the encoder is shown them", pixels_of(tensors["noisy"]))] if "noisy" in tensors else []


def _seed(group: Group, run: Run) -> str:
    return f"{group.note}; seed {run.config.seed}"


def pixels_of(images: Array) -> Pixels:
    """Floats in 0..1 to pixels; other numbers of channels than 1 and 3 are shown by their mean. -> ``(N, H, W, C)``."""
    if images.shape[1] not in (1, 3):
        images = images.mean(axis=1, keepdims=True)
    known = np.nan_to_num(images.astype(np.float64), nan=0.0)
    pixels: Pixels = np.rint(np.clip(known, 0, 1) * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    return pixels


def sheet_of(pixels: Pixels, side: int) -> Image.Image:
    """Images side by side, a gap of an eighth between them; larger ones are scaled down to ``side``."""
    images = [Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image) for image in pixels]
    if images[0].width > side:
        images = [image.resize((side, side), Image.Resampling.BOX) for image in images]
    size = images[0].width
    step = size + max(1, size // 8)
    sheet = Image.new("LA" if pixels.shape[-1] == 1 else "RGBA", (step * len(images) - (step - size), size))
    for position, image in enumerate(images):
        sheet.paste(image.convert(sheet.mode), (position * step, 0))
    return sheet


def _strip(row: Row, side: int) -> Strip:
    sheet = sheet_of(row.pixels, side)
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG", optimize=True)
    source = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    return Strip(row.label, source, sheet.width, sheet.height)
