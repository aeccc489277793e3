"""One configuration on several PCA subspaces of one dataset: accuracy beside what each subspace really holds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ssl_bench.reporting.collect import Run
from ssl_bench.reporting.groups import Block, Group
from ssl_bench.reporting.numbers import NOTHING, count, percent
from ssl_bench.reporting.references import published_subspaces
from ssl_bench.reporting.spread import Spread, overlap, spread
from ssl_bench.reporting.tables import Cell, Row, Table

SETTING = "dataset.subspace"
SIDES = ("all pixels", "top", "bottom", "random")
HEAD, PROBE = "own classifier", "linear probe"


@dataclass(frozen=True)
class Point:
    """One subspace: what it holds, and how well its images are told apart.

    ``variance`` is the actual share of the training images' variance, ``None`` where no run came that far; ``head`` is
    the test accuracy of the objective's own classifier.
    """

    name: str
    side: str
    nominal: float | None
    variance: float | None
    components: int | None
    of: int | None
    head: Spread | None
    linear: Spread | None
    status: str

    @property
    def control(self) -> bool:
        """Whether it is no point of a curve: random, chosen by number, or not renormalised."""
        if self.side == SIDES[0]:
            return False
        return self.side == "random" or "share=" not in self.name or "renormalise=" in self.name

    def accuracy(self, kind: str) -> Spread | None:
        """The accuracy of the own classifier (:data:`HEAD`) or of the linear probe."""
        return self.head if kind == HEAD else self.linear


@dataclass(frozen=True)
class SubspacePart:
    """All subspaces of one configuration; ``accuracy`` names what the figure and the findings are of.

    ``published`` holds what others found on subspaces of the same dataset with labels, ``None`` where nothing is known.
    """

    title: str
    points: tuple[Point, ...]
    accuracy: str
    chance: float | None
    findings: tuple[str, ...]
    table: Table
    published: Table | None = None

    @property
    def known(self) -> list[tuple[Point, Spread]]:
        """The points that have a place in the figure, with their accuracies."""
        return _known(self.points, self.accuracy)


def subspace_parts(blocks: Sequence[Block]) -> Iterator[SubspacePart]:
    """A part for each configuration that was run on more than one subspace of the same dataset."""
    found: dict[str, list[tuple[Block, Group]]] = {}
    for block in blocks:
        for group in block.groups:
            settings = {key: value for key, value in group.settings.items() if key != SETTING}
            found.setdefault(json.dumps(settings, sort_keys=True), []).append((block, group))
    for members in found.values():
        if len({group.settings.get(SETTING) for _, group in members}) > 1:
            yield _part(members)


def subspace_facts(run: Run) -> dict[str, Any]:
    """What run.json says of a run's subspace; empty for whole images, and for a run that did not come that far."""
    return dict(run.record.get("dataset", {}).get("subspace") or {})


def _part(members: Sequence[tuple[Block, Group]]) -> SubspacePart:
    block, group = members[0]
    points = tuple(sorted((_point(one) for _, one in members), key=_order))
    accuracy = HEAD if any(point.head is not None for point in points) else PROBE
    title = f"{group.label} ({group.note}) on {group.config.dataset.name}"
    findings = tuple(_findings(_known(points, accuracy), accuracy))
    table, published = _table(title, points, block.chance), published_subspaces(group)
    return SubspacePart(title, points, accuracy, block.chance, findings, table, published)


def _point(group: Group) -> Point:
    name = group.config.dataset.subspace
    facts = next((facts for run in group.runs if (facts := subspace_facts(run))), {})
    probes = [run.probe for run in group.probed if run.probe is not None]
    heads = [float(probe["head_top1"]) for probe in probes if probe.get("head_top1") is not None]
    return Point(
        name=name or SIDES[0],
        side=name.partition("(")[0] if name else SIDES[0],
        nominal=facts.get("nominal") if name else 1.0,
        variance=facts.get("variance") if name else 1.0,
        components=facts.get("components"),
        of=facts.get("of"),
        head=spread(heads, _head_interval(group.probed[0])) if heads else None,
        linear=group.linear,
        status=group.status,
    )


def _head_interval(run: Run) -> tuple[float, float] | None:
    """The bootstrap interval over test images of the own classifier."""
    entry = run.evaluation["snapshots"][-1] if run.evaluation is not None else {}
    head = entry.get("probes", {}).get("head")
    return None if head is None else (head["interval"][0], head["interval"][1])


