"""CLID's two parts: whether an embedding's own clusters can be learned, and its intrinsic dimension."""

from __future__ import annotations

import math

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor

from ssl_bench.evaluation.metrics.embeddings import directions, prepared, varies
from ssl_bench.seeds import derive_seed, make_generator

# Both parts look at the first samples only, in the order given; fewer than the least say nothing.
MOST_SAMPLES = 2000
LEAST_SAMPLES = 10
# TwoNN leaves out this share of the samples, those of the largest ratios, whose tail bends the line.
DISCARDED = 0.1


def clid(embedding: Tensor) -> dict[str, float | None]:
    """The two parts of CLID (Lu et al., arXiv 2206.01251): :func:`cluster_learnability`, :func:`intrinsic_dimension`.

    The paper makes one number of them, by a rule that could not be checked and is left out: one is a share, the other
    a count of dimensions, and a sum needs a scale that a single embedding does not have. Shapes: ``(N, D)``.
    """
    return {
        "cluster_learnability": cluster_learnability(embedding),
        "intrinsic_dimension": intrinsic_dimension(embedding),
    }


def cluster_learnability(embedding: Tensor) -> float | None:
    """How often the nearest neighbour in one half of the samples is of the same cluster, for the other half.

    1-NN accuracy on pseudo-labels: k-means with about sqrt(N) clusters on embeddings scaled to length 1 (k-means++, one
    start, fixed seed), then a fixed random split in halves. The paper's first version takes the speed at which such a
    classifier learns, the later one its performance, as here. The first 2,000 samples. Shapes: ``(N, D)``.

    Returns: ``None`` for fewer than ten samples, fewer different directions than clusters, values that are not finite,
    and where a sample is all zeros.
    """
    points = _first_points(embedding)
    if points is None:
        return None
    clusters = round(math.sqrt(len(points)))
    if len(torch.unique(points, dim=0)) < clusters:
        return None
    seed = derive_seed(0, "clid clusters") % 2**32
    labels = torch.from_numpy(KMeans(clusters, n_init=1, random_state=seed).fit_predict(points.numpy()))
    shuffled = torch.randperm(len(points), generator=make_generator(0, "clid halves"))
    known, asked = shuffled[: len(points) // 2], shuffled[len(points) // 2 :]
    nearest = torch.cdist(points[asked], points[known]).argmin(1)
    return float((labels[known][nearest] == labels[asked]).double().mean())


def intrinsic_dimension(embedding: Tensor) -> float | None:
    """TwoNN (Facco et al., Sci. Rep. 2017) of embeddings scaled to length 1: the linear fit, not maximum likelihood.

    mu is a sample's distance to its second nearest neighbour over that to its nearest, and F its empirical
    distribution, i / N: the slope of -ln(1 - F) against ln mu, a line through the origin, without the tenth of largest
    mu. Scaling to length 1 takes a dimension from data that fill a ball. A sample that occurs twice has no mu and is
    left out. With so few samples high dimensions look lower than they are. The first 2,000. Shapes: ``(N, D)``.

    Returns: ``None`` for fewer than ten samples that have a mu, where every mu is 1, values that are not finite, and
    where a sample is all zeros.
    """
    points = _first_points(embedding)
    if points is None:
        return None
    nearest, second = _neighbour_distances(points)
    ratios = np.sort(second[nearest > 0] / nearest[nearest > 0])
    count = len(ratios)
    if count < LEAST_SAMPLES:
        return None
    kept = int(count * (1 - DISCARDED))
    x = np.log(ratios[:kept])
    y = -np.log(1 - np.arange(1, kept + 1) / count)
    return float((x * y).sum() / (x * x).sum()) if x.any() else None


def _first_points(embedding: Tensor) -> Tensor | None:
    """The first samples scaled to length 1, about their mean: distances stay, and lose less to rounding."""
    x = prepared(embedding[:MOST_SAMPLES])
    unit = None if x is None or len(x) < LEAST_SAMPLES else directions(x)
    return unit - unit.mean(0) if unit is not None and varies(unit) else None


def _neighbour_distances(points: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Distances to the two nearest others: found by matrix product, then measured, so that a double is at exactly 0."""
    neighbours = torch.cdist(points, points).fill_diagonal_(torch.inf).topk(2, dim=1, largest=False).indices
    distances = (points[:, None] - points[neighbours]).norm(dim=2).sort(dim=1).values.numpy()
    return distances[:, 0], distances[:, 1]
