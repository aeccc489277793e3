import itertools
import json
import math

import numpy as np
import pytest
from scipy.stats import kendalltau

from ssl_bench.errors import UserError
from ssl_bench.spectrum import ordering
from ssl_bench.spectrum.ordering import gamma, order, paired_permutation_test, permutation_test, summarise_order


def random_half_times(rng, bands=7):
    """With ties and with bands that were never reached."""
    return [None if rng.random() < 0.25 else float(rng.integers(0, 6)) for _ in range(bands)]


def slow_gamma(half_times, covariate):
    agree = differ = 0
    reached = len(set(half_times) - {None})
    for i in range(len(half_times)):
        for j in range(i):
            a, b = half_times[i], half_times[j]
            if a == b or covariate[i] == covariate[j]:
                continue
            i_is_later = a is None or (b is not None and a > b)
            if i_is_later == (covariate[i] > covariate[j]):
                agree += 1
            else:
                differ += 1
    return None if reached < 3 or agree + differ == 0 else (agree - differ) / (agree + differ)


def test_order():
    assert order([3, 1, 2]) == [1, 2, 0]
    assert order([None, 2, None, 0, 2]) == [3, 1, 4, 0, 2]
    assert order([None, None]) == [0, 1]
    assert order([]) == []


def test_gamma_against_loops():
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(300):
        half_times = random_half_times(rng)
        covariate = rng.integers(0, 4, 7).tolist()
        assert gamma(half_times, covariate) == slow_gamma(half_times, covariate)
        seen.add(gamma(half_times, range(7)) is None)
    assert seen == {True, False}


def test_gamma_with_the_band_index_is_the_order_of_learning():
    assert gamma([1, 2, 3, 4], range(4)) == 1
    assert gamma([4, 3, 2, 1], range(4)) == -1
    assert gamma([1, 2, 3, None, None], range(5)) == 1
    assert gamma([None, 3, 2, 1], range(4)) == -1
    assert gamma([0, 0, 2, 1], range(4)) == pytest.approx((4 - 1) / 5)


def test_bands_that_are_all_there_from_the_start_have_no_order():
    assert gamma([0, 0, 0, 0, 0, 0, 0, None], range(8)) is None
    assert gamma([0, 0, 0, 5], range(4)) is None
    tied = [[0.0] * 4, [0.0] * 4]
    summary = summarise_order(tied, [4, 3, 2, 1], [1, 2, 3, 4])
    assert (summary["order"], summary["gamma"]["variance"]["n"]) == (None, 0)
    assert permutation_test(tied, tied)["p"] is None
    assert permutation_test(tied, [[1, 2, 3, 4], [1, 2, 3, 4]])["p"] is not None


def test_gamma_without_ties_is_kendalls_tau():
    rng = np.random.default_rng(1)
    for _ in range(20):
        half_times, covariate = rng.permutation(9).tolist(), rng.normal(size=9).tolist()
        assert gamma(half_times, covariate) == pytest.approx(kendalltau(half_times, covariate).statistic)


def test_gamma_leaves_out_bands_without_a_covariate():
    assert gamma([1, 9, 2, 3], [0.1, None, 0.2, 0.3]) == gamma([1, 2, 3], [0.1, 0.2, 0.3]) == 1
    assert gamma([1, 2, 3, None], [0.1, None, 0.2, 0.3]) is None, "two are left that were reached"


def test_gamma_says_nothing_where_it_cannot():
    assert gamma([1, 2, None, None], [1, 2, 3, 4]) is None
    assert gamma([1, 2, 3], [5, 5, 5]) is None
    assert gamma([1, 1, 1], [1, 2, 3]) is None
    with pytest.raises(ValueError, match="zip"):
        gamma([1, 2, 3], [1, 2])


