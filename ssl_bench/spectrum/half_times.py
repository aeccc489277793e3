"""When a band is learned: half-times of curves over snapshots, and their order."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence


def first_crossing(
    samples_seen: Sequence[int], values: Sequence[float], level: float, *, falling: bool
) -> float | None:
    """The first ``samples_seen`` at which a curve reaches a level, interpolated between snapshots on a log axis.

    From a snapshot at 0 the axis is linear, as the logarithm ends there. 0 if the curve starts at 0, beyond the level.

    Returns: ``None`` if it never does, or did before the first snapshot there is.
    """
    sign = -1.0 if falling else 1.0
    reached = [sign * (value - level) >= 0 for value in values]
    if True not in reached:
        return None
    index = reached.index(True)
    if index == 0:
        return 0.0 if samples_seen[0] == 0 else None
    before, after = samples_seen[index - 1], samples_seen[index]
    share = (level - values[index - 1]) / (values[index] - values[index - 1])
    if before == 0:
        return share * after
    return math.exp(math.log(before) + share * (math.log(after) - math.log(before)))


def order_correlation(half_times: Sequence[float | None]) -> float | None:
    """Rank correlation of half-time with band index: 1 means band after band, -1 the reverse.

    Goodman and Kruskal's gamma: of all pairs of bands whose half-times differ, the share in order less the share out
    of order. A band that never got there is later than every band that did; a pair of such bands says nothing, so that
    a run which is cut short is not scored for what it had no time to do.

    Returns: ``None`` if fewer than three bands got there, or no two half-times differ.
    """
    if sum(value is not None for value in half_times) < 3:
        return None
    times = [math.inf if value is None else value for value in half_times]
    pairs = [(early, late) for early, late in itertools.combinations(times, 2) if early != late]
    in_order = sum(early < late for early, late in pairs)
    return (2 * in_order - len(pairs)) / len(pairs) if pairs else None
