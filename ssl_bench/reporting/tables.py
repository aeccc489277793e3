"""The tables of a report, as text: the page, the Markdown and the tests read the same cells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ssl_bench.reporting.bands import (
    BASES,
    QUANTITIES,
    BandRow,
    BandTimes,
    Edges,
    Quantity,
    band_row,
    by_edges,
    chance_of,
)
from ssl_bench.reporting.collect import Run
from ssl_bench.reporting.compared import compare_groups
from ssl_bench.reporting.groups import Block, Group
from ssl_bench.reporting.numbers import (
    NOTHING,
    band_range,
    count,
    decimal,
    half_time,
    number,
    percent,
    percent_range,
    seconds,
)
from ssl_bench.reporting.spread import Spread
from ssl_bench.spectrum.names import BASIS_NAMES, QUANTITY_NAMES


@dataclass(frozen=True)
class Cell:
    """What a cell says, and a smaller remark below it.

    ``mark`` sets it off: ``best``, or ``highest mean`` where others are not told apart from it, which say so. ``value``
    is the raw number behind the text, where it is one.
    """

    text: str
    note: str = ""
    mark: str = ""
    value: float | None = None


@dataclass(frozen=True)
class Plot:
    """Where a row's seeds, their mean and the interval lie on the table's common axis, in percent of its width."""

    seeds: tuple[float, ...]
    mean: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Row:
    """One line; ``reference`` sets reference lines apart."""

    cells: tuple[Cell, ...]
    reference: bool = False
    plot: Plot | None = None


@dataclass(frozen=True)
class Axis:
    """The common axis of a table's plots: its ends as text, and where chance lies, in percent of its width."""

    low: str
    high: str
    chance: float | None


@dataclass(frozen=True)
class Table:
    """A table with its caption; the first column names the row, all others hold numbers or short words."""

    caption: str
    columns: tuple[Cell, ...]
    rows: tuple[Row, ...]
    axis: Axis | None = None


PROBE_COLUMNS = (
    Cell("configuration"),
    Cell("linear top-1", "%, mean ± sd over seeds"),
    Cell("n", "seeds"),
    Cell("95 % interval", "of the mean, %"),
    Cell("k-NN top-1", "%, mean ± sd"),
    Cell("protocol"),
    Cell("learning rates", "selected, by seed"),
    Cell("epochs"),
    Cell("samples seen"),
    Cell("training", "s, mean"),
    Cell("status"),
)


def probe_table(block: Block) -> Table:
    """One row a configuration, best first, then the reference lines; marked which are best as far as can be told."""
    low, high = _axis_ends(block)
    compared = compare_groups(block)

    def place(share: float) -> float:
        return round(100 * min(max((share - low) / (high - low), 0.0), 1.0), 2)

    def plot(group: Group) -> Plot | None:
        if group.linear is None:
            return None
        interval = group.linear.interval
        shown = None if interval is None else (place(interval[0]), place(interval[1]))
        return Plot(tuple(place(value) for value in group.linear.values), place(group.linear.mean), shown)

    chance = "" if block.chance is None else f" Chance (the commonest class) is {percent(block.chance)} %."
    marked = (
        " Best is only what is told apart from every other by a paired t-test over seeds, corrected by Holm. What is "
        "not told apart from the highest mean is marked so, with the difference in points over shared seeds: that they "
        "are equally good is not said."
        if compared.best
        else ""
    )
    return Table(
        caption=f"Probes of frozen embeddings on {block.dataset}.{chance}{marked} Where n = 1 the brackets are the "
        "95 % bootstrap interval over test images of that one run, not a spread over seeds. Reference lines are shown "
        "beside what is compared, and are no part of it.",
        columns=PROBE_COLUMNS,
        rows=tuple(
            Row(_probe_cells(group, compared.mark(group)), group.reference, plot(group)) for group in block.groups
        ),
        axis=Axis(percent(low), percent(high), None if block.chance is None else place(block.chance)),
    )


def _probe_cells(group: Group, mark: str) -> tuple[Cell, ...]:
    name = Cell(group.label, f"{group.note}; reference line" if group.reference else group.note, mark)
    runs = group.probed or group.runs
    effort = (
        Cell(_distinct([number(run.summary["epochs"]) for run in runs])),
        Cell(_distinct([count(run.summary["samples_seen"]) for run in runs])),
        Cell(_mean_seconds(runs)),
        Cell(group.status),
    )
    linear, knn = group.linear, group.knn
    if linear is None or knn is None:
        return (name, Cell(NOTHING), Cell("0"), *(Cell(NOTHING) for _ in range(4)), *effort)
    probes = [run.probe for run in group.probed if run.probe is not None]
    if linear.sd is not None:
        value = Cell(f"{percent(linear.mean)} ± {percent(linear.sd)}", mark=mark, value=linear.mean)
    else:
        ends = linear.interval
        value = Cell(
            percent(linear.mean),
            f"[{percent(ends[0])}, {percent(ends[1])}] bootstrap" if ends else "",
            mark,
            linear.mean,
        )
    near = percent(knn.mean) if knn.sd is None else f"{percent(knn.mean)} ± {percent(knn.sd)}"
    return (
        name,
        value,
        Cell(str(linear.n), value=linear.n),
        _range_cell(linear),
        Cell(near, value=knn.mean),
        Cell(_distinct([str(probe["protocol"]) for probe in probes])),
        Cell(", ".join(number(probe["selected_lr"]) for probe in probes)),
        *effort,
    )


