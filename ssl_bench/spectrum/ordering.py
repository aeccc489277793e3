"""Which band first: the order of half-times, within a run and between configurations."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from scipy.stats import rankdata

from ssl_bench.errors import UserError
from ssl_bench.seeds import derive_seed

# One number a band; None where it was never reached, which is later than any number.
HalfTimes = Sequence[float | None]

# Up to so many distinct splits are all counted; of more, so many are drawn.
SPLITS = 10_000


def order(half_times: HalfTimes) -> list[int]:
    """Indices of the bands, earliest first; those never reached at the end. Ties, and the never reached, by index."""
    times = _times(half_times)
    return sorted(range(len(times)), key=times.__getitem__)


def gamma(half_times: HalfTimes, covariate: Sequence[float | None]) -> float | None:
    """Rank correlation of half-time with a number that each band has: 1 means that the smallest is learned first.

    Goodman and Kruskal's gamma: of all pairs of bands that differ in both, the share in order less the share out of
    order. A band that was never reached is later than every band that was; two such bands do not differ, so that a run
    which is cut short is not scored for what it had no time to do. With the band index as covariate, 1 is band after
    band. A band whose covariate is ``None`` is left out.

    Returns: ``None`` if fewer than three different half-times were reached (bands that are all there from the start are
    no order of learning), or no pair differs in both.

    Raises: ValueError if the covariate has not one entry a band.
    """
    bands = [(time, value) for time, value in zip(_times(half_times), covariate, strict=True) if value is not None]
    if len({time for time, _ in bands if math.isfinite(time)}) < 3:
        return None
    pairs = [(a, b) for a, b in itertools.combinations(bands, 2) if a[0] != b[0] and a[1] != b[1]]
    in_order = sum((a[0] < b[0]) == (a[1] < b[1]) for a, b in pairs)
    return (2 * in_order - len(pairs)) / len(pairs) if pairs else None


def summarise_order(
    per_seed: Sequence[HalfTimes], variance: Sequence[float], frequency: Sequence[float | None]
) -> dict[str, Any]:
    """The order in which the runs of one configuration, which differ in seed, learned the bands.

    Args:
        per_seed: Half-times of each run.
        variance: Of each band. Bands hold different numbers of directions: give the variance of one direction.
        frequency: Mean frequency of each band; ``None`` where it has none.

    Returns: ``runs``; by band, ``half_time`` (median over runs, ``None`` if half of them or more never reached it) and
    ``reached`` (how many did); ``order``, band indices by that median (``None`` if all tie); ``gamma`` with
    ``variance``, decreasing (1 means that the largest is learned first), and with ``frequency`` (1: the lowest first),
    each ``median``, ``min``, ``max`` over the ``n`` runs that have one.

    Raises: UserError if the runs have different numbers of bands. ValueError if there are no runs.
    """
    _check_bands(per_seed)
    medians = [statistics.median(band) for band in zip(*map(_times, per_seed), strict=True)]
    half_times = [None if math.isinf(value) else value for value in medians]
    decreasing = [-value for value in variance]
    return {
        "runs": len(per_seed),
        "half_time": half_times,
        "reached": [sum(value is not None for value in band) for band in zip(*per_seed, strict=True)],
        "order": order(half_times) if len(set(medians)) > 1 else None,
        "gamma": {
            "variance": _spread([gamma(run, decreasing) for run in per_seed]),
            "frequency": _spread([gamma(run, frequency) for run in per_seed]),
        },
    }


def permutation_test(
    first: Sequence[HalfTimes], second: Sequence[HalfTimes], what: Literal["order", "time"] = "order"
) -> dict[str, Any]:
    """Whether two configurations learn the bands in a different order, or at a different speed: a permutation test.

    If they do not differ, it does not matter which run is called whose: the statistic is compared with what it is for
    every other split of the runs into groups of these sizes. With equal groups a split and its mirror image are one.

    Args:
        first: Half-times of the runs of one configuration.
        second: Of the other. Runs are taken to be independent: for runs that share seeds there is
            :func:`paired_permutation_test`.
        what: ``order``: within each run the bands are ranked by half-time (ties share the mean rank, the never reached
            the last ones); the statistic is the absolute difference between the groups' mean ranks, averaged over
            bands. ``time``: the absolute difference between the groups' mean log half-times, over the bands that every
            run reached after its start.

    Returns: ``statistic``; ``p``; ``permutations``, the splits it was compared with, its own included where ``exact``
    (all of them, else a fixed random choice, with one added to both counts); ``least_p``, the smallest p that so many
    runs can give: with three against three, 0.1. ``statistic`` is ``None`` where a group is empty or no band is left,
    and ``p`` and ``least_p`` also where a group has one run.

    Raises: UserError if the runs have different numbers of bands.
    """
    return _test(first, second, what, lambda: _splits(len(first), len(first) + len(second)))


def paired_permutation_test(
    first: Sequence[HalfTimes], second: Sequence[HalfTimes], what: Literal["order", "time"] = "order"
) -> dict[str, Any]:
    """:func:`permutation_test` of runs that share their seeds: a sign-flip test.

    If the two configurations do not differ, it does not matter which of the two runs of a seed is called whose: the
    statistic is compared with what it is for every way to exchange them, seed by seed. What a seed does to both runs
    cancels, which the test of independent runs takes for scatter.

    Args:
        first: Half-times of the runs of one configuration.
        second: Of the other; entry by entry of the same seed.
        what: As for :func:`permutation_test`.

    Returns: As :func:`permutation_test`; ``least_p`` is 2 / 2^n with n seeds (exchanging all is exchanging none): 0.25
    with three. ``p`` and ``least_p`` are ``None`` with fewer than two seeds.

    Raises: UserError if the runs have different numbers of bands. ValueError if there are not as many of each.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} runs cannot be paired with {len(second)}")
    return _test(first, second, what, lambda: _exchanges(len(first)))


