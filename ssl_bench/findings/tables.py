"""Cells that findings share."""

from __future__ import annotations

from collections.abc import Mapping

from ssl_bench.reporting.numbers import NOTHING, decimal
from ssl_bench.reporting.spread import spread
from ssl_bench.reporting.tables import Cell


def spread_cell(values: Mapping[int, float], percent: bool = False, digits: int = 1) -> Cell:
    """Mean ± sd of a value by seed; shares in percent with one decimal."""
    if not values:
        return Cell(NOTHING)
    factor = 100 if percent else 1
    found = spread([factor * value for value in values.values()])
    words = decimal(found.mean, digits)
    return Cell(words if found.sd is None else f"{words} ± {decimal(found.sd, digits)}")
