"""What the page's script draws from: numbers as JSON that can stand inside HTML whatever texts are in it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ssl_bench.reporting.bands import QUANTITIES, Curves, Edges, Quantity, by_edges, chance_of, mean_curves
from ssl_bench.reporting.collect import Run
from ssl_bench.reporting.content import Section
from ssl_bench.reporting.drawings import numbered
from ssl_bench.reporting.effort import AccuracyCurve
from ssl_bench.reporting.groups import Block, Group
from ssl_bench.reporting.numbers import band_range, percent
from ssl_bench.reporting.palette import LEVELS, SVG_DASHES, dash

DIGITS = 4
BASES = ("pca", "radial")
BASIS_TITLES = {"pca": "principal components", "radial": "frequency, Fourier"}
UNITS = {"pca": "component", "radial": "cycles per pixel"}


def page_data(section: Section) -> dict[str, Any]:
    """One dataset's numbers: configurations with their colours, their accuracy, and curves of bands by basis."""
    block = section.block
    places = {group.label: place for place, group in enumerate(block.groups)}
    return {
        "levels": LEVELS,
        "configurations": [_configuration(group, index) for group, index in numbered(block)],
        "accuracy": [_accuracy(places[curve.label], curve) for curve in section.accuracy],
        "bases": [basis for name in BASES for basis in _bases(block, name)],
    }


def as_json(data: Any) -> str:
    """JSON in ASCII without a character that HTML could take for markup; numbers to four digits, all of them finite."""
    text = json.dumps(_plain(data), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _configuration(group: Group, index: int) -> dict[str, Any]:
    colour = "var(--muted)" if group.reference else f"var(--s{index % 8})"
    return {
        "label": group.label,
        "note": group.note,
        "reference": group.reference,
        "colour": colour,
        "dash": SVG_DASHES[dash(index, group.reference)],
    }


def _accuracy(place: int, curve: AccuracyCurve) -> dict[str, Any]:
    kept = ("measure", "n", "samples", "seconds", "flops", "mean", "low", "high")
    return {"configuration": place, **{name: getattr(curve, name) for name in kept}}


def _bases(block: Block, basis: str) -> list[dict[str, Any]]:
    """One entry a set of bands: only what was measured in the same ones is drawn together."""
    found = []
    cuts = by_edges(block.groups, basis)
    for cut, members in cuts.items():
        curves = [one for group, runs in members for one in _curves(block, group, runs, basis)]
        first = members[0][1][0].spectrum
        if not curves or first is None:
            continue
        title = BASIS_TITLES[basis] + (f", {len(cut)} bands" if len(cuts) > 1 else "")
        shares = [percent(band["variance_fraction"]) for band in first[basis]]
        found.append(
            {"title": title, "unit": UNITS[basis], "bands": _ranges(basis, cut), "shares": shares} | {"curves": curves}
        )
    return found


def _ranges(basis: str, cut: Edges) -> list[str]:
    return [band_range(basis, low, high) for low, high in cut]


def _curves(block: Block, group: Group, runs: Sequence[Run], basis: str) -> list[dict[str, Any]]:
    place = block.groups.index(group)
    found = []
    for quantity in QUANTITIES:
        curves = mean_curves(runs, basis, quantity)
        if curves is not None:
            chance = chance_of(runs, basis) if quantity == "decodability" else None
            found.append(_curve(place, quantity, curves) | ({} if chance is None else {"chance": chance}))
    return found


def _curve(place: int, quantity: Quantity, curves: Curves) -> dict[str, Any]:
    seeds = {} if curves.n == 1 else {"low": curves.low, "high": curves.high}
    return {
        "configuration": place,
        "quantity": quantity,
        "n": curves.n,
        "samples": list(curves.samples),
        "mean": curves.values,
        **seeds,
    }


def _plain(value: Any) -> Any:
    """Lists, numbers and texts only; what is no finite number is ``None``."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value
