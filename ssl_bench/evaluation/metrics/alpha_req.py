"""alpha-ReQ: how fast the variances of an embedding decay."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ssl_bench.evaluation.metrics.embeddings import prepared, varies

FIRST, LAST = 3, 100
# Smaller eigenvalues, relative to the largest, are rounding.
LEAST_EIGENVALUE = 1e-12
UNDEFINED: dict[str, float | None] = {"alpha_req": None, "alpha_req_r2": None}


def alpha_req(embedding: Tensor) -> dict[str, float | None]:
    """alpha-ReQ (Agrawal et al., NeurIPS 2022): ln lambda_i ~ -alpha ln i, lambda the covariance's eigenvalues.

    Least squares over i from 3 to 100, counted from 1 (or to D), weighted by 1 / i. Other code fits i from 10 to 99,
    which is another number. A spectrum that is no power law has an alpha all the same: read it beside the fit's R^2,
    which is weighted alike. Shapes: ``(N, D)``.

    Returns: ``alpha_req`` and ``alpha_req_r2``; ``None`` where fewer than three eigenvalues in the range are positive,
    and ``alpha_req_r2`` also where they are all equal.
    """
    x = prepared(embedding)
    if x is None or not varies(x):
        return dict(UNDEFINED)
    centred = x - x.mean(0)
    values = torch.linalg.eigvalsh(centred.T @ centred / len(centred)).flip(0).numpy()
    index = np.arange(1, len(values) + 1)
    used = (index >= FIRST) & (index <= LAST) & (values > values[0] * LEAST_EIGENVALUE)
    if used.sum() < 3:
        return dict(UNDEFINED)
    log_index, log_value, weight = np.log(index[used]), np.log(values[used]), 1 / index[used]
    slope, offset = np.polyfit(log_index, log_value, 1, w=np.sqrt(weight))
    residual = (weight * (log_value - slope * log_index - offset) ** 2).sum()
    spread = (weight * (log_value - np.average(log_value, weights=weight)) ** 2).sum()
    return {"alpha_req": float(-slope), "alpha_req_r2": float(1 - residual / spread) if spread > 0 else None}