def test_the_summary_of_an_order():
    runs = [[10.0, 30.0, 20.0, None], [12.0, 50.0, 25.0, None], [11.0, None, 60.0, 70.0]]
    summary = summarise_order(runs, variance=[8.0, 4.0, 2.0, 1.0], frequency=[0.1, 0.3, 0.2, 0.4])
    assert json.loads(json.dumps(summary)) == summary
    assert summary["runs"] == 3
    assert summary["half_time"] == [11.0, 50.0, 25.0, None]
    assert summary["reached"] == [3, 2, 3, 1]
    assert summary["order"] == [0, 2, 1, 3]
    assert summary["gamma"]["frequency"] == {"median": 1.0, "min": pytest.approx(2 / 3), "max": 1.0, "n": 3}
    by_variance = [slow_gamma(run, [-8, -4, -2, -1]) for run in runs]
    assert summary["gamma"]["variance"] == {
        "median": pytest.approx(np.median(by_variance)),
        "min": pytest.approx(min(by_variance)),
        "max": pytest.approx(max(by_variance)),
        "n": 3,
    }


def test_the_summary_where_half_of_the_runs_never_got_there():
    summary = summarise_order([[1, 2, None], [3, None, None]], [3, 2, 1], [1, 2, 3])
    assert summary["half_time"] == [2, None, None]
    assert summary["gamma"]["variance"] == {"median": None, "min": None, "max": None, "n": 0}


def test_runs_of_different_bands_are_refused():
    message = "the runs have 2 to 3 bands, .* analyze them all with one analysis.bands$"
    with pytest.raises(UserError, match=message):
        summarise_order([[1, 2], [1, 2, 3]], [2, 1], [1, 2])
    with pytest.raises(UserError, match=message):
        permutation_test([[1, 2]], [[1, 2, 3]])
    with pytest.raises(ValueError, match="no runs"):
        summarise_order([], [], [])


def slow_ranks(half_times):
    """Average ranks by counting, the never reached behind all others."""
    times = [math.inf if value is None else value for value in half_times]
    return [sum(other < time for other in times) + (times.count(time) + 1) / 2 for time in times]


def slow_test(first, second):
    """Statistic and p over every split, mirror images and all."""
    ranks = [slow_ranks(run) for run in [*first, *second]]

    def statistic(members):
        rest = [index for index in range(len(ranks)) if index not in members]
        total = 0.0
        for band in range(len(ranks[0])):
            inside = sum(ranks[index][band] for index in members) / len(members)
            outside = sum(ranks[index][band] for index in rest) / len(rest)
            total += abs(inside - outside)
        return total / len(ranks[0])

    observed = statistic(tuple(range(len(first))))
    every = [statistic(group) for group in itertools.combinations(range(len(ranks)), len(first))]
    return observed, sum(value >= observed - 1e-9 for value in every) / len(every)


@pytest.mark.parametrize("sizes", [(2, 2), (3, 3), (2, 5), (4, 3)])
def test_the_permutation_test_against_every_split(sizes):
    rng = np.random.default_rng(2)
    for _ in range(10):
        first, second = ([random_half_times(rng) for _ in range(size)] for size in sizes)
        result = permutation_test(first, second)
        statistic, p = slow_test(first, second)
        assert result["statistic"] == pytest.approx(statistic)
        assert result["p"] == pytest.approx(p)
        assert result["exact"]


@pytest.mark.parametrize(("sizes", "splits"), [((2, 2), 3), ((3, 3), 10), ((4, 4), 35), ((3, 4), 35), ((2, 5), 21)])
def test_opposite_orders_give_the_least_p_that_so_many_runs_can(sizes, splits):
    """Three against three cannot be below 0.1: a split and its mirror image are one."""
    first = [[1.0 + seed, 20.0, 300.0, None] for seed in range(sizes[0])]
    second = [[None, 300.0, 20.0, 1.0 + seed] for seed in range(sizes[1])]
    result = permutation_test(first, second)
    assert result["permutations"] == splits
    assert result["p"] == result["least_p"] == pytest.approx(1 / splits)


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_exchanges_within_seeds_against_a_loop(seeds):
    rng = np.random.default_rng(5)
    for _ in range(10):
        first, second = ([random_half_times(rng) for _ in range(seeds)] for _ in range(2))
        ranks = np.array([[slow_ranks(run) for run in group] for group in (first, second)], dtype=float)
        every = []
        for signs in itertools.product((1, -1), repeat=seeds):
            differences = np.array(signs)[:, None] * (ranks[0] - ranks[1])
            every.append(np.abs(differences.mean(0)).mean())
        result = paired_permutation_test(first, second)
        assert result["statistic"] == pytest.approx(every[0])
        assert result["p"] == pytest.approx(np.mean(np.array(every) >= every[0] - 1e-9))
        assert result["least_p"] == 2 / 2**seeds
        assert result["exact"]


