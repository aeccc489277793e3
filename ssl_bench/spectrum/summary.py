"""From the rows of a run's snapshots to its bands: the values at the end, and when each came half-way there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ssl_bench.spectrum.bench import Bench
from ssl_bench.spectrum.half_times import first_crossing
from ssl_bench.spectrum.names import HALF_TIMES
from ssl_bench.spectrum.ordering import gamma
from ssl_bench.spectrum.patches import PatchPCABasis

# Below this final R^2, or above chance by less than this, a band was not learned and half of it is noise.
LEAST = 0.05
# What is copied from the last row as it is.
AS_IT_IS = ("trained", "accuracy", "embedding", "embedding_spectrum", "token_spectrum", "r2_gap")


def summarise(bench: Bench, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Bands of each basis at the last snapshot, with half-times over all: the ``BAND`` lists and their order."""
    summary: dict[str, Any] = {key: rows[-1][key] for key in AS_IT_IS}
    if "noise_power" in rows[-1]:  # measured at the end of a run, and not by earlier versions
        summary["noise_power"] = rows[-1]["noise_power"]
    chance = bench.chance(rows[-1]["dimension"])
    samples = [row["samples_seen"] for row in rows]
    for targets in bench.targets:
        name = targets.basis.name
        if isinstance(targets.basis, PatchPCABasis):
            summary["patch"] = targets.basis.patch  # the side asked for, or the nearest that divides the image
        curves = [row[name] for row in rows]
        summary[name] = [
            {
                "index": index,
                "low": band.low,
                "high": band.high,
                "directions": int(targets.basis.directions[index]),
                "frequency": _rounded(float(targets.frequency[index])),
                "variance_fraction": float(targets.variance_fraction[index]),
                **_values(samples, curves, index, bench.data.chance),
                "decodability_chance": chance[name][index],
            }
            for index, band in enumerate(targets.basis.bands)
        ]
    accuracies = [row["accuracy"] for row in rows]
    summary["accuracy_half_time"] = _half_time("accuracy", samples, accuracies, bench.data.chance)
    gaps = [row["r2_gap"]["gap"] for row in rows if row["r2_gap"] is not None]
    half = _half_time("r2_gap", samples, gaps, bench.data.chance) if len(gaps) == len(rows) else None
    summary["r2_gap_half_time"] = half
    names = [targets.basis.name for targets in bench.targets]
    summary["order"] = {
        name: {
            key: gamma([band[key] for band in summary[name]], range(len(summary[name]))) for key in HALF_TIMES.values()
        }
        for name in names
    }
    return summary


def _rounded(value: float) -> float | None:
    """To six decimals; JSON has no NaN: a band without energy has no frequency."""
    return round(value, 6) if math.isfinite(value) else None


def _values(samples: Sequence[int], curves: Sequence[dict[str, Any]], index: int, chance: float) -> dict[str, Any]:
    """Every quantity of one band at the last snapshot, and its half-time."""
    found: dict[str, Any] = {}
    for name in curves[-1]:
        curve = _curve(curves, name, index)
        key = "half_time" if name == "relative_error" else f"{name}_half_time"
        found[name] = curve[-1] if curve else None
        # One snapshot does not say when, not even one without training behind it.
        half = _half_time(name, samples, curve, chance) if curve and len(curve) > 1 else None
        found[key] = None if half is None else round(half, 1)
    return found


def _half_time(name: str, samples: Sequence[int], curve: Sequence[float], chance: float) -> float | None:
    """When a curve came half-way, by what the quantity is.

    An error is halved when it falls below 1/2; what is learned from nothing (R^2 from 0, an accuracy from chance) when
    it is half-way to its final value; anything else when it is half-way from its first value to its last.
    """
    final = curve[-1]
    if name == "relative_error":
        return first_crossing(samples, curve, 0.5, falling=True)
    if name == "decodability" or name.startswith("accuracy"):
        start = 0.0 if name == "decodability" else chance
        return None if final < start + LEAST else first_crossing(samples, curve, (start + final) / 2, falling=False)
    if final == curve[0]:
        return None
    return first_crossing(samples, curve, (curve[0] + final) / 2, falling=final < curve[0])


def _curve(curves: Sequence[dict[str, Any]], name: str, index: int) -> list[float] | None:
    """One band's values over the snapshots; ``None`` if any snapshot has none."""
    values = [None if curve[name] is None else curve[name][index] for curve in curves]
    known = [value for value in values if value is not None]
    return known if len(known) == len(values) else None
