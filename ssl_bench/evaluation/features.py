"""Frozen embeddings of clean images, computed once a set of weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ssl_bench.data.images import ImageData, Split
from ssl_bench.errors import UserError
from ssl_bench.evaluation.subject import Subject, in_batches
from ssl_bench.files import save_tensors


def embed(subject: Subject, data: ImageData, split: Split, cache: Path | None) -> Tensor:
    """Embeddings of a split's clean images.

    ``cache`` is a folder where features are kept by weights, dataset and images; ``None`` keeps nothing.

    Returns: float32 ``(N, D)``.

    Raises: UserError if an embedding is not finite.
    """
    file = None if cache is None else cache / f"embedding_{subject.weights}_{_images_key(data, split)}.safetensors"
    if file is not None and file.exists():
        try:
            return load_file(file)["embedding"]
        except (OSError, SafetensorError, KeyError):
            pass  # a damaged cache is computed anew
    embedding = in_batches(subject.encode, split.images, data.standardised)
    if not bool(torch.isfinite(embedding).all()):
        raise UserError(f"{subject.name}: its embeddings of {data.name} are not finite; nothing can be probed")
    if file is not None:
        save_tensors(file, {"embedding": embedding})
    return embedding


def standardise(features: Tensor, like: Tensor) -> Tensor:
    """Features with the mean removed and divided by the deviation of ``like``, a dimension; constant ones become zero.

    Shapes: ``(N, D)``, ``(M, D)`` -> ``(N, D)``.
    """
    mean, std = like.double().mean(0), like.double().std(0, correction=0)
    scale = torch.where(std > 1e-8 * std.max().clamp(min=1e-30), 1 / std.clamp(min=1e-30), 0.0)
    return ((features.double() - mean) * scale).float()


def _images_key(data: ImageData, split: Split) -> str:
    """Which images, standardised how: a hash of the pixels and of the training statistics."""
    digest = hashlib.sha256(split.images.contiguous().numpy().tobytes())
    digest.update(repr(data.statistics).encode())
    return digest.hexdigest()[:16]
