"""Band curves and half-times over seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ssl_bench.across_runs import followed
from ssl_bench.reporting.collect import Run
from ssl_bench.reporting.groups import Group
from ssl_bench.spectrum.names import HALF_TIMES

# Of all that are measured, those a report draws: the others repeat them.
BASES = ("pca", "radial")
Quantity = Literal["decodability", "relative_error"]
QUANTITIES: tuple[Quantity, ...] = ("decodability", "relative_error")
Bands = Sequence[dict[str, Any]]
Edges = tuple[tuple[float, float], ...]
Values = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Curves:
    """One quantity of each band over a configuration's snapshots: mean over seeds, the lowest and the highest.

    Shapes: samples ``(S,)``, values, low and high ``(S, bands)``.
    """

    samples: tuple[int, ...]
    values: Values
    low: Values
    high: Values
    n: int


@dataclass(frozen=True)
class BandTimes:
    """One band of one configuration.

    ``half_time`` is the median in samples seen over the ``n`` seeds that were followed from their start, where *never*
    counts as infinite; ``None`` where there is no such seed. ``reached`` of these ``n`` have one. ``final`` is the mean
    of the last snapshots of all seeds.
    """

    half_time: float | None
    reached: int
    n: int
    final: float


@dataclass(frozen=True)
class BandRow:
    """One configuration in a table of bands.

    ``order`` is the median rank correlation over the ``order_n`` of ``n`` seeds that have one.
    """

    group: Group
    bands: tuple[BandTimes, ...]
    order: float | None
    order_n: int
    n: int


def edges(run: Run, basis: str) -> Edges:
    """The ranges of a run's bands: what has to agree before bands are compared."""
    assert run.spectrum is not None
    return tuple((band["low"], band["high"]) for band in run.spectrum[basis])


def by_edges(groups: Sequence[Group], basis: str) -> dict[Edges, list[tuple[Group, tuple[Run, ...]]]]:
    """Configurations, with their measured runs, by the bands they were measured in."""
    found: dict[Edges, list[tuple[Group, tuple[Run, ...]]]] = {}
    for group in groups:
        for cut in dict.fromkeys(edges(run, basis) for run in group.measured):
            found.setdefault(cut, []).append((group, tuple(run for run in group.measured if edges(run, basis) == cut)))
    return found


def chance_of(runs: Sequence[Run], basis: str) -> list[float] | None:
    """What as many random directions hold of each band; ``None`` where that was not measured."""
    bands = [] if runs[0].spectrum is None else runs[0].spectrum[basis]
    chance = [band.get("decodability_chance") for band in bands]
    return chance if chance and all(value is not None for value in chance) else None


def mean_curves(runs: Sequence[Run], basis: str, quantity: Quantity) -> Curves | None:
    """Over seeds at the snapshots all runs have; ``None`` without the quantity, or without such a snapshot."""
    curves = [_curve(run, basis, quantity) for run in runs]
    if not curves or not all(curves):
        return None
    shared = sorted(set.intersection(*(set(curve) for curve in curves)))
    if not shared:
        return None
    values = np.array([[curve[samples] for samples in shared] for curve in curves], dtype=np.float64)
    return Curves(tuple(shared), values.mean(axis=0), values.min(axis=0), values.max(axis=0), len(runs))


def band_row(group: Group, runs: Sequence[Run], basis: str, quantity: Quantity) -> BandRow | None:
    """Half-times and final values of one configuration; ``None`` if it lacks the quantity."""
    spectra = [run.spectrum[basis] for run in runs if run.spectrum is not None]
    if any(band[quantity] is None for bands in spectra for band in bands):
        return None
    trained = [run.spectrum for run in runs if run.spectrum is not None and followed(run.directory, run.spectrum)]
    times = tuple(_times(spectra, [one[basis] for one in trained], index, quantity) for index in range(len(spectra[0])))
    orders = [one["order"][basis][HALF_TIMES[quantity]] for one in trained]
    found = [order for order in orders if order is not None]
    return BandRow(group, times, statistics.median(found) if found else None, len(found), len(runs))


def _times(every: Sequence[Bands], trained: Sequence[Bands], index: int, quantity: Quantity) -> BandTimes:
    given = [bands[index][HALF_TIMES[quantity]] for bands in trained]
    reached = sum(value is not None for value in given)
    median = float(np.median([math.inf if value is None else value for value in given])) if reached else math.inf
    final = statistics.fmean(bands[index][quantity] for bands in every)
    return BandTimes(median if trained else None, reached, len(given), final)


def _curve(run: Run, basis: str, quantity: Quantity) -> dict[int, list[float]]:
    """Values a band by samples seen; empty if there are none."""
    assert run.spectrum is not None
    rows = [(row["samples_seen"], row[basis][quantity]) for row in run.spectrum["snapshots"]]
    return {} if any(values is None for _, values in rows) else dict(rows)
