"""Frozen features of clean images, computed once a set of weights."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from ssl_bench import processes
from ssl_bench.backbones.feature_point import EMBEDDING, FeaturePoint
from ssl_bench.data.images import ImageData
from ssl_bench.errors import UserError
from ssl_bench.evaluation.subject import Subject, in_batches
from ssl_bench.files import load_tensors, save_tensors

# Rows that are brought to float64 at once: more would leave the processor's cache, and need memory a second time.
CHUNK = 1024


def features(
    subject: Subject,
    data: ImageData,
    which: Literal["train", "test"],
    cache: Path | None,
    point: FeaturePoint = EMBEDDING,
    rows: Tensor | None = None,
) -> Tensor:
    """Features of the clean images of the training or of the test set, at a feature point.

    ``cache`` is a folder where they are kept by weights, transform, feature point, dataset and images; ``None`` keeps
    nothing. Tokens are never kept: they are as large as the dataset, and quick to make again. ``rows`` asks for some of
    the images, in that order; where the features of all are kept already, theirs are taken from there.

    Returns: float32 ``(N, D)``, or ``(N, T, D)`` for tokens, on the CPU.

    Raises: UserError if a feature is not finite, or there is no such feature point.
    """
    images = getattr(data, which).images
    wanted = images if rows is None else images[rows]
    if cache is None or point.pool == "tokens":
        return _made(subject, data, wanted, point)
    file = cache / f"features_{_key(subject, data, which, point)}.safetensors"
    if rows is not None:
        if (of_all := _kept(file)) is not None:
            return of_all[rows]
        file = file.with_stem(f"{file.stem}_{_digest(rows.numpy().tobytes())}")
    if (kept := _kept(file)) is not None:
        return kept
    made = _made(subject, data, wanted, point)
    processes.first_only(save_tensors)(file, {"features": made})
    return made


def standardise(features: Tensor, like: Tensor) -> Tensor:
    """Features with the mean removed and divided by the deviation of ``like``, a dimension; constant ones become zero.

    Shapes: ``(N, D)``, ``(M, D)`` -> ``(N, D)``.
    """
    mean, scale = scaling(like)
    standardised = torch.empty(features.shape, device=features.device)
    for given, made in zip(torch.split(features, CHUNK), torch.split(standardised, CHUNK), strict=True):
        made.copy_((given - mean).mul_(scale))
    return standardised


def scaling(like: Tensor) -> tuple[Tensor, Tensor]:
    """What standardising subtracts and then multiplies by: the mean, and 1 / deviation or 0 where there is none.

    Shapes: ``(M, D)`` -> ``(D,)``, ``(D,)`` float64.
    """
    chunks = torch.split(like, CHUNK)
    mean = torch.stack([chunk.double().sum(0) for chunk in chunks]).sum(0) / len(like)
    variance = torch.stack([(chunk.double() - mean).square().sum(0) for chunk in chunks]).sum(0) / len(like)
    std = variance.sqrt()
    scale = torch.where(std > 1e-8 * std.max().clamp(min=1e-30), 1 / std.clamp(min=1e-30), 0.0)
    return mean, scale


def _kept(file: Path) -> Tensor | None:
    """Features from a file; none where it is not there or damaged: then they are made anew."""
    return processes.agreed(load_tensors(file).get("features") if processes.is_first() else None)


def _made(subject: Subject, data: ImageData, images: Tensor, point: FeaturePoint) -> Tensor:
    """Features of uint8 images ``(N, C, H, W)``."""
    made = in_batches(lambda batch: subject.read(batch, point), images, data.standardised, subject.device)
    if not bool(torch.isfinite(made).all()):
        raise UserError(f"{subject.name}: its features of {data.name} are not finite; nothing can be probed")
    return made


def _key(subject: Subject, data: ImageData, which: str, point: FeaturePoint) -> str:
    """A hash of all that decides features: weights, transform, feature point, and the images with their statistics."""
    return _digest(repr((data.fingerprint, which, subject.weights, subject.transform, str(point))).encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:24]
