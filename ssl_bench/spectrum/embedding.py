"""The spectrum of the embedding itself: how many of its dimensions are used."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

EPSILON = 1e-7
FIRST, LAST = 3, 100


def rankme(embedding: Tensor) -> float:
    """RankMe (arXiv 2210.02885): exp of the entropy of the normalised singular values, uncentred, epsilon 1e-7.

    Compare only within one objective and dimension. Shapes: ``(N, D)``.
    """
    values = torch.linalg.svdvals(embedding.double())
    share = values / values.sum().clamp(min=1e-300) + EPSILON
    return float(torch.exp(-(share * share.log()).sum()))


def alpha_req(embedding: Tensor) -> dict[str, float | None]:
    """alpha-ReQ: decay of the covariance's eigenvalues, ln lambda_i ~ -alpha ln i, for i from 3 to 100 (or to D).

    Least squares weighted by 1 / i. Shapes: ``(N, D)``.

    Returns: ``alpha_req`` and the fit's ``alpha_req_r2``; ``None`` where fewer than three eigenvalues are positive.
    """
    centred = embedding.double() - embedding.double().mean(0)
    values = torch.linalg.eigvalsh(centred.T @ centred / len(centred)).flip(0).numpy()
    index = np.arange(1, len(values) + 1)
    used = (index >= FIRST) & (index <= LAST) & (values > values[0] * 1e-12)
    if used.sum() < 3:
        return {"alpha_req": None, "alpha_req_r2": None}
    x, y, weight = np.log(index[used]), np.log(values[used]), 1 / index[used]
    slope, offset = np.polyfit(x, y, 1, w=np.sqrt(weight))
    residual = (weight * (y - slope * x - offset) ** 2).sum()
    spread = (weight * (y - np.average(y, weights=weight)) ** 2).sum()
    return {"alpha_req": float(-slope), "alpha_req_r2": float(1 - residual / spread) if spread > 0 else None}
