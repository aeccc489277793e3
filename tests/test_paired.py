"""Who is better, over shared seeds: against scipy's paired test and against Holm's own example by hand."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp, ttest_rel

from ssl_bench.corrected import holm
from ssl_bench.intervals import mean_interval
from ssl_bench.reporting.numbers import NOTHING, operations, p_value, points
from ssl_bench.reporting.paired import compare_pairs, not_told_apart, paired_difference


def by_seed(values, start=0):
    return dict(enumerate(values, start))


@pytest.mark.parametrize("n", [2, 3, 10])
def test_the_difference_is_scipys_paired_test(n):
    rng = np.random.default_rng(n)
    first, second = rng.random((2, n))
    found = paired_difference(by_seed(first), by_seed(second))
    test = ttest_rel(first, second)
    low, high = test.confidence_interval(0.95)
    assert found.n == n
    assert found.mean == pytest.approx((first - second).mean())
    assert found.interval == pytest.approx((low, high))
    assert found.p == pytest.approx(test.pvalue)


def test_the_interval_of_a_mean_is_scipys():
    values = [0.1, 0.4, 0.35, -0.2]
    expected = ttest_1samp(values, 0).confidence_interval(0.95)
    assert mean_interval(values) == pytest.approx((expected.low, expected.high))
    with pytest.raises(ValueError, match="two values"):
        mean_interval([0.5])


def test_only_shared_seeds_count():
    found = paired_difference({0: 0.9, 1: 0.5, 2: 0.6, 7: 0.1}, {1: 0.4, 2: 0.3, 5: 0.9})
    assert found == paired_difference({1: 0.5, 2: 0.6}, {1: 0.4, 2: 0.3})
    assert found.n == 2


def test_what_cannot_be_tested_has_no_p():
    assert paired_difference({0: 0.5}, {1: 0.4}).mean is None
    one = paired_difference({0: 0.5}, {0: 0.4})
    assert (one.n, one.p, one.interval) == (1, None, None)
    assert one.mean == pytest.approx(0.1)
    constant = paired_difference(by_seed([0.5, 0.6, 0.7]), by_seed([0.4, 0.5, 0.6]))
    assert constant.p is None, "a spread of nothing is no evidence of certainty"
    equal = paired_difference(by_seed([0.5, 0.6]), by_seed([0.5, 0.6]))
    assert (equal.p, equal.interval) == (1, (0, 0))


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([None, 0.02, None]) == [None, 0.02, None]
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_rarely_finds_what_is_not_there():
    rng = np.random.default_rng(0)
    false = [min(holm(rng.random(10).tolist())) < 0.05 for _ in range(2000)]
    assert np.mean(false) == pytest.approx(0.05, abs=0.015)


def test_the_best_is_one_only_where_it_is_told_apart_from_every_other():
    values = [by_seed(row) for row in ([0.90, 0.91, 0.92], [0.89, 0.92, 0.90], [0.5, 0.52, 0.51])]
    pairs = compare_pairs(values)
    assert set(pairs) == {(0, 1), (0, 2), (1, 2)}
    assert not_told_apart(pairs, 3) == [0, 1]
    assert all(one.corrected >= one.p for one in pairs.values())
    single = compare_pairs([{0: 0.9}, {0: 0.1}])
    assert not_told_apart(single, 2) == [0, 1], "one seed tells nothing apart"
    assert not_told_apart(compare_pairs([values[0], values[2]]), 2) == [0]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (999, "999"), (29.04e6, "29 M"), (1.234e12, "1.23 T"), (5e20, "500 E"), (None, NOTHING)],
)
def test_operations_in_words(value, text):
    assert operations(value) == text


def test_differences_have_their_sign():
    assert (points(0.012), points(-0.012), points(0.0), points(None)) == ("+1.2", "\N{MINUS SIGN}1.2", "0.0", NOTHING)
    assert (p_value(0.0004), p_value(0.04), p_value(None)) == ("<0.001", "0.040", NOTHING)
