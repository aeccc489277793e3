"""All figures of one dataset, for the page and for papers."""

from __future__ import annotations

from dataclasses import dataclass

from ssl_bench.reporting.content import Section
from ssl_bench.reporting.drawings import Drawing, band_drawings, loss_drawing
from ssl_bench.reporting.effort_drawings import effort_drawings
from ssl_bench.reporting.more_drawings import (
    SENSITIVITIES,
    embedding_drawing,
    noise_drawings,
    sensitivity_drawing,
    token_drawing,
)


@dataclass(frozen=True)
class Gallery:
    """The figures by what they are of; empty or ``None`` where there are no numbers."""

    effort: tuple[Drawing, ...]
    bands: tuple[Drawing, ...]
    noise: tuple[Drawing, ...]
    embedding: Drawing | None
    sensitivity: tuple[Drawing, ...]
    tokens: Drawing | None
    losses: Drawing | None


def make_gallery(section: Section) -> Gallery:
    """Every figure of a dataset.

    Raises: UserError if a stored file is damaged.
    """
    block = section.block
    maps = [sensitivity_drawing(block, which) for which in SENSITIVITIES]
    return Gallery(
        effort=tuple(effort_drawings(block, section.accuracy)),
        bands=tuple(band_drawings(block)),
        noise=tuple(noise_drawings(block)),
        embedding=embedding_drawing(block),
        sensitivity=tuple(drawing for drawing in maps if drawing is not None),
        tokens=token_drawing(block),
        losses=loss_drawing(block),
    )
