"""The first screen: each configuration's linear probe on one axis, and what it spent its capacity on, band by band."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ssl_bench.reporting.bands import QUANTITIES, Quantity, edges
from ssl_bench.reporting.content import Section
from ssl_bench.reporting.drawings import numbered
from ssl_bench.reporting.groups import Group
from ssl_bench.reporting.numbers import band_range, decimal, percent
from ssl_bench.reporting.palette import level
from ssl_bench.reporting.tables import Axis, Plot

BASIS = "pca"


@dataclass(frozen=True)
class BandCell:
    """One band at the end of training: its colour (``None`` without a number), and what it is in words."""

    level: int | None
    text: str


@dataclass(frozen=True)
class AnswerRow:
    """One configuration on the first screen; ``held`` and ``rebuilt`` are empty where it was not measured."""

    label: str
    note: str
    reference: bool
    mark: str
    value: str
    colour: int | None
    plot: Plot | None
    held: tuple[BandCell, ...]
    rebuilt: tuple[BandCell, ...]


@dataclass(frozen=True)
class Answer:
    """The rows, their axis, and where the reference lines cross it, in percent of its width."""

    rows: tuple[AnswerRow, ...]
    axis: Axis | None
    lines: tuple[float, ...]

    @property
    def has_strips(self) -> bool:
        """Whether anything was analyzed."""
        return any(row.held for row in self.rows)


def make_answer(section: Section) -> Answer:
    """Sum up a dataset: the rows of its table of probes, with strips of bands beside them."""
    rows = []
    for (group, index), row in zip(numbered(section.block), section.probes.rows, strict=True):
        strips = {quantity: tuple(_strip(group, quantity)) for quantity in QUANTITIES}
        rows.append(
            AnswerRow(
                label=group.label,
                note=group.note,
                reference=group.reference,
                mark=next((cell.mark for cell in row.cells if cell.mark), ""),
                value=row.cells[1].text,
                colour=None if group.reference else index % 8,
                plot=row.plot,
                held=strips["decodability"],
                rebuilt=strips["relative_error"],
            )
        )
    lines = tuple(row.plot.mean for row in rows if row.reference and row.plot is not None)
    return Answer(tuple(rows), section.probes.axis, lines)


def _strip(group: Group, quantity: Quantity) -> list[BandCell]:
    """Mean over seeds at the last snapshot, of the runs measured in the same bands as the first."""
    runs = [run for run in group.measured if edges(run, BASIS) == edges(group.measured[0], BASIS)]
    spectra: list[Sequence[dict[str, Any]]] = [run.spectrum[BASIS] for run in runs if run.spectrum is not None]
    if not spectra or any(bands is None for bands in spectra):
        return []
    cells = []
    for index, band in enumerate(spectra[0]):
        values = [bands[index][quantity] for bands in spectra]
        if any(value is None for value in values):
            return []
        mean = statistics.fmean(values)
        shown = mean if quantity == "decodability" else 1 - mean
        of = "R²" if quantity == "decodability" else "error"
        where = f"components {band_range(BASIS, band['low'], band['high'])}"
        share = percent(band["variance_fraction"])
        cells.append(BandCell(level(shown), f"{where} ({share} % of the variance): {of} {decimal(mean)}"))
    return cells