def _test(
    first: Sequence[HalfTimes],
    second: Sequence[HalfTimes],
    what: Literal["order", "time"],
    groups: Callable[[], tuple[np.ndarray, bool]],
) -> dict[str, Any]:
    """The statistic, and where it lies among those of other groups of the same runs."""
    result: dict[str, Any] = {"statistic": None, "p": None, "permutations": 0, "least_p": None, "exact": False}
    if not first or not second:
        return result
    _check_bands([*first, *second])
    runs = np.array([_times(run) for run in (*first, *second)])
    features = rankdata(runs, axis=1) if what == "order" else _mean_logs(runs)
    if not features.size or (what == "order" and bool((runs == runs[:, :1]).all())):
        return result  # no band is left, or no run tells any two bands apart
    observed = _differences(features, np.arange(len(first))[None])[0]
    result["statistic"] = float(observed)
    if min(len(first), len(second)) < 2:
        return result
    chosen, exact = groups()
    # Sums in another order round differently: an equal split counts as equal.
    extreme = int((_differences(features, chosen) >= observed - 1e-9 * max(observed, 1.0)).sum())
    added = 0 if exact else 1
    return result | {
        "p": (extreme + added) / (len(chosen) + added),
        "permutations": len(chosen),
        "least_p": 1 / (len(chosen) + added),
        "exact": exact,
    }


def _exchanges(pairs: int) -> tuple[np.ndarray, bool]:
    """Members of the first group after exchanges within pairs, run i with run i + pairs, and whether these are all.

    Of an exchange and its mirror image the one that leaves the first pair. Shapes: -> ``(P, pairs)``.
    """
    own = np.arange(pairs)
    if 2 ** (pairs - 1) > SPLITS:
        rng = np.random.default_rng(derive_seed(0, "order exchanges"))
        return own + pairs * rng.integers(0, 2, (SPLITS, pairs)), False
    every = [(0, *others) for others in itertools.product((0, 1), repeat=pairs - 1)]
    return own + pairs * np.array(every), True


def _splits(size: int, total: int) -> tuple[np.ndarray, bool]:
    """Members of the first group, a row a split, and whether these are all. Shapes: -> ``(P, size)``."""
    mirrored = 2 * size == total
    count = math.comb(total, size) // (2 if mirrored else 1)
    if count > SPLITS:
        rng = np.random.default_rng(derive_seed(0, "order permutations"))
        return rng.permuted(np.tile(np.arange(total), (SPLITS, 1)), axis=1)[:, :size], False
    # Of a split and its mirror image, the one in which the first run is in the first group.
    every = itertools.combinations(range(total), size)
    return np.array([group for group in every if group[0] == 0 or not mirrored]), True


def _differences(features: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Mean absolute difference of the groups' means, for each split. Shapes: ``(R, F)``, ``(P, size)`` -> ``(P,)``."""
    size, total = groups.shape[1], len(features)
    inside = features[groups].sum(1)
    outside = features.sum(0) - inside
    difference: np.ndarray = np.abs(inside / size - outside / (total - size)).mean(1)
    return difference


def _mean_logs(times: np.ndarray) -> np.ndarray:
    """Mean log half-time of each run over the bands that all reached, not at once. Shapes: ``(R, B)`` -> ``(R, 1)``.

    Without such a band ``(R, 0)``.
    """
    shared = times[:, (np.isfinite(times) & (times > 0)).all(0)]
    return np.log(shared).mean(1, keepdims=True) if shared.shape[1] else shared


def _times(half_times: HalfTimes) -> list[float]:
    return [math.inf if value is None else value for value in half_times]


def _spread(values: Sequence[float | None]) -> dict[str, float | int | None]:
    known = [value for value in values if value is not None]
    if not known:
        return {"median": None, "min": None, "max": None, "n": 0}
    return {"median": statistics.median(known), "min": min(known), "max": max(known), "n": len(known)}


def _check_bands(runs: Sequence[HalfTimes]) -> None:
    if not runs:
        raise ValueError("there are no runs whose order could be told")
    counts = sorted({len(run) for run in runs})
    if len(counts) > 1:
        raise UserError(
            f"the runs have {counts[0]} to {counts[-1]} bands, and their orders cannot be compared: "
            "analyze them all with one analysis.bands"
        )
