"""A mean over seeds and how sure it is."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from ssl_bench.intervals import mean_interval


@dataclass(frozen=True)
class Spread:
    """Accuracies in 0..1 of several seeds, summed up.

    ``sd`` is the sample deviation, ``None`` for one value. ``interval`` is a 95 % interval: of the mean over seeds
    (Student's t) from two seeds on; for one seed what was given for it, if anything was.
    """

    values: tuple[float, ...]
    mean: float
    sd: float | None
    interval: tuple[float, float] | None

    @property
    def n(self) -> int:
        """How many seeds."""
        return len(self.values)


def spread(values: Sequence[float], single: tuple[float, float] | None = None) -> Spread:
    """Mean, deviation and 95 % interval of at least one accuracy in 0..1; ``single`` is the interval for just one."""
    mean = statistics.fmean(values)
    if len(values) == 1:
        return Spread(tuple(values), mean, None, single)
    sd = statistics.stdev(values)
    low, high = mean_interval(values)
    return Spread(tuple(values), mean, sd, (max(low, 0.0), min(high, 1.0)))


def overlap(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether two intervals share a point."""
    return one[0] <= other[1] and other[0] <= one[1]
