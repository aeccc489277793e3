"""RankMe: how many directions an embedding uses, counted from the origin."""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_bench.evaluation.metrics.embeddings import entropy_rank, prepared

EPSILON = 1e-7


def rankme(embedding: Tensor) -> float | None:
    """RankMe (Garrido et al., arXiv 2210.02885): exp of the entropy of the normalised singular values.

    Uncentred, as in the paper, so that a constant embedding has rank 1 and the mean counts as a direction. Epsilon is
    the paper's 1e-7, added to each share (1e-5 circulates too, and gives other numbers). Code that takes eigenvalues of
    the centred covariance instead computes something else. The paper takes 25,600 samples; with fewer the value
    tends to be lower. Compare only within one objective, dimension and number of samples. Shapes: ``(N, D)``.

    Returns: ``None`` for fewer than two samples, values that are not finite, and an embedding of zeros.
    """
    x = prepared(embedding)
    if x is None or not bool(x.any()):
        return None
    values = torch.linalg.svdvals(x)
    return entropy_rank(values / values.sum() + EPSILON)
