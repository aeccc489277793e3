"""Whether one configuration reads better than another: differences over the seeds they share. Pure functions.

Configurations of one seed start from the same backbone weights and see the images in the same order, so that what a
seed does to both cancels in their difference. Student's t takes the differences to be normal, which a few seeds cannot
show; a sign-flip test, which does not, has a least p of 2 / 2^n: 0.25 with three seeds.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from scipy.stats import t as student

from ssl_bench.corrected import holm
from ssl_bench.intervals import CONFIDENCE, mean_interval

# Accuracies are counts over counts: differences closer than this are equal.
EQUAL = 1e-12

BySeed = Mapping[int, float]


@dataclass(frozen=True)
class Difference:
    """First less second over the seeds they share, in shares of 1.

    ``mean`` is ``None`` without a shared seed. ``interval`` is the 95 % t interval of the mean difference, ``p`` of the
    two-sided paired t-test; both ``None`` where that cannot be made: fewer than two shared seeds, or a difference that
    is the same in all of them and not zero. ``corrected`` is p after Holm's correction over all pairs compared.
    """

    n: int
    mean: float | None
    interval: tuple[float, float] | None = None
    p: float | None = None
    corrected: float | None = None

    @property
    def told_apart(self) -> bool:
        """Whether the two really differ, after correction."""
        return self.corrected is not None and self.corrected < 1 - CONFIDENCE


def paired_difference(first: BySeed, second: BySeed) -> Difference:
    """The paired t-test of two configurations, their accuracies by seed; ``corrected`` is not filled in."""
    shared = sorted(first.keys() & second.keys())
    differences = [first[seed] - second[seed] for seed in shared]
    if not differences:
        return Difference(0, None)
    mean = statistics.fmean(differences)
    if len(differences) < 2:
        return Difference(1, mean)
    error = statistics.stdev(differences) / math.sqrt(len(differences))
    if error < EQUAL:
        same = abs(mean) < EQUAL
        return Difference(len(differences), mean, (mean, mean) if same else None, 1.0 if same else None)
    p = 2 * float(student.sf(abs(mean) / error, len(differences) - 1))
    return Difference(len(differences), mean, mean_interval(differences), p)


def compare_pairs(values: Sequence[BySeed]) -> dict[tuple[int, int], Difference]:
    """Every two configurations, by their places, the earlier one first; corrected by Holm over all of these pairs."""
    pairs = list(itertools.combinations(range(len(values)), 2))
    found = [paired_difference(values[one], values[other]) for one, other in pairs]
    corrected = holm([one.p for one in found])
    return {pair: replace(one, corrected=p) for pair, one, p in zip(pairs, found, corrected, strict=True)}


def not_told_apart(differences: Mapping[tuple[int, int], Difference], count: int, best: int = 0) -> list[int]:
    """Of ``count`` configurations, best first, the places from ``best`` on that are not told apart from it: itself too.

    ``best`` is another than the first where several have the same mean.
    """
    return [best, *(other for other in range(best + 1, count) if not _below(differences[best, other]))]


def _below(difference: Difference) -> bool:
    return difference.told_apart and difference.mean is not None and difference.mean > 0
