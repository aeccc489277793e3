"""Frozen features of clean images, computed once a set of weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ssl_bench.backbones.feature_point import EMBEDDING, FeaturePoint
from ssl_bench.data.images import ImageData, Split
from ssl_bench.errors import UserError
from ssl_bench.evaluation.subject import Subject, in_batches
from ssl_bench.files import save_tensors

CHUNK = 65_536


def features(
    subject: Subject, data: ImageData, split: Split, cache: Path | None, point: FeaturePoint = EMBEDDING
) -> Tensor:
    """Features of a split's clean images at a feature point.

    ``cache`` is a folder where they are kept by weights, transform, feature point, dataset and images; ``None`` keeps
    nothing. Tokens are never kept: they are as large as the dataset, and quick to make again.

    Returns: float32 ``(N, D)``, or ``(N, T, D)`` for tokens.

    Raises: UserError if a feature is not finite, or there is no such feature point.
    """
    keep = cache is not None and point.pool != "tokens"
    file = cache / f"features_{_key(subject, data, split, point)}.safetensors" if cache is not None else None
    if keep and file is not None and file.exists():
        try:
            return load_file(file)["features"]
        except (OSError, SafetensorError, KeyError):
            pass  # a damaged cache is computed anew
    made = in_batches(lambda images: subject.read(images, point), split.images, data.standardised)
    if not bool(torch.isfinite(made).all()):
        raise UserError(f"{subject.name}: its features of {data.name} are not finite; nothing can be probed")
    if keep and file is not None:
        save_tensors(file, {"features": made})
    return made


def standardise(features: Tensor, like: Tensor) -> Tensor:
    """Features with the mean removed and divided by the deviation of ``like``, a dimension; constant ones become zero.

    Shapes: ``(N, D)``, ``(M, D)`` -> ``(N, D)``.
    """
    mean, scale = scaling(like)
    return ((features.double() - mean) * scale).float()


def scaling(like: Tensor) -> tuple[Tensor, Tensor]:
    """What standardising subtracts and then multiplies by: the mean, and 1 / deviation or 0 where there is none.

    Shapes: ``(M, D)`` -> ``(D,)``, ``(D,)`` float64.
    """
    # In chunks: the tokens of a dataset would not fit into memory a second time, as float64.
    chunks = torch.split(like, CHUNK)
    mean = torch.stack([chunk.double().sum(0) for chunk in chunks]).sum(0) / len(like)
    variance = torch.stack([(chunk.double() - mean).square().sum(0) for chunk in chunks]).sum(0) / len(like)
    std = variance.sqrt()
    scale = torch.where(std > 1e-8 * std.max().clamp(min=1e-30), 1 / std.clamp(min=1e-30), 0.0)
    return mean, scale


def _key(subject: Subject, data: ImageData, split: Split, point: FeaturePoint) -> str:
    """A hash of all that decides features: weights, transform, feature point, pixels, the training statistics."""
    digest = hashlib.sha256(split.images.contiguous().numpy().tobytes())
    digest.update(repr((data.statistics, subject.weights, subject.transform, str(point))).encode())
    return digest.hexdigest()[:24]
