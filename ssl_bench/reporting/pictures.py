"""Example images and their reconstructions as pictures inside the page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load_file

from ssl_bench.errors import UserError
from ssl_bench.reporting.collect import Run
from ssl_bench.reporting.groups import Block

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
BUDGET = 1_500_000
LARGEST = 64


@dataclass(frozen=True)
class Strip:
    """A row of images as a data address; ``label`` says whose, ``note`` which seed."""

    label: str
    note: str
    source: str
    width: int
    height: int


def example_strips(block: Block, share: int) -> list[Strip]:
    """The test images, once, and what the lowest seed of each configuration makes of them.

    Args:
        block: The configurations on one dataset.
        share: For how many datasets the page's budget of bytes has to do.

    Raises: UserError if a file of examples is damaged.
    """
    originals: dict[bytes, Pixels] = {}
    rows: list[tuple[str, str, Pixels]] = []
    for group in block.groups:
        found = next((examples for run in group.measured if (examples := _load(run)) is not None), None)
        if found is None:
            continue
        run, images, made = found
        if originals.setdefault(images.tobytes(), images) is images:
            rows.append(("test images" if len(originals) == 1 else "test images of the rows below", "", images))
        if made is not None:
            rows.append((group.label, f"seed {run.config.seed}", made))
    side = _side(len(rows) * share)
    return [_strip(label, note, pixels, side) for label, note, pixels in rows]


def _load(run: Run) -> tuple[Run, Pixels, Pixels | None] | None:
    file = run.directory.arrays_file
    if not file.exists():
        return None
    try:
        tensors = load_file(file)
        made = tensors.get("reconstructions")
        return run, _bytes(tensors["images"]), None if made is None else _bytes(made)
    except (OSError, SafetensorError, KeyError) as error:
        raise UserError(
            f"{file} is damaged ({error}): delete it and run ssl-bench analyze {run.directory.path}"
        ) from error


def _bytes(images: np.ndarray[Any, Any]) -> Pixels:
    """Floats in 0..1 to pixels; other numbers of channels than 1 and 3 are shown by their mean. -> ``(N, H, W, C)``."""
    if images.shape[1] not in (1, 3):
        images = images.mean(axis=1, keepdims=True)
    pixels: Pixels = np.rint(np.clip(images, 0, 1) * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    return pixels


def _side(rows: int) -> int:
    """Largest side in pixels with which all rows (8 images, 3 bytes a pixel, hardly compressed) keep to the budget."""
    return max(16, min(LARGEST, int((BUDGET / max(rows, 1) / 24) ** 0.5)))


def _strip(label: str, note: str, pixels: Pixels, side: int) -> Strip:
    """Images side by side, a gap of an eighth between them; larger ones are scaled down to ``side``."""
    images = [Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image) for image in pixels]
    if images[0].width > side:
        images = [image.resize((side, side), Image.Resampling.BOX) for image in images]
    size = images[0].width
    step = size + max(1, size // 8)
    sheet = Image.new("RGBA", (step * len(images) - (step - size), size))
    for position, image in enumerate(images):
        sheet.paste(image.convert("RGBA"), (position * step, 0))
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG", optimize=True)
    source = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    return Strip(label, note, source, sheet.width, sheet.height)
