"""The verb ``align``: closed-form alignment between reconstruction and labels, with and without a noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ssl_bench.config import DatasetConfig
from ssl_bench.data.images import ImageData
from ssl_bench.data.load import load_dataset
from ssl_bench.data.moments import LARGEST_COVARIANCE
from ssl_bench.errors import UserError
from ssl_bench.noise import canonical, make_noise
from ssl_bench.theory.alignment import (
    alignment,
    chance,
    held_out,
    subspace_distance,
    variance_explained,
    whitened,
)
from ssl_bench.theory.moments import Moments, dataset_moments
from ssl_bench.theory.solutions import denoising


@dataclass(frozen=True)
class Problem:
    """A dataset ready for closed forms: its moments, and the solution without noise. Made once for any noises."""

    data: ImageData
    train: Moments
    test: Moments
    clean: Tensor


def make_problem(data: ImageData) -> Problem:
    """Moments of a dataset and its principal components.

    Raises: UserError if the images have too many pixels for a full eigendecomposition.
    """
    dimension = data.train.images[0].numel()
    if dimension > LARGEST_COVARIANCE:
        raise UserError(
            f"align solves a problem of {dimension} dimensions for {data.name!r}, and can do {LARGEST_COVARIANCE}: "
            "use smaller images (dataset.image_size)"
        )
    train, test = dataset_moments(data)
    variances, components = torch.linalg.eigh(train.second)
    # Principal components over their deviations are whitened already.
    return Problem(data, train, test, components.flip(1) / variances.flip(0).sqrt())


def align(
    dataset: DatasetConfig | ImageData,
    noise: str | Sequence[str] | None = None,
    k: Sequence[int] | None = None,
) -> dict[str, Any]:
    """Alignment(K) of the optimal linear (denoising) autoencoder with the labels. Trains nothing.

    Args:
        dataset: Its configuration, or the images themselves.
        noise: A spec; several make a table, under ``noises``.
        k: Latent dimensions to report; all of them by default.

    Returns: The contract's object (interface: ``align --json``); with several noises, that of no noise with one entry
    a noise beside it.

    Raises: UserError for a bad spec, or a K out of range.
    """
    data = dataset if isinstance(dataset, ImageData) else load_dataset(dataset)
    specs = [noise] if isinstance(noise, str) else list(noise or [])
    noises = {canonical(spec): make_noise(spec).prepare(data) for spec in specs}
    problem = make_problem(data)
    dimension = len(problem.clean)
    chosen = list(range(1, dimension + 1)) if k is None else sorted(set(k))
    if not chosen or chosen[0] < 1 or chosen[-1] > dimension:
        raise UserError(f"k: latent dimensions of {data.name!r} go from 1 to {dimension}, not {list(k or [])}")
    index = torch.tensor(chosen) - 1
    rank = min(dimension, len(data.train) - 1)
    head = {
        "dataset": data.name,
        "samples": len(data.train),
        "dimension": dimension,
        "k": chosen,
        "chance": _listed(chance(dimension, rank), index),
    }
    clean = _measures(problem, problem.clean)
    entries = []
    for spec, family in noises.items():
        shape = (data.channels, data.image_size, data.image_size)
        second = family.second_map(problem.train.second, shape)
        _, solution = denoising(family.mean_map(problem.train.second, shape), second)
        basis = whitened(solution, problem.train.second)
        noisy = _measures(problem, basis)
        noisy["change"] = 100 * (noisy["alignment"] / clean["alignment"].clamp(min=1e-12) - 1)
        noisy["subspace_distance"] = subspace_distance(problem.clean, basis, problem.train.second)
        entries.append({"noise": spec, **{key: _listed(value, index) for key, value in noisy.items()}})
    plain = {"noise": None, **{key: _listed(value, index) for key, value in clean.items()}}
    if isinstance(noise, str):
        return {**head, **entries[0]}
    return {**head, **plain, "noises": entries} if entries else {**head, **plain}


def _measures(problem: Problem, basis: Tensor) -> dict[str, Tensor]:
    """Everything reported of a whitened solution, for each K. Shapes: basis ``(D, D)`` -> ``(D,)`` each."""
    return {
        "alignment": alignment(basis, problem.train),
        "alignment_r2": alignment(basis, problem.train, "r2"),
        "alignment_balanced": alignment(basis, problem.train, "balanced"),
        "held_out": held_out(basis, problem.train, problem.test),
        "variance_explained": variance_explained(basis, problem.train.second),
    }


def _listed(values: Tensor, index: Tensor) -> list[float]:
    chosen: list[float] = values[index].tolist()
    return chosen