def _range_cell(linear: Spread) -> Cell:
    """The interval of the mean of several seeds, and their lowest and highest; one seed has neither."""
    if linear.n == 1 or linear.interval is None:
        return Cell(NOTHING)
    seeds = percent_range(min(linear.values), max(linear.values))
    return Cell(percent_range(*linear.interval), f"seeds {seeds}", value=linear.interval[0])


def band_tables(block: Block, basis: str, quantity: Quantity) -> list[Table]:
    """Half-times and final values a band, one table a set of bands."""
    tables = []
    for cut, members in by_edges(block.groups, basis).items():
        rows = [row for group, runs in members if (row := band_row(group, runs, basis, quantity)) is not None]
        if rows:
            fractions = _fractions(members[0][1][0], basis)
            chances = _chance_rows(members, basis) if quantity == "decodability" else []
            tables.append(_band_table(block, basis, quantity, cut, rows, fractions, chances))
    return tables


def all_band_tables(block: Block) -> list[Table]:
    """The tables of bands of both bases and both quantities."""
    return [table for basis in BASES for quantity in QUANTITIES for table in band_tables(block, basis, quantity)]


def _band_table(
    block: Block,
    basis: str,
    quantity: Quantity,
    cut: Edges,
    rows: Sequence[BandRow],
    fractions: Sequence[float],
    chances: Sequence[Row],
) -> Table:
    ranges = [band_range(basis, low, high) for low, high in cut]
    columns = [Cell(text, f"{percent(share)} %") for text, share in zip(ranges, fractions, strict=True)]
    final, reached = ("R²", "half of its final value") if quantity == "decodability" else ("error", "one half")
    return Table(
        caption=f"{QUANTITY_NAMES[quantity].capitalize()}, {BASIS_NAMES[basis]}, {block.dataset}: samples seen "
        f"when a band first reached {reached} (median over seeds analyzed from their start on; start is before any "
        f"training, never counts as later than all), and below it the {final} at the end (mean over seeds). "
        "Order is the rank correlation (gamma) of half-time with band number (median over seeds): 1 means band "
        f"after band, from the {'largest variance down' if basis == 'pca' else 'lowest frequency up'}. "
        "Below each band's range is its share of the images' variance."
        + (" Chance is what as many random directions of the images hold." if chances else ""),
        columns=(Cell("configuration"), *columns, Cell("order", "rank correlation"), Cell("n", "seeds")),
        rows=(*(_band_cells(row, final) for row in rows), *chances),
    )


def _chance_rows(members: Sequence[tuple[Group, Sequence[Run]]], basis: str) -> list[Row]:
    """A line of chance for each width of the embeddings: of whom, if there are several."""
    found: dict[tuple[str, ...], list[str]] = {}
    for group, runs in members:
        values = chance_of(runs, basis)
        if values is not None:
            found.setdefault(tuple(decimal(value) for value in values), []).append(group.label)
    rest = (Cell(NOTHING), Cell(NOTHING))
    return [
        Row((Cell("chance", ", ".join(labels) if len(found) > 1 else ""), *_chance_cells(texts), *rest), reference=True)
        for texts, labels in found.items()
    ]


def _chance_cells(texts: Sequence[str]) -> list[Cell]:
    return [Cell(NOTHING, f"R² {text}") for text in texts]


def _band_cells(row: BandRow, final: str) -> Row:
    order = Cell(decimal(row.order), "" if row.order_n in (0, row.n) else f"{row.order_n} of {row.n} seeds")
    cells = [Cell(_half_time(times), f"{final} {decimal(times.final)}") for times in row.bands]
    return Row((Cell(row.group.label, row.group.note), *cells, order, Cell(str(row.n))), row.group.reference)


def _half_time(times: BandTimes) -> str:
    if times.half_time is None or times.reached in (0, times.n):
        return half_time(times.half_time)
    if math.isinf(times.half_time):
        return f"never ({times.reached} of {times.n} did)"
    return f"{half_time(times.half_time)} ({times.reached} of {times.n} did)"


def runs_table(runs: Sequence[Run]) -> Table:
    """One row a run: which it is, where it ran."""
    columns = ("run directory", "id", "seed", "status", "precision", "device", "commit", "started (UTC)")
    rows = []
    for run in runs:
        record = run.record
        hardware = record.get("hardware", {})
        device = str(record.get("device", NOTHING))
        machine = hardware.get("gpu") if device.startswith("cuda") else hardware.get("processor")
        cells = (
            Cell(run.name, run.summary["error"] or ""),
            Cell(str(record["id"])),
            Cell(str(run.config.seed)),
            Cell(run.status),
            Cell(str(record.get("precision", NOTHING))),
            Cell(device, str(machine or "")),
            Cell(str(record.get("git") or NOTHING)),
            Cell(str(record.get("created", NOTHING)).replace("T", " ").removesuffix("+00:00")),
        )
        rows.append(Row(cells, run.reference))
    return Table("Every run of this report.", tuple(Cell(column) for column in columns), tuple(rows))


def _fractions(run: Run, basis: str) -> list[float]:
    assert run.spectrum is not None
    return [band["variance_fraction"] for band in run.spectrum[basis]]


def _axis_ends(block: Block) -> tuple[float, float]:
    """Multiples of 5 % around all values and chance."""
    values = [] if block.chance is None else [block.chance]
    for group in block.groups:
        if group.linear is not None:
            values += [*group.linear.values, *(group.linear.interval or ())]
    low = math.floor(min(values, default=0.0) * 20) / 20
    high = math.ceil(max(values, default=1.0) * 20) / 20
    return (low, high) if high > low else (low, low + 0.05)


def _mean_seconds(runs: Sequence[Run]) -> str:
    given = [run.summary["seconds"] for run in runs]
    return seconds(sum(given) / len(given))


def _distinct(texts: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(texts))
