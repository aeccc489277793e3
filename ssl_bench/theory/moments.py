"""Second moments of a dataset and its labels: all that the closed forms need of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ssl_bench.data.cache import cached
from ssl_bench.data.gram import CENTRE, centred, exact_rows, pixel_moments, product
from ssl_bench.data.images import ImageData, Split

# The official preprocessing jitters the images by 0.001 of their deviation; its expected effect on the second moment.
JITTER = 1e-6


@dataclass(frozen=True)
class Moments:
    """Averages over samples of standardised images x, less the training mean image, and one-hot labels y.

    Shapes: second ``(D, D)`` E[x x^T]; labels ``(D, K)`` E[x (y - ybar)^T], ybar of the training set; shares ``(K,)``
    of the classes; spread: E|y - ybar|^2. All float64; D = C H W.
    """

    second: Tensor
    labels: Tensor
    shares: Tensor
    spread: float


def dataset_moments(data: ImageData) -> tuple[Moments, Moments]:
    """Moments of the training and of the test images, both about the training mean; kept in the cache by content.

    The training second moment carries the jitter of the official preprocessing, without which components of no
    variance make the generalised eigenproblem degenerate.
    """
    stored = cached(f"moments_{data.fingerprint}", lambda: _as_tensors(_compute(data)))
    train, test = (
        Moments(
            stored[f"{split}_second"],
            stored[f"{split}_labels"],
            stored[f"{split}_shares"],
            float(stored[f"{split}_spread"]),
        )
        for split in ("train", "test")
    )
    train.second.diagonal().add_(jitter(train.second))
    return train, test


def jitter(second: Tensor) -> float:
    """The variance that the official preprocessing adds to every pixel, from the second moment without it or with."""
    return JITTER * float(second.diagonal().mean())


def _as_tensors(moments: tuple[Moments, Moments]) -> dict[str, Tensor]:
    parts: dict[str, Tensor] = {}
    for split, one in zip(("train", "test"), moments, strict=True):
        parts |= {f"{split}_second": one.second, f"{split}_labels": one.labels, f"{split}_shares": one.shares}
        parts[f"{split}_spread"] = torch.tensor(one.spread, dtype=torch.float64)
    return parts


def _compute(data: ImageData) -> tuple[Moments, Moments]:
    scale = 255 * data.statistics.std
    mean, covariance = data.moments
    shares = _shares(data.train, data.classes)
    second = covariance / scale**2
    train = Moments(second, _with_labels(data.train, data, mean, shares) / scale, shares, _spread(shares, shares))
    test_mean, test_covariance = pixel_moments(data.test.images)
    offset = test_mean - mean
    test_second = (test_covariance + torch.outer(offset, offset)) / scale**2
    test_shares = _shares(data.test, data.classes)
    test_labels = _with_labels(data.test, data, mean, shares) / scale
    return train, Moments(test_second, test_labels, test_shares, _spread(test_shares, shares))


def _shares(split: Split, classes: int) -> Tensor:
    return torch.bincount(split.labels, minlength=classes).double() / len(split)


def _spread(shares: Tensor, centre: Tensor) -> float:
    """E|y - ybar|^2 of one-hot labels with these class shares."""
    return float((shares * (1 - 2 * centre)).sum() + centre.square().sum())


def _with_labels(split: Split, data: ImageData, mean: Tensor, centre: Tensor) -> Tensor:
    """E[(x - mean) (y - centre)^T] in pixel units. Shapes: ``(D, K)``."""
    total = torch.zeros(split.images[0].numel(), data.classes, dtype=torch.float64)
    rows = exact_rows()
    for images, labels in zip(torch.split(split.images, rows), torch.split(split.labels, rows), strict=True):
        pixels = centred(images)
        total += product(pixels, one_hot(labels, data.classes).to(pixels.dtype))
    shares = _shares(split, data.classes)
    average = total.sum(1) / len(split)
    # E[(x - m)(y - c)^T] = E[x y^T] - m E[y]^T - E[x] c^T + m c^T
    shifted = mean - CENTRE
    return total / len(split) - torch.outer(shifted, shares) - torch.outer(average - shifted, centre)