def test_what_a_seed_does_to_both_runs_is_no_scatter():
    """Two bands change places between configurations; the others are shuffled by the seed, in both alike."""
    rng = np.random.default_rng(6)
    first, second = [], []
    for _ in range(6):
        others = rng.permutation(np.arange(10.0, 18.0)).tolist()
        first.append([1.0, 2.0, *others])
        second.append([2.0, 1.0, *others])
    assert paired_permutation_test(first, second)["p"] == 2 / 2**6
    with pytest.raises(ValueError, match="paired"):
        paired_permutation_test(first, second[1:])
    assert paired_permutation_test(first[:1], second[:1])["p"] is None


def test_many_seeds_are_drawn():
    rng = np.random.default_rng(7)
    first, second = ([rng.lognormal(size=4).tolist() for _ in range(20)] for _ in range(2))
    drawn = paired_permutation_test(first, second)
    assert not drawn["exact"]
    assert drawn == paired_permutation_test(first, second)
    assert drawn["least_p"] == 1 / 10_001


def test_p_is_uniform_where_nothing_differs():
    rng = np.random.default_rng(3)
    found = []
    for _ in range(200):
        runs = [rng.lognormal(size=8).tolist() for _ in range(8)]
        found.append(permutation_test(runs[:4], runs[4:])["p"])
    # 35 splits: p is uniform on 1/35 .. 35/35.
    assert np.mean(found) == pytest.approx(18 / 35, abs=0.06)
    assert np.mean(np.array(found) <= 0.2) == pytest.approx(0.2, abs=0.08)


def test_many_runs_are_drawn_and_agree_with_all_splits(monkeypatch):
    rng = np.random.default_rng(4)
    first = [(rng.normal(size=5) + np.linspace(0, 1.2, 5)).tolist() for _ in range(9)]
    second = [rng.normal(size=5).tolist() for _ in range(9)]
    drawn = permutation_test(first, second)
    assert not drawn["exact"]
    assert drawn["permutations"] == 10_000
    assert drawn["least_p"] == 1 / 10_001
    assert permutation_test(first, second) == drawn
    monkeypatch.setattr(ordering, "SPLITS", 30_000)
    exact = permutation_test(first, second)
    assert exact["exact"]
    assert exact["permutations"] == math.comb(18, 9) // 2
    assert 0.01 < exact["p"] < 0.9
    assert drawn["p"] == pytest.approx(exact["p"], abs=0.02)


def test_order_does_not_hear_speed_and_time_does_not_hear_order():
    first = [[10.0, 20.0 + seed, 40.0] for seed in range(4)]
    slower = [[2 * time for time in run] for run in first]
    assert permutation_test(first, slower)["statistic"] == 0
    assert permutation_test(first, slower)["p"] == 1
    result = permutation_test(first, slower, what="time")
    assert result["statistic"] == pytest.approx(math.log(2))
    assert result["p"] == result["least_p"] == pytest.approx(1 / 35)
    turned = [run[::-1] for run in first]
    assert permutation_test(first, turned, what="time")["statistic"] == pytest.approx(0)
    assert permutation_test(first, turned)["p"] == pytest.approx(1 / 35)


def test_time_reads_the_bands_that_all_runs_reached_after_their_start():
    first = [[0.0, 10.0, 5.0], [1.0, 10.0, None]]
    second = [[1.0, 30.0, 9.0], [1.0, 30.0, 9.0]]
    assert permutation_test(first, second, what="time")["statistic"] == pytest.approx(math.log(3))
    nothing = permutation_test([[None, 1.0], [1.0, None]], second=[[1.0, 1.0], [1.0, 1.0]], what="time")
    assert nothing == {"statistic": None, "p": None, "permutations": 0, "least_p": None, "exact": False}


def test_too_few_runs_have_a_statistic_and_no_p():
    result = permutation_test([[1, 2, 3]], [[3, 2, 1], [3, 2, 1]])
    assert result["statistic"] == pytest.approx(4 / 3)
    assert result["p"] is None
    assert result["least_p"] is None
    assert permutation_test([], [[1, 2]])["statistic"] is None
    assert json.loads(json.dumps(result)) == result
