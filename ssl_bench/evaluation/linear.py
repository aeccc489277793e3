"""The linear probe, protocol ``linear/1``."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ssl_bench.config import EvaluationConfig
from ssl_bench.errors import UserError
from ssl_bench.evaluation.features import standardise
from ssl_bench.seeds import derive_seed, make_generator

PROTOCOL = "linear/1"
LEAST_UPDATES = 1000


@dataclass(frozen=True)
class LinearResult:
    """A probe's outcome. Accuracies in 0..1; ``interval`` is the 95 % bootstrap interval over test images."""

    linear_top1: float
    linear_interval: tuple[float, float]
    held_out_top1: float
    selected_lr: float
    train_samples: int
    held_out_samples: int
    test_samples: int


def linear_probe(
    train: Tensor, train_labels: Tensor, test: Tensor, test_labels: Tensor, classes: int, settings: EvaluationConfig
) -> LinearResult:
    """Multinomial logistic regression on frozen features; protocol ``linear/1``.

    A share of each class of the *training* set is held out. Features are standardised with the statistics of the rest.
    One head a learning rate is trained on the rest (SGD, momentum 0.9, cosine to zero, no weight decay, at least 1,000
    updates); the one of lowest cross-entropy on the held-out part, which scatters less than accuracy, is applied to
    the test set, once. Test labels choose nothing.

    Shapes: train ``(N, D)``, labels ``(N,)``, test ``(M, D)``.

    Raises: UserError if no sample is left to train on or to hold out.
    """
    fit, held_out = split_by_class(train_labels, settings.held_out, derive_seed(settings.seed, "held_out"))
    if not len(fit) or not len(held_out):
        raise UserError(f"{len(train)} training samples are too few to hold out {settings.held_out:g} of each class")
    like = train[fit]
    heads = train_heads(standardise(like, like), train_labels[fit], classes, settings)
    scores = _scores(heads, _with_bias(standardise(train[held_out], like)))
    losses = [float(cross_entropy(one.double(), train_labels[held_out])) for one in scores]
    best = min(range(len(losses)), key=losses.__getitem__)
    held_out_top1 = (scores[best].argmax(1) == train_labels[held_out]).double().mean()
    chosen = _scores(heads[best : best + 1], _with_bias(standardise(test, like)))[0]
    correct = chosen.argmax(1) == test_labels
    return LinearResult(
        linear_top1=float(correct.double().mean()),
        linear_interval=bootstrap_interval(int(correct.sum()), len(correct), settings.seed),
        held_out_top1=float(held_out_top1),
        selected_lr=settings.learning_rates[best],
        train_samples=len(fit),
        held_out_samples=len(held_out),
        test_samples=len(test),
    )


def split_by_class(labels: Tensor, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Indices of the kept and of the held-out samples, ``share`` of each class (at least one where it has two)."""
    generator = torch.Generator().manual_seed(seed)
    kept, held = [], []
    for label in torch.unique(labels).tolist():
        members = torch.nonzero(labels == label).flatten()
        members = members[torch.randperm(len(members), generator=generator)]
        count = min(max(1, round(share * len(members))), len(members) - 1)
        held.append(members[:count])
        kept.append(members[count:])
    return torch.cat(kept).sort().values, torch.cat(held).sort().values


def train_heads(features: Tensor, labels: Tensor, classes: int, settings: EvaluationConfig) -> Tensor:
    """One softmax regression a learning rate, all at once: the heads are columns of one matrix.

    Shapes: features ``(N, D)`` standardised, labels ``(N,)`` -> ``(L, D + 1, K)``, the last row the bias.
    """
    rates = torch.tensor(settings.learning_rates)[:, None, None]
    x = _with_bias(features)
    target = torch.nn.functional.one_hot(labels, classes).float()
    weights = torch.zeros(len(rates), x.shape[1], classes)
    velocity = torch.zeros_like(weights)
    batch = min(settings.probe_batch_size, len(x))
    per_epoch = len(x) // batch
    epochs = max(settings.probe_epochs, math.ceil(LEAST_UPDATES / per_epoch))
    for epoch in range(epochs):
        order = torch.randperm(len(x), generator=make_generator(settings.seed, "probe", epoch))
        for position, index in enumerate(torch.split(order[: per_epoch * batch], batch)):
            done = (epoch * per_epoch + position) / (epochs * per_epoch)
            error = (torch.softmax(_scores(weights, x[index]), dim=2) - target[index]) / batch
            velocity = 0.9 * velocity + torch.einsum("bd,lbk->ldk", x[index], error)
            weights = weights - rates * 0.5 * (1 + math.cos(math.pi * done)) * velocity
    return weights


def bootstrap_interval(correct: int, count: int, seed: int, draws: int = 10_000) -> tuple[float, float]:
    """95 % percentile interval of an accuracy when the test images are drawn anew.

    Resampling 0/1 outcomes with replacement is drawing from a binomial distribution, so that is what is drawn.
    """
    resampled = np.random.default_rng(derive_seed(seed, "bootstrap")).binomial(count, correct / count, draws) / count
    low, high = np.quantile(resampled, [0.025, 0.975])
    return float(low), float(high)


def _with_bias(features: Tensor) -> Tensor:
    return torch.cat([features, torch.ones(len(features), 1)], dim=1)


def _scores(heads: Tensor, features: Tensor) -> Tensor:
    """Shapes: ``(L, D + 1, K)``, ``(N, D + 1)`` -> ``(L, N, K)``, by one matrix product."""
    rates, dim, classes = heads.shape
    flat = features @ heads.permute(1, 0, 2).reshape(dim, rates * classes)
    return flat.view(len(features), rates, classes).transpose(0, 1)
