"""Whether a metric that needs no label orders encoders as a probe does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import permutation_test, rankdata, spearmanr

from ssl_bench.seeds import derive_seed

LEAST_PAIRS = 4
# Up to 8 encoders every pairing is counted (8! = 40,320) and p is exact; of more, this many are drawn.
PAIRINGS = 50_000


def rank_correlation(metric: Sequence[float | None], probe: Sequence[float]) -> dict[str, float | int | None]:
    """Spearman's rank correlation of a metric with a probe's accuracy, one pair an encoder.

    Encoders without the metric are left out. p is two-sided, from permutations of the pairs; encoders that share a seed
    or an objective are no independent pairs, so that it is too small for them.

    Returns: ``spearman``, ``p``, and ``n``, the pairs used; the first two ``None`` for fewer than four pairs, or where
    either side is constant.

    Raises: ValueError if there are not as many of one as of the other.
    """
    pairs = [(value, score) for value, score in zip(metric, probe, strict=True) if value is not None]
    values, scores = (np.array(side, dtype=np.float64) for side in (zip(*pairs, strict=True) if pairs else ((), ())))
    if len(pairs) < LEAST_PAIRS or np.ptp(values) == 0 or np.ptp(scores) == 0:
        return {"spearman": None, "p": None, "n": len(pairs)}
    return {"spearman": float(spearmanr(values, scores).statistic), "p": _p(values, scores), "n": len(pairs)}


def _p(values: np.ndarray, scores: np.ndarray) -> float:
    # Permuting leaves each side's ranks what they are, so that their sum of products stands for the correlation.
    ranks = rankdata(scores) - (len(scores) + 1) / 2

    def agreement(permuted: np.ndarray, axis: int) -> Any:
        return (permuted * ranks).sum(axis)

    result = permutation_test(
        (rankdata(values) - (len(values) + 1) / 2,),
        agreement,
        permutation_type="pairings",
        n_resamples=PAIRINGS,
        vectorized=True,
        random_state=np.random.default_rng(derive_seed(0, "rank correlation")),
    )
    return float(result.pvalue)
