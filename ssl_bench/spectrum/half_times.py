"""When a band is learned: half-times of curves over snapshots, and their order."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy.stats import spearmanr


def first_crossing(
    samples_seen: Sequence[int], values: Sequence[float], level: float, *, falling: bool
) -> float | None:
    """The first ``samples_seen`` at which a curve reaches a level, interpolated between snapshots on a log axis.

    From a snapshot at 0 the axis is linear, as the logarithm ends there. 0 if the curve starts beyond the level.

    Returns: ``None`` if it never does.
    """
    sign = -1.0 if falling else 1.0
    reached = [sign * (value - level) >= 0 for value in values]
    if True not in reached:
        return None
    index = reached.index(True)
    if index == 0:
        return float(samples_seen[0])
    before, after = samples_seen[index - 1], samples_seen[index]
    share = (level - values[index - 1]) / (values[index] - values[index - 1])
    if before == 0:
        return share * after
    return math.exp(math.log(before) + share * (math.log(after) - math.log(before)))


def order_correlation(half_times: Sequence[float | None]) -> float | None:
    """Spearman's rank correlation of half-time with band index; 1 means band after band.

    A band that never got there counts as later than all that did, tied with its like.

    Returns: ``None`` if fewer than three bands got there, or all at the same time.
    """
    found = [value for value in half_times if value is not None]
    if len(found) < 3 or len(set(found)) == 1:
        return None
    ranks = [math.inf if value is None else value for value in half_times]
    latest = max(found) * 2 + 1
    finite = [latest if value == math.inf else value for value in ranks]
    return float(spearmanr(range(len(finite)), finite).statistic)
