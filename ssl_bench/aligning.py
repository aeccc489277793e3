"""The verb ``align``: closed-form alignment between reconstruction and labels, with and without noise and target."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ssl_bench.config import DatasetConfig
from ssl_bench.data.images import ImageData
from ssl_bench.data.load import load_dataset
from ssl_bench.data.moments import LARGEST_COVARIANCE, eigenbasis
from ssl_bench.errors import UserError
from ssl_bench.noise import canonical, make_noise
from ssl_bench.noise.base import Noise, Shape
from ssl_bench.targets import canonical_target, make_target
from ssl_bench.targets.base import Target
from ssl_bench.theory.alignment import (
    alignment,
    chance,
    held_out,
    label_energy,
    subspace_distance,
    variance_explained,
    whitened,
)
from ssl_bench.theory.moments import Moments, dataset_moments, jitter
from ssl_bench.theory.solutions import denoising, diagonal_order

BALANCES = ("official", "r2", "balanced")
# A second moment below this share of the images' is none.
NOTHING = 1e-12


@dataclass(frozen=True)
class Problem:
    """A dataset ready for closed forms: its moments, and the solution without noise. Made once for any noises.

    Shapes: variances ``(D,)``, components ``(D, D)``, those of the training images, in descending order; the images
    have variance in the first ``rank`` of them. ``energy``: of the labels, in all D dimensions, by balance.
    """

    data: ImageData
    train: Moments
    test: Moments
    variances: Tensor
    components: Tensor
    energy: dict[str, float]
    rank: int

    @property
    def shape(self) -> Shape:
        """(C, H, W)."""
        return self.data.channels, self.data.image_size, self.data.image_size

    def clean(self, count: int) -> Tensor:
        """The whitened solution without noise: principal components over their deviations. Shapes: ``(D, K)``."""
        return self.components[:, :count] / self.variances[:count].sqrt()


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
    basis = eigenbasis(data)
    rank = len(basis.variances)
    if float(train.second.trace()) <= 0 or rank == 0 or not bool(torch.isfinite(basis.variances).all()):
        raise UserError(f"the training images of {data.name!r} are all alike: nothing to encode")
    components = basis.components
    if rank < dimension:
        # Where the images have no variance any directions do that complete the basis.
        beyond = torch.linalg.qr(components, mode="complete").Q[:, rank:]
        components = torch.cat([components, beyond], dim=1)
    # The jitter of the moments is the same in every direction.
    variances = torch.nn.functional.pad(basis.variances, (0, dimension - rank)) + jitter(train.second)
    whole = components / variances.sqrt()
    energy = {balance: float(label_energy(whole, train, balance).sum()) for balance in BALANCES}
    return Problem(data, train, test, variances, components, energy, rank)


def align(
    dataset: DatasetConfig | ImageData,
    noise: str | Sequence[str | None] | None = None,
    k: Sequence[int] | None = None,
    target: str | Sequence[str | None] | None = None,
) -> dict[str, Any]:
    """Alignment(K) of the optimal linear (denoising) autoencoder with the labels. Trains nothing.

    Args:
        dataset: Its configuration, or the images themselves.
        noise: A spec; several make a table, under ``noises``.
        k: Latent dimensions to report; all of them by default.
        target: A spec, or several: each is paired with each noise; ``None`` in a list is none.

    Returns: The contract's object (interface: ``align --json``); with several pairs, that of no noise with one entry
    a pair beside it.

    Raises: UserError for a bad spec, or a K out of range.
    """
    data = dataset if isinstance(dataset, ImageData) else load_dataset(dataset)
    pairs = list(itertools.product(_listed_specs(noise, canonical), _listed_specs(target, canonical_target)))
    asked = [pair for pair in dict.fromkeys(pairs) if pair != (None, None)]
    dimension = data.train.images[0].numel()
    chosen = list(range(1, dimension + 1)) if k is None else sorted(set(k))
    if not chosen or chosen[0] < 1 or chosen[-1] > dimension:
        raise UserError(f"k: latent dimensions of {data.name!r} go from 1 to {dimension}, not {list(k or [])}")
    noises = {spec: make_noise(spec).prepare(data) for spec, _ in asked if spec is not None}
    targets = {spec: make_target(spec).prepare(data) for _, spec in asked if spec is not None}
    problem = make_problem(data)
    if problem.energy["official"] <= 0:
        raise UserError(f"the training images of {data.name!r} are of one class: there is nothing to align with")
    index = torch.tensor(chosen) - 1
    clean = problem.clean(chosen[-1])
    plain = _measures(problem, clean)
    head = {
        "dataset": data.name,
        "samples": len(data.train),
        "dimension": dimension,
        "k": chosen,
        "chance": _listed(chance(dimension, problem.rank), index),
    }
    entries = []
    for noise_spec, target_spec in asked:
        basis = solve(
            problem,
            noises[noise_spec] if noise_spec is not None else None,
            targets[target_spec] if target_spec is not None else None,
            chosen[-1],
        )
        found = _measures(problem, basis)
        found["change"] = 100 * (found["alignment"] / plain["alignment"].clamp(min=1e-12) - 1)
        found["subspace_distance"] = subspace_distance(clean, basis, problem.train.second)
        values = {key: _listed(value, index) for key, value in found.items()}
        entries.append({"noise": noise_spec, "target": target_spec, **values})
    without = {"noise": None, "target": None, **{key: _listed(value, index) for key, value in plain.items()}}
    if len(entries) == 1 and not any(isinstance(one, Sequence) and not isinstance(one, str) for one in (noise, target)):
        return {**head, **entries[0]}
    return {**head, **without, "noises": entries} if entries else {**head, **without}


def solve(problem: Problem, noise: Noise | None, target: Target | None, count: int) -> Tensor:
    """The optimal linear encoder of K dimensions under a prepared noise and target, whitened and in order.

    Where both are diagonal in the principal components these only change places; else an eigenproblem of D dimensions.

    Shapes: -> ``(D, K)``.

    Raises: UserError if the noise leaves nothing of the images.
    """
    rank = problem.rank
    order = diagonal_order(problem.variances[:rank], noise, target, problem.components[:, :rank])
    if order is not None:
        kept = torch.cat([order, torch.arange(rank, len(problem.variances))])[:count]
        return problem.components[:, kept] / problem.variances[kept].sqrt()
    second = problem.train.second
    cross = second if noise is None else noise.mean_map(second, problem.shape)
    noisy = second if noise is None else noise.second_map(second, problem.shape)
    if float(noisy.trace()) <= NOTHING * float(second.trace()):
        raise UserError("the noise leaves nothing of the images: there is nothing to encode")
    weight = None if target is None else target.weight_map(problem.shape)
    return whitened(denoising(cross, noisy, weight, count)[1], second)


def _listed_specs(given: str | Sequence[str | None] | None, canonical: Callable[[str], str]) -> list[str | None]:
    specs = [given] if given is None or isinstance(given, str) else list(given) or [None]
    return [None if spec is None else canonical(spec) for spec in specs]


def _measures(problem: Problem, basis: Tensor) -> dict[str, Tensor]:
    """Everything reported of a whitened solution, for each K. Shapes: basis ``(D, K)`` -> ``(K,)`` each."""
    aligned = {
        name: alignment(basis, problem.train, balance, problem.energy[balance])
        for name, balance in zip(("alignment", "alignment_r2", "alignment_balanced"), BALANCES, strict=True)
    }
    return {
        **aligned,
        "held_out": held_out(basis, problem.train, problem.test),
        "variance_explained": variance_explained(basis, problem.train.second),
    }


def _listed(values: Tensor, index: Tensor) -> list[float]:
    chosen: list[float] = values[index].tolist()
    return chosen
