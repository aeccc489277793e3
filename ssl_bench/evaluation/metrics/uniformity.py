"""Uniformity: how evenly embeddings cover the unit sphere."""

from __future__ import annotations

import math

from torch import Tensor

from ssl_bench.evaluation.metrics.embeddings import directions, prepared

T = 2.0
# Pairs are taken this many rows at a time against all later rows, so that no N x N matrix is held.
ROWS = 1024


def uniformity(embedding: Tensor, t: float = T) -> float | None:
    """Uniformity (Wang and Isola, arXiv 2005.10242): log of the mean of exp(-t |x_i - x_j|^2) over pairs i < j.

    Of embeddings scaled to length 1; what their code computes with ``torch.pdist``. 0 where all directions agree, near
    -2 t for points all over a sphere of many dimensions. A sample makes no pair with itself. Shapes: ``(N, D)``.

    Returns: ``None`` for fewer than two samples, values that are not finite, and where a sample is all zeros.
    """
    x = prepared(embedding)
    unit = None if x is None else directions(x)
    if unit is None:
        return None
    total = 0.0
    for start in range(0, len(unit), ROWS):
        # |a - b|^2 = 2 - 2 a b; above the diagonal are the pairs of a row with a later one.
        similarity = unit[start : start + ROWS] @ unit[start:].T
        total += float(similarity.sub_(1).mul_(2 * t).exp_().triu_(1).sum())
    return math.log(total / (len(unit) * (len(unit) - 1) / 2))
