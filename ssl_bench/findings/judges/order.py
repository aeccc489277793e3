"""Reconstruction learns by variance: when each objective learned which band of principal components."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from matplotlib.figure import Figure

from ssl_bench.findings.evidence import BySeed, Evidence, Row, by_seed, gamma, select
from ssl_bench.findings.pictures import PALETTE, curves_figure
from ssl_bench.findings.verdict import Effect, Outcome, Verdict, unit_interval
from ssl_bench.reporting.bands import QUANTITIES, Quantity
from ssl_bench.reporting.numbers import NOTHING, band_range, decimal, half_time, percent
from ssl_bench.reporting.tables import Cell, Table
from ssl_bench.reporting.tables import Row as Line

ORDERS = ("autoencoder", "denoising", "mae", "simclr")
HALF_TIMES: dict[Quantity, str] = {"relative_error": "half_time", "decodability": "decodability_half_time"}
LEAST = 0.8


def judge(evidence: Evidence) -> Outcome:
    """Verdicts on ``error_by_variance``, ``masked_too`` and ``decodability``."""
    rows = evidence.every()
    by_error = {name: by_seed(select(rows, objective=name), gamma("half_time")) for name in ORDERS}
    decoded = {name: by_seed(select(rows, objective=name), gamma("decodability_half_time")) for name in ORDERS}
    return Outcome(
        {
            "error_by_variance": Verdict(
                tuple(_follows(name, by_error[name], _seeds(rows, name)) for name in ("autoencoder", "denoising"))
            ),
            "masked_too": Verdict((_follows("mae", by_error["mae"], _seeds(rows, "mae")),)),
            "decodability": Verdict(
                (_less(decoded["simclr"], decoded["autoencoder"], _seeds(rows, "simclr", "autoencoder")),)
            ),
        },
        tables=tuple(_table(rows, quantity) for quantity in QUANTITIES),
        figure=_figure(rows),
        description="Half-time of each band of principal components, by objective",
    )


def _seeds(rows: Sequence[Row], *names: str) -> int:
    """How many seeds these objectives were given, whatever became of their runs."""
    return len({row["seed"] for name in names for row in select(rows, objective=name)})


def _each(values: Sequence[float], asked: int, holds: Callable[[float], bool]) -> bool | None:
    """Whether something holds for every seed: one against it decides, and a missing one leaves it open."""
    if not all(map(holds, values)):
        return False
    return True if values and len(values) == asked else None


def _of(found: int, asked: int) -> str:
    return "seeds" if found == asked else f"of {asked} seeds"


def _follows(name: str, values: BySeed, asked: int) -> Effect:
    what = f"{name}, gamma of the error's half-times"
    found = list(values.values())
    of = _of(len(found), asked)
    if not found:
        return Effect(what, None, None, None, 0, None, unit="", of=of)
    held = _each(found, asked, lambda value: value > LEAST)
    return Effect(what, statistics.fmean(found), unit_interval(found), None, len(found), held, unit="", of=of)


def _less(first: BySeed, second: BySeed, asked: int) -> Effect:
    what = "gamma of decodability half-times, simclr less autoencoder"
    shared = [first[seed] - second[seed] for seed in sorted(first.keys() & second.keys())]
    of = _of(len(shared), asked)
    if not shared:
        return Effect(what, None, None, None, 0, None, unit="", of=of)
    held = _each(shared, asked, lambda value: value < 0)
    return Effect(what, statistics.fmean(shared), unit_interval(shared, 2.0), None, len(shared), held, unit="", of=of)


def _bands(rows: Sequence[Row], name: str) -> list[list[dict[str, object]]]:
    """The bands of each seed of an objective that has spectra."""
    return [row["spectrum"]["pca"] for row in select(rows, objective=name) if row.get("spectrum")]


def _median(bands: list[list[dict[str, object]]], index: int, key: str) -> float | None:
    """Median half-time over seeds, infinite where most never reached it; ``None`` without seeds."""
    times = [float("inf") if one[index][key] is None else float(str(one[index][key])) for one in bands]
    return statistics.median(times) if times else None


def _table(rows: Sequence[Row], quantity: Quantity) -> Table:
    key, lines = HALF_TIMES[quantity], []
    first = next((one for name in ORDERS for one in _bands(rows, name)), [])
    for name in ORDERS:
        bands = _bands(rows, name)
        if not bands or any(band[quantity] is None for one in bands for band in one):
            continue
        cells = [Cell(half_time(_median(bands, index, key))) for index in range(len(first))]
        gammas = list(by_seed(select(rows, objective=name), gamma(key)).values())
        shown = decimal(statistics.median(gammas)) if gammas else NOTHING
        between = f"{decimal(min(gammas))} to {decimal(max(gammas))}" if gammas else ""
        lines.append(Line((Cell(name), *cells, Cell(shown, between), Cell(str(len(bands))))))
    columns = [
        Cell(
            band_range("pca", float(str(band["low"])), float(str(band["high"]))),
            f"{percent(float(str(band['variance_fraction'])))} %",
        )
        for band in first
    ]
    what = (
        "error of the reconstruction was halved"
        if quantity == "relative_error"
        else "decodability was half its final value"
    )
    caption = (
        f"Images seen when a band's {what}: median over seeds. Below each band its share of the variance. Gamma: "
        "median and range over seeds."
    )
    return Table(caption, (Cell(""), *columns, Cell("gamma"), Cell("n")), tuple(lines))


def _figure(rows: Sequence[Row]) -> Figure:
    figure, panels = curves_figure(2, "band, largest variance first", "images seen at half-time")
    for axes, quantity in zip(panels, ("relative_error", "decodability"), strict=True):
        key = "half_time" if quantity == "relative_error" else "decodability_half_time"
        for colour, name in zip(PALETTE, ORDERS, strict=False):
            for place, bands in enumerate(_bands(rows, name)):
                known = [(band["index"], band[key]) for band in bands if band[key] and band[quantity] is not None]
                if known:
                    across, upwards = zip(*known, strict=True)
                    label = name if place == 0 else None
                    axes.plot(across, upwards, color=colour, marker="o", markersize=3, alpha=0.8, label=label)
        axes.set_yscale("log")
        axes.set_title("error of the reconstruction" if quantity == "relative_error" else "decodability")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False)
    return figure
