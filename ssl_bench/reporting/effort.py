"""Accuracy against effort: what a configuration reads after so many samples, seconds and operations."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ssl_bench.reporting.collect import Run
from ssl_bench.reporting.costs import cost_numbers
from ssl_bench.reporting.groups import Block, Group
from ssl_bench.reporting.numbers import count, half_time, percent
from ssl_bench.reporting.spread import spread
from ssl_bench.reporting.tables import Cell, Row, Table
from ssl_bench.spectrum.half_times import first_crossing

LINEAR, RIDGE = "linear probe", "ridge readout of the analysis"
# How many snapshots a table holds; of more, so many are chosen, evenly.
COLUMNS = 10
NEARLY = 0.9

Point = tuple[int, float]


@dataclass(frozen=True)
class AccuracyCurve:
    """Accuracy of one configuration at its snapshots, mean over seeds.

    ``measure`` says whose accuracy it is: of the linear probe where several snapshots were probed, else of the ridge
    classifier that the analysis fits at each snapshot, on fewer images; the two do not compare. ``samples`` are those
    all seeds have. ``seconds`` and ``flops`` are means over seeds, ``None`` where not recorded: seconds of training,
    taken to pass evenly over its steps. ``low`` and ``high`` are a 95 % t interval over seeds; with one seed both are
    the mean, as its spread is not known. ``nearly`` is the median over seeds of the samples at which a curve first
    reached 90 % of its own last value. ``images`` is how many test images the accuracies are of.

    All tuples have one entry a snapshot; accuracies are in 0..1.
    """

    label: str
    note: str
    reference: bool
    measure: str
    images: int | None
    samples: tuple[int, ...]
    seconds: tuple[float | None, ...]
    flops: tuple[float | None, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    n: int
    nearly: float | None


def accuracy_curves(block: Block) -> tuple[AccuracyCurve, ...]:
    """The curve of each configuration that was measured at two snapshots at least, best probe first."""
    return tuple(curve for group in block.groups if (curve := _curve(group)) is not None)


def effort_table(block: Block, curves: Sequence[AccuracyCurve]) -> Table | None:
    """The numbers of the curves; ``None`` without any."""
    if not curves:
        return None
    columns = _chosen(sorted({samples for curve in curves for samples in curve.samples}))
    return Table(
        caption=f"Accuracy on {block.dataset} (%, mean over seeds) after so many samples, and when a configuration "
        "first reached 90 % of its own last value (median over seeds, interpolated between snapshots on a logarithmic "
        f"axis): a small number says that it was soon done, not that it is good. {_measures(curves)}",
        columns=(
            Cell("configuration"),
            Cell("accuracy of"),
            *(Cell(half_time(samples), "samples") for samples in columns),
            Cell("90 % of its own", "samples"),
            Cell("n", "seeds"),
        ),
        rows=tuple(_row(curve, columns) for curve in curves),
    )


def _measures(curves: Sequence[AccuracyCurve]) -> str:
    """What the accuracies are of."""
    if all(curve.measure == LINEAR for curve in curves):
        return "Accuracy is that of the linear probe at each snapshot."
    return (
        "The linear probe was not made at each snapshot (evaluation.snapshot=all does). The ridge readout is a ridge "
        "classifier that the analysis fits to the embeddings of its own training images, tested on the few test images "
        "it also alters: a coarse curve, to compare with others of its kind, not with the linear probe."
    )


def _row(curve: AccuracyCurve, columns: Sequence[int]) -> Row:
    values = dict(zip(curve.samples, curve.mean, strict=True))
    cells = [Cell(percent(values.get(samples)), value=values.get(samples)) for samples in columns]
    own = Cell(half_time(curve.nearly), value=curve.nearly)
    name = Cell(curve.label, curve.note)
    of = Cell(curve.measure, "" if curve.images is None else f"{count(curve.images)} test images")
    return Row((name, of, *cells, own, Cell(str(curve.n), value=curve.n)), curve.reference)


def _curve(group: Group) -> AccuracyCurve | None:
    runs = [run for run in group.runs if run.finished]
    for measure, read in ((LINEAR, _probed), (RIDGE, _read_out)):
        found = [(run, points) for run in runs if len(points := dict(read(run))) > 1]
        shared = sorted(set.intersection(*(set(points) for _, points in found))) if found else []
        if len(shared) < 2:
            continue
        seeds = [[points[samples] for samples in shared] for _, points in found]
        spreads = [spread(values) for values in zip(*seeds, strict=True)]
        ends = [(one.mean, one.mean) if one.interval is None else one.interval for one in spreads]
        nearly = [first_crossing(shared, values, NEARLY * values[-1], falling=False) for values in seeds]
        times = [value for value in nearly if value is not None]
        return AccuracyCurve(
            label=group.label,
            note=group.note,
            reference=group.reference,
            measure=measure,
            images=_images(found[0][0], measure),
            samples=tuple(shared),
            seconds=_effort([run for run, _ in found], "train_seconds", shared),
            flops=_effort([run for run, _ in found], "flops_training", shared),
            mean=tuple(one.mean for one in spreads),
            low=tuple(low for low, _ in ends),
            high=tuple(high for _, high in ends),
            n=len(found),
            nearly=statistics.median(times) if times else None,
        )
    return None


def _effort(runs: Sequence[Run], key: str, samples: Sequence[int]) -> tuple[float | None, ...]:
    """The share of a run's whole effort after so many samples, mean over runs."""
    each = [(cost_numbers(run)[key], run.summary["samples_seen"]) for run in runs]
    known = [(effort, seen) for effort, seen in each if effort is not None and seen]
    if len(known) < len(each):
        return (None,) * len(samples)
    return tuple(statistics.fmean(effort * after / seen for effort, seen in known) for after in samples)


def _probed(run: Run) -> Iterator[Point]:
    """Accuracies of the linear probe by samples seen."""
    for entry in run.evaluation["snapshots"] if run.evaluation is not None else []:
        yield int(entry["samples_seen"]), float(entry["linear_top1"])


def _read_out(run: Run) -> Iterator[Point]:
    """Accuracies of the ridge classifier by samples seen; rows of earlier versions have none."""
    for row in run.spectrum["snapshots"] if run.spectrum is not None else []:
        if row.get("accuracy") is not None:
            yield int(row["samples_seen"]), float(row["accuracy"])


def _images(run: Run, measure: str) -> int | None:
    """How many test images an accuracy is of."""
    evaluation, spectrum = run.evaluation or {}, run.spectrum or {}
    entries = evaluation.get("snapshots") or [{}]
    tested = entries[-1].get("test_samples")
    altered = spectrum.get("settings", {}).get("altered_samples")
    found = tested if measure == LINEAR else min((one for one in (tested, altered) if one), default=None)
    return int(found) if found else None


def _chosen(samples: Sequence[int]) -> list[int]:
    """At most so many of them, evenly, first and last included."""
    if len(samples) <= COLUMNS:
        return list(samples)
    step = (len(samples) - 1) / (COLUMNS - 1)
    return [samples[round(place * step)] for place in range(COLUMNS)]
