"""LiDAR: how many directions tell images apart better than their views differ."""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_bench.evaluation.metrics.embeddings import entropy_rank, prepared, varies

DELTA = 1e-4
EPSILON = 1e-7


def lidar(views: Tensor, delta: float = DELTA) -> float | None:
    """LiDAR (Thilak et al., arXiv 2312.04000): the rank, as RankMe counts it, of the matrix of a discriminant analysis.

    An image is a class and its views are the members: Sigma_b is the covariance of the images' mean embeddings, Sigma_w
    that of views about their image's mean, plus delta I. Of the eigenvalues of Sigma_w^-1/2 Sigma_b Sigma_w^-1/2,
    normalised, plus epsilon 1e-7, exp of the entropy. Only D x D matrices are formed.

    The paper writes expectations. Here they are unbiased estimates: Sigma_b is divided by n - 1, which cancels, and
    Sigma_w by n (q - 1), which matters beside delta only. As delta is absolute, the value depends on the embedding's
    scale where views differ by no more than sqrt(delta). The mean of q views holds 1/q of their variance, so that no
    direction has eigenvalue 0: compare at one q, one D, and the same augmentations for every objective. The paper takes
    n of 1,000 and more (above D), q of 10 to 50. Code that runs a PCA on the matrix squares its eigenvalues and
    computes something else. Shapes: ``(n, q, D)``, q views of each of n images.

    Returns: ``None`` for fewer than two images or views, values that are not finite, and where no two images' means
    differ.

    Raises: ValueError if delta is not above 0.
    """
    if not delta > 0:
        raise ValueError(f"delta={delta:g}: must be above 0")
    x = prepared(views, axes=3)
    if x is None or x.shape[1] < 2:
        return None
    means = x.mean(1)
    if not varies(means, computed_from=x.flatten(0, 1)):
        return None
    count, each, dimension = x.shape
    centred = means - means.mean(0)
    between = centred.T @ centred / (count - 1)
    about = (x - means[:, None]).reshape(-1, dimension)
    within = about.T @ about / (count * (each - 1))
    # A rotation of Sigma_w^-1/2: the eigenvalues are the same, and what rounding makes negative cannot hurt.
    variances, axes = torch.linalg.eigh(within)
    whitening = axes / (variances.clamp(min=0) + delta).sqrt()
    values = torch.linalg.eigvalsh(whitening.T @ between @ whitening).clamp(min=0)
    return entropy_rank(values / values.sum() + EPSILON)
