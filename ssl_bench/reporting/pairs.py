"""The table of the configurations of a block against each other."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from ssl_bench.reporting.compared import Compared
from ssl_bench.reporting.groups import Block
from ssl_bench.reporting.numbers import NOTHING, p_value, points, points_range
from ssl_bench.reporting.paired import Difference
from ssl_bench.reporting.tables import Cell, Row, Table

# Of more configurations than this the table compares each with the best alone; all pairs are still corrected for.
SHOWN = 8


def pairs_table(block: Block, compared: Compared) -> Table | None:
    """Each against the best, then, of few configurations, every other two; ``None`` where nothing is compared."""
    count = len(compared.groups)
    if count < 2:
        return None
    pairs = list(itertools.combinations(range(count), 2))
    shown = pairs if count <= SHOWN else [pair for pair in pairs if pair[0] == 0]
    left_out = "" if count <= SHOWN else f" Of {count} configurations only the pairs with the best are shown."
    return Table(
        caption=f"Differences on {block.dataset} over the seeds that two configurations share: of the linear probe and "
        "of k-NN, in points, with the 95 % interval of the mean difference and the p-value of a two-sided paired "
        "t-test, which takes the differences to be normal. Corrected by Holm over the pairs that could be tested, "
        f"of each probe ({compared.tests} of {len(pairs)} of the linear probe); below 0.05 two configurations are told "
        f"apart. With one seed nothing can be tested.{left_out}",
        columns=(
            Cell("configurations"),
            # What the others are read for stands where no screen cuts it off.
            Cell("told apart", "linear top-1"),
            Cell("linear top-1", "difference, points"),
            Cell("95 % interval", "points"),
            Cell("p"),
            Cell("p corrected", "Holm"),
            Cell("k-NN top-1", "difference, points"),
            Cell("p corrected", "Holm"),
            Cell("n", "shared seeds"),
        ),
        rows=tuple(_row(compared, pair) for pair in shown),
    )


def verdict(difference: Difference) -> str:
    """Whether two configurations are told apart, in words."""
    if difference.told_apart:
        return "yes"
    if difference.p is not None:
        return "no"
    return {0: "no shared seed: not testable", 1: "one seed: not testable"}.get(
        difference.n, "the same difference in every seed: not testable"
    )


def _row(compared: Compared, pair: tuple[int, int]) -> Row:
    first, second = (compared.groups[place] for place in pair)
    linear, knn = compared.linear[pair], compared.knn[pair]
    interval = NOTHING if linear.interval is None else points_range(*linear.interval)
    cells: Sequence[Cell] = (
        Cell(f"{first.label} against {second.label}"),
        Cell(verdict(linear)),
        Cell(points(linear.mean), value=linear.mean),
        Cell(interval),
        Cell(p_value(linear.p), value=linear.p),
        Cell(p_value(linear.corrected), value=linear.corrected),
        Cell(points(knn.mean), value=knn.mean),
        Cell(p_value(knn.corrected), value=knn.corrected),
        Cell(str(linear.n), value=linear.n),
    )
    return Row(tuple(cells))
