"""What is known of which bands matter: from a few labels, from the user, from augmentations, or nothing at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy.stats import chi2
from torch import Generator, Tensor

from ssl_bench.config import ViewsConfig
from ssl_bench.data.images import ImageData, Split
from ssl_bench.data.views import make_views, resolve_recipe
from ssl_bench.design.directions import Directions
from ssl_bench.design.smoothing import shrunk
from ssl_bench.errors import UserError
from ssl_bench.noise import make_noise
from ssl_bench.spectrum.bases import band_sums

# The worth of a band of which nothing is known to matter, relative to the best: every ranking must be positive.
FLOOR = 1e-3
AUGMENTED = 2000
# Estimates that chance alone would scatter so far more often than this say nothing.
SURE = 0.01


@dataclass(frozen=True)
class Relevance:
    """What a direction of each band is worth, relative to the best band's.

    ``level``: all directions are wanted alike, so that no choice of K of them is the best. ``unknown``: nothing
    was found that is surely more than nothing, and nothing should be designed. ``samples``: how many
    labelled training images it took. ``estimates`` and ``errors``: as measured, before shrinking, where measured.

    Shapes: ``(bands,)`` float64, in ``FLOOR``..1.
    """

    worth: Tensor
    level: bool = False
    unknown: bool = False
    samples: int = 0
    estimates: Tensor | None = None
    errors: Tensor | None = None


def from_flat(directions: Directions) -> Relevance:
    """Nothing is known: every direction is wanted alike, however small its variance (whitening)."""
    return Relevance(torch.ones_like(directions.levels), level=True)


def from_bands(directions: Directions, worth: Sequence[float]) -> Relevance:
    """The user says what each band is worth.

    Raises: UserError if there is not one number a band, none is positive, or one is negative.
    """
    values = torch.tensor(list(worth), dtype=torch.float64)
    if len(values) != len(directions.levels):
        raise UserError(f"--worth has {len(values)} numbers, but there are {len(directions.levels)} bands")
    if bool((values < 0).any()) or float(values.max()) <= 0:
        raise UserError("--worth: numbers of 0 or more, at least one of them above 0")
    return _relative(values)


def from_labels(data: ImageData, directions: Directions, per_class: int, generator: Generator) -> Relevance:
    """Share of each direction's variance that lies between classes, from a few labels a class.

    One-way analysis of variance of each whitened coordinate, unbiased (omega squared), averaged over a band: what one
    direction of it is worth to a linear readout.
    """
    chosen = few_labels(data.train, per_class, data.classes, generator)
    coordinates = directions.whitened(data.standardised(chosen.images))
    groups = torch.nn.functional.one_hot(chosen.labels, data.classes).double()
    counts = groups.sum(0)
    used = int((counts > 0).sum())
    means = groups.T @ coordinates / counts.clamp(min=1)[:, None]
    total = (coordinates - coordinates.mean(0)).square().sum(0)
    between = (counts[:, None] * (means - coordinates.mean(0)).square()).sum(0)
    within = (total - between) / max(len(chosen) - used, 1)
    energy = (between - (used - 1) * within) / len(chosen)
    # Of pure noise the estimate has this deviation; it is averaged over the directions of a band.
    deviation = (2 * (used - 1) * (1 + (used - 1) / max(len(chosen) - used, 1))) ** 0.5 / len(chosen)
    estimates = band_sums(energy, directions.basis) / directions.widths
    return estimated(estimates, deviation / directions.widths.sqrt(), len(chosen))


def from_invariance(data: ImageData, directions: Directions, views: ViewsConfig, generator: Generator) -> Relevance:
    """How much of each band two augmented views of an image share: the order in which a joint embedding learns.

    omega = E[t t'] / E[t^2] over pairs of views t, t' of training images (theory of joint embedding,
    arXiv 2505.12477); ``views`` as for SimCLR. Needs no labels.

    Raises: UserError if the views are all alike.
    """
    recipe = resolve_recipe(views, "simclr", data.image_size)
    noise = make_noise(views.noise).prepare(data) if views.noise else None
    order = torch.randperm(len(data.train), generator=generator)[:AUGMENTED]
    shared = power = torch.zeros_like(directions.variances)
    for index in torch.split(order, 500):
        pair = make_views(data.train.images[index], 2, recipe, data.statistics, noise, generator)
        first, second = (directions.coordinates(view) for view in pair)
        shared = shared + (first * second).sum(0)
        power = power + (first.square() + second.square()).sum(0) / 2
    agreement = band_sums(shared, directions.basis) / band_sums(power, directions.basis)
    if float(agreement.min()) > 1 - 1e-9:
        raise UserError("the views are all alike, so that every band agrees with itself: give views that differ")
    return _relative(agreement)


def few_labels(split: Split, per_class: int, classes: int, generator: Generator) -> Split:
    """A random choice of training images, at most ``per_class`` of each class."""
    order = torch.randperm(len(split), generator=generator)
    labels = split.labels[order]
    chosen = [order[labels == label][:per_class] for label in range(classes)]
    return split.take(torch.cat(chosen))


def estimated(estimates: Tensor, errors: Tensor, samples: int) -> Relevance:
    """Relevance from estimates a band with standard errors, shrunk towards a smooth curve. Shapes: ``(bands,)``."""
    curve = shrunk(estimates, errors).clamp(min=0)
    chance = float(chi2.sf(float((estimates / errors).square().sum()), len(estimates)))
    if chance > SURE or float(curve.max()) <= 0:
        return Relevance(torch.ones_like(curve), False, True, samples, estimates, errors)
    return Relevance(_relative(curve).worth, False, False, samples, estimates, errors)


def _relative(values: Tensor) -> Relevance:
    """Relative to the best band, not below the floor."""
    worth = (values / values.max()).clamp(min=FLOOR)
    return Relevance(worth, level=bool((worth == worth[0]).all()))
