"""Whether two means differ that share nothing: Welch's t-test. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from scipy.stats import ttest_ind

from ssl_bench.intervals import CONFIDENCE
from ssl_bench.reporting.paired import EQUAL, Difference


def welch_difference(first: Mapping[int, float], second: Mapping[int, float]) -> Difference:
    """First less second by Welch's t-test: neither pairs nor equal variances are assumed.

    ``n`` is the number of values of the smaller group; a test takes two in each, and a spread.
    """
    one, other = list(first.values()), list(second.values())
    n = min(len(one), len(other))
    if not n:
        return Difference(0, None)
    mean = statistics.fmean(one) - statistics.fmean(other)
    if n < 2 or max(statistics.stdev(one), statistics.stdev(other)) < EQUAL:
        return Difference(n, mean)
    found = ttest_ind(one, other, equal_var=False)
    low, high = found.confidence_interval(CONFIDENCE)
    return Difference(n, mean, (float(low), float(high)), float(found.pvalue))
