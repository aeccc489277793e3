"""Effective rank: how many dimensions an embedding varies in, counted from its mean."""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_bench.evaluation.metrics.embeddings import entropy_rank, prepared, varies


def effective_rank(embedding: Tensor) -> float | None:
    """Effective rank (Roy and Vetterli, EUSIPCO 2007): exp of the entropy of the normalised singular values.

    Of the centred embedding and without an epsilon, which is where it differs from RankMe. Shares are of singular
    values, standard deviations; :func:`participation_ratio` is of variances. Shapes: ``(N, D)``.

    Returns: Between 1 and min(N - 1, D); ``None`` where no two samples differ or values are not finite.
    """
    return effective_dimensions(embedding)["effective_rank"]


def participation_ratio(embedding: Tensor) -> float | None:
    """Participation ratio of the covariance's eigenvalues, (sum lambda)^2 / sum lambda^2.

    The other usual count of dimensions (Gao et al., bioRxiv 214262): exp of the Rényi entropy of order 2 of the shares
    of variance. It hears of little but the largest directions. Shapes: ``(N, D)``.

    Returns: Between 1 and min(N - 1, D); ``None`` where no two samples differ or values are not finite.
    """
    return effective_dimensions(embedding)["participation_ratio"]


def effective_dimensions(embedding: Tensor) -> dict[str, float | None]:
    """:func:`effective_rank` and :func:`participation_ratio` from one decomposition. Shapes: ``(N, D)``."""
    x = prepared(embedding)
    if x is None or not varies(x):
        return {"effective_rank": None, "participation_ratio": None}
    values = torch.linalg.svdvals(x - x.mean(0))
    share = values.square() / values.square().sum()
    return {
        "effective_rank": entropy_rank(values / values.sum()),
        "participation_ratio": float(1 / share.square().sum()),
    }
