"""The linear probe, protocol ``linear/1``."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ssl_bench.config import EvaluationConfig
from ssl_bench.errors import UserError
from ssl_bench.evaluation.probe import Answer, Probe, Task, top1
from ssl_bench.seeds import make_generator

LEAST_UPDATES = 1000


def linear(task: Task) -> Answer:
    """Multinomial logistic regression on frozen features.

    A share of each class of the *training* set is held out. Features are standardised with the statistics of the rest.
    One head for each pair of learning rate and weight decay is trained on the rest (SGD, momentum 0.9, cosine to zero,
    at least 1,000 updates); the one of lowest cross-entropy on the held-out part, which scatters less than accuracy, is
    applied to the test set, once.

    Raises: UserError if no sample is left to train on or to hold out, or every head diverged.
    """
    task = task.there()
    fit, held_out = task.halves()
    like = task.train[fit]
    grid = list(itertools.product(task.settings.learning_rates, task.settings.weight_decays))
    heads = train_heads(task.scaled(like, like), task.labels[fit], task.classes, grid, task.settings)
    scores = _scores(heads, _with_bias(task.scaled(task.train[held_out], like)))
    losses = [float(cross_entropy(one.double(), task.labels[held_out])) for one in scores]
    # A head that diverged is no candidate; the smallest rates do not diverge on standardised features.
    finite = [index for index, loss in enumerate(losses) if math.isfinite(loss)]
    if not finite:
        raise UserError(
            "the linear probe diverged at every learning rate: standardise the features "
            "(evaluation.standardise=true), or give smaller evaluation.learning_rates"
        )
    best = min(finite, key=losses.__getitem__)
    chosen = _scores(heads[best : best + 1], _with_bias(task.scaled(task.test, like)))[0]
    rate, decay = grid[best]
    return Answer(
        chosen.argmax(1), {"learning_rate": rate, "weight_decay": decay}, top1(scores[best], task.labels[held_out])
    )


def train_heads(
    features: Tensor, labels: Tensor, classes: int, grid: list[tuple[float, float]], settings: EvaluationConfig
) -> Tensor:
    """One softmax regression a pair of learning rate and weight decay, all at once: columns of one matrix.

    Shapes: features ``(N, D)`` standardised, labels ``(N,)`` -> ``(L, D + 1, K)``, the last row the bias, which does
    not decay.
    """
    x = _with_bias(features)
    width, heads = x.shape[1], len(grid)
    rates, decays = x.new_tensor(grid).repeat_interleave(classes, 0).T.contiguous()
    decays = decays.expand(width, -1).clone()
    decays[-1] = 0
    target = torch.nn.functional.one_hot(labels, classes).float()[:, None]
    weights = x.new_zeros(width, heads * classes)
    velocity = torch.zeros_like(weights)
    batch = min(settings.probe_batch_size, len(x))
    per_epoch = len(x) // batch
    epochs = max(settings.probe_epochs, math.ceil(LEAST_UPDATES / per_epoch))
    for epoch in range(epochs):
        order = torch.randperm(len(x), generator=make_generator(settings.seed, "probe", epoch))
        for position, index in enumerate(torch.split(order[: per_epoch * batch].to(x.device), batch)):
            done = (epoch * per_epoch + position) / (epochs * per_epoch)
            seen = x[index]
            answers = softmax_((seen @ weights).view(batch, heads, classes))
            error = answers.sub_(target[index]).view(batch, -1)
            velocity.addmm_(seen.T, error, beta=0.9, alpha=1 / batch).addcmul_(decays, weights)
            weights.addcmul_(rates, velocity, value=-0.5 * (1 + math.cos(math.pi * done)))
    return weights.view(width, heads, classes).transpose(0, 1)


def softmax_(scores: Tensor) -> Tensor:
    """Softmax over the last axis, in place. Torch's own takes several times as long where there are few classes."""
    scores.sub_(scores.amax(-1, keepdim=True)).exp_()
    return scores.div_(scores.sum(-1, keepdim=True))


def _with_bias(features: Tensor) -> Tensor:
    return torch.cat([features, features.new_ones(len(features), 1)], dim=1)


def _scores(heads: Tensor, features: Tensor) -> Tensor:
    """Shapes: ``(L, D + 1, K)``, ``(N, D + 1)`` -> ``(L, N, K)``, by one matrix product."""
    rates, dim, classes = heads.shape
    flat = features @ heads.permute(1, 0, 2).reshape(dim, rates * classes)
    return flat.view(len(features), rates, classes).transpose(0, 1)


LINEAR = Probe("linear/1", linear)
