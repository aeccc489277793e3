"""How sure a mean is."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from scipy.stats import t as student

CONFIDENCE = 0.95


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of a mean by Student's t, which takes the values to be normal.

    Raises: ValueError for fewer than two values: one says nothing of how far others lie.
    """
    if len(values) < 2:
        raise ValueError("an interval of a mean needs two values")
    mean, error = statistics.fmean(values), statistics.stdev(values) / math.sqrt(len(values))
    half = float(student.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * error
    return mean - half, mean + half
