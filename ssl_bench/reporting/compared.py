"""The configurations of a block against each other, over the seeds they share; and which of them are best."""

from __future__ import annotations

from dataclasses import dataclass

from ssl_bench.reporting.groups import Block, Group
from ssl_bench.reporting.numbers import points
from ssl_bench.reporting.paired import BySeed, Difference, compare_pairs, not_told_apart


@dataclass(frozen=True)
class Compared:
    """All configurations of a block that have a probe, best first, and every two of them, by their places."""

    groups: tuple[Group, ...]
    linear: dict[tuple[int, int], Difference]
    knn: dict[tuple[int, int], Difference]

    @property
    def best(self) -> tuple[Group, ...]:
        """The one of highest mean linear probe, and those not told apart from it; empty if it was tested against none.

        Not tested is not the same as tested and not told apart.
        """
        if all(self.linear[0, place].p is None for place in range(1, len(self.groups))):
            return ()
        return tuple(self.groups[place] for place in not_told_apart(self.linear, len(self.groups)))

    def mark(self, group: Group) -> str:
        """What sets it off: ``best``; or ``highest mean``, and by how many points others are not told apart from it.

        A wide difference is not told apart either where seeds scatter: without its size the mark would say "equal".
        """
        best = self.best
        if group not in best:
            return ""
        if len(best) == 1:
            return "best"
        if _mean(group) == _mean(best[0]):
            return "highest mean"
        difference = self.linear[0, self.groups.index(group)].mean
        return "not told apart" if difference is None else f"not told apart ({points(-difference)})"

    @property
    def tests(self) -> int:
        """How many tests of the linear probe could be made: what p-values are corrected for."""
        return sum(one.p is not None for one in self.linear.values())


def compare_groups(block: Block) -> Compared:
    """Compare what is compared: no reference lines, and nothing without a probe."""
    groups = tuple(group for group in block.main if group.probed)
    linear, knn = (compare_pairs([by_seed(group, key) for group in groups]) for key in ("linear_top1", "knn_top1"))
    return Compared(groups, linear, knn)


def _mean(group: Group) -> float | None:
    return None if group.linear is None else group.linear.mean


def by_seed(group: Group, measure: str) -> BySeed:
    """Accuracies in 0..1 of a configuration's probed runs, by seed."""
    return {run.config.seed: float(run.probe[measure]) for run in group.probed if run.probe is not None}
