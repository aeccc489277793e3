"""When a band is learned: half-times of curves over snapshots."""

from __future__ import annotations

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
