"""The eigenbasis of the training images, from their exact moments, and its bands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ssl_bench.data.cache import cached
from ssl_bench.data.images import ImageData
from ssl_bench.errors import UserError

# Above this dimension components come from a sample of the images instead of the full covariance.
LARGEST_COVARIANCE = 8192
SAMPLES_INSTEAD = 4096


@dataclass(frozen=True)
class Eigenbasis:
    """Principal components of the standardised training images, largest variance first.

    Shapes: mean ``(D,)``; variances ``(R,)``; components ``(D, R)`` orthonormal columns, R the rank of the data (at
    most D), all float64; D = C H W.
    """

    mean: Tensor
    variances: Tensor
    components: Tensor


def pca_edges(variances: np.ndarray[Any, np.dtype[np.float64]], bands: int) -> list[int]:
    """Edges of index bands, log-spaced after a first band that is just wide enough to hold the most variance.

    Returns: ascending indices from 0 to the number of components, ``bands`` + 1 of them, fewer if components are few.
    """
    count = len(variances)
    if bands == 1:
        return [0, count]  # of one number, a geometric sequence is its first
    cumulative = np.concatenate([[0.0], np.cumsum(variances)])
    for first in range(1, count + 1):
        inner = np.unique(np.round(np.geomspace(first, count, bands)).astype(int))
        edges = [0, *inner.tolist()]
        held = np.diff(cumulative[edges])
        if held[0] >= held.max():
            return edges
    return [0, count]


def same_components(first: Tensor, second: Tensor) -> bool:
    """Whether two sets of components are one and the same, and not only span the same. Shapes: ``(D, R)`` both."""
    return first is second or (first.shape == second.shape and torch.equal(first, second))


def band_widths(variances: Tensor, bands: int, whose: str) -> Tensor:
    """How many components each of ``bands`` bands has (:func:`pca_edges`). Shapes: variances ``(R,)`` -> ``(bands,)``.

    Raises: UserError, which names ``whose`` gains they are, if there are not that many bands.
    """
    edges = pca_edges(variances.numpy(), bands)
    if len(edges) - 1 != bands:
        raise UserError(f"{whose}: {bands} gains, but {len(variances)} components make {len(edges) - 1} bands")
    return torch.tensor(edges).diff()


def eigenbasis(data: ImageData) -> Eigenbasis:
    """The principal components of a dataset's training images, kept in the user's cache by the dataset's content."""
    stored = cached(f"eigenbasis_{data.fingerprint}", lambda: _as_tensors(_compute(data)))
    return Eigenbasis(stored["mean"], stored["variances"], stored["components"])


def _as_tensors(basis: Eigenbasis) -> dict[str, Tensor]:
    return {"mean": basis.mean, "variances": basis.variances, "components": basis.components}


def _compute(data: ImageData) -> Eigenbasis:
    images = data.train.images
    if images[0].numel() > LARGEST_COVARIANCE:
        return _from_samples(data.standardised(_some(images)).flatten(1).double())
    mean, covariance = data.moments
    variances, vectors = torch.linalg.eigh(covariance / (255 * data.statistics.std) ** 2)
    offset = torch.tensor(data.statistics.mean, dtype=torch.float64).repeat_interleave(data.image_size**2)
    return _ordered((mean / 255 - offset) / data.statistics.std, variances, vectors)


def _from_samples(images: Tensor) -> Eigenbasis:
    """Components by way of the N x N matrix of inner products. Shapes: ``(N, D)`` float64, N < D."""
    mean = images.mean(0)
    centred = images - mean
    variances, weights = torch.linalg.eigh(centred @ centred.T / len(images))
    # Divided by the singular values the images combine to unit vectors; tiny ones are cut off as rank anyway.
    vectors = centred.T @ (weights / (variances.clamp(min=1e-30) * len(images)).sqrt())
    return _ordered(mean, variances, vectors)


def _ordered(mean: Tensor, variances: Tensor, vectors: Tensor) -> Eigenbasis:
    variances, vectors = variances.flip(0), vectors.flip(1)
    rank = int((variances > variances[0] * 1e-10).sum())
    return Eigenbasis(mean, variances[:rank].contiguous(), vectors[:, :rank].contiguous())


def _some(images: Tensor) -> Tensor:
    """A fixed random choice of images, where a D x D matrix is out of reach."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    return images[order[:SAMPLES_INSTEAD]]