def _order(point: Point) -> tuple[int, bool, float]:
    """By side, what was asked for by share before the controls, by what is held."""
    return SIDES.index(point.side), point.control, point.variance or 0.0


def _table(title: str, points: Sequence[Point], chance: float | None) -> Table:
    heads = any(point.head is not None for point in points)
    own = (Cell(HEAD, "top-1, %, mean ± sd"),) if heads else ()
    columns = (
        Cell("subspace"),
        Cell("nominal", "% of variance"),
        Cell("actual", "% of variance"),
        Cell("components"),
        *own,
        Cell("linear top-1", "%, mean ± sd"),
        Cell("n", "seeds"),
        Cell("status"),
    )
    chances = "" if chance is None else f" Chance is {percent(chance)} %."
    return Table(
        caption=f"{title}: trained and tested on images projected on some principal components of the training images. "
        "Nominal is the share of the variance that was asked for, actual the share that the kept components hold. "
        "Top keeps the largest components that together hold less than the nominal share, bottom the smallest that "
        "hold it or more. Shaded lines are controls: chosen by their number of dimensions, or not renormalised."
        + (" The own classifier is the objective's, on test images." if heads else "")
        + chances,
        columns=columns,
        rows=tuple(_row(point, heads) for point in points),
    )


def _row(point: Point, heads: bool) -> Row:
    own = (Cell(_value(point.head)),) if heads else ()
    there = point.components is not None
    cells = (
        Cell(point.name, "control" if point.control else ""),
        Cell(_share(None if point.side == SIDES[0] else point.nominal)),
        Cell(_share(point.variance)),
        Cell(count(point.components), f"of {count(point.of)}" if there else ""),
        *own,
        Cell(_value(point.linear)),
        Cell(str(0 if point.linear is None else point.linear.n)),
        Cell(point.status),
    )
    return Row(cells, point.control)


def _known(points: Sequence[Point], accuracy: str) -> list[tuple[Point, Spread]]:
    return [(point, value) for point in points if (value := point.accuracy(accuracy)) is not None and point.variance]


def _findings(known: Sequence[tuple[Point, Spread]], accuracy: str) -> Iterator[str]:
    """What the points say: whether less variance tells more, and what equal dimensions are worth."""
    asked = {
        side: [(one, value) for one, value in known if one.side == side and not one.control]
        for side in ("top", "bottom")
    }
    better = [
        (other.variance - one.variance, _against(one, value, other, less))
        for one, value in asked["bottom"]
        for other, less in asked["top"]
        if one.variance and other.variance and one.variance < other.variance and _clearly_above(value, less)
    ]
    if better:
        yield f"Less variance can tell more ({accuracy}): {max(better)[1]}."
    elif asked["top"] and asked["bottom"]:
        yield "No bottom subspace here does better than a top subspace that holds more of the variance."
    for number in sorted({one.components for one, _ in known if one.components is not None}):
        equal = [f"{one.name} {percent(value.mean)} %" for one, value in known if one.components == number]
        if len(equal) > 1:
            yield f"Of {count(number)} dimensions each: {', '.join(equal)}."
    if known and min(value.n for _, value in known) == 1:
        yield "With one seed a point the spread over seeds is unknown: small differences say nothing."


def _clearly_above(value: Spread, less: Spread) -> bool:
    """Whether one accuracy is the larger, and intervals (over seeds, or of one seed over test images) are disjoint."""
    apart = value.interval is None or less.interval is None or not overlap(value.interval, less.interval)
    return value.mean > less.mean and apart


def _against(one: Point, value: Spread, other: Point, less: Spread) -> str:
    """That one subspace does better than another."""
    better, worse = (
        f"{percent(accuracy.mean)} % on {point.name}, with {_share(point.variance)} % of the variance"
        for point, accuracy in ((one, value), (other, less))
    )
    return f"{better}, against {worse}"


def _share(share: float | None) -> str:
    """Percent to four digits: shares of the variance go down to thousandths of a percent."""
    return NOTHING if share is None else f"{100 * share:.4g}"


def _value(value: Spread | None) -> str:
    if value is None:
        return NOTHING
    return percent(value.mean) if value.sd is None else f"{percent(value.mean)} ± {percent(value.sd)}"
