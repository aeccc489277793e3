"""Ridge regression to the classes, protocol ``ridge/1``: a probe in closed form, and a frozen head to use elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ssl_bench.evaluation.probe import Answer, Probe, Task, top1

# A sample's: the penalty of the summed squares is N times that, so that a grid means the same for any N.
PENALTIES = tuple(10.0 ** (power / 2) for power in range(-12, 7))


@dataclass(frozen=True)
class RidgeClassifier:
    """A frozen linear head on raw features, with the standardisation it was fitted under.

    Shapes: mean, scale ``(D,)``, weights ``(D + 1, K)``, the last row the bias; all float64.
    """

    mean: Tensor
    scale: Tensor
    weights: Tensor
    penalty: float
    held_out_top1: float

    def __call__(self, features: Tensor) -> Tensor:
        """Scores of the classes, float64; the highest is the answer. Shapes: ``(N, D)`` -> ``(N, K)``."""
        return ((features.double() - self.mean) * self.scale) @ self.weights[:-1] + self.weights[-1]


def ridge(task: Task) -> Answer:
    """Ridge regression from standardised features to centred one-hot labels.

    See :func:`ridge_classifier` for how it is fitted and its penalty chosen; applied to the test set once.

    Raises: UserError if no sample is left to fit on or to hold out.
    """
    task = task.there()
    classifier = ridge_classifier(task)
    predicted = classifier(task.test).argmax(1)
    return Answer(predicted, {"penalty": classifier.penalty}, classifier.held_out_top1)


def ridge_classifier(task: Task) -> RidgeClassifier:
    """The ridge regression of ``ridge/1``; looks at no test image.

    Fitted on all but a held-out share of each class, for all penalties from one eigendecomposition. The penalty of
    least squared error on the held-out part is taken: what ridge regression minimises, a proper score, and smoother
    than accuracy, which a handful of held-out images decides. Between equals, the strongest.

    Raises: UserError if no sample is left to fit on or to hold out.
    """
    fit, held_out = task.halves()
    like = task.train[fit]
    mean, scale = task.scaling(like)
    weights = fit_ridge((like.double() - mean) * scale, task.labels[fit], task.classes, PENALTIES)
    seen, truth = (task.train[held_out].double() - mean) * scale, task.labels[held_out]
    scores = seen @ weights[:, :-1] + weights[:, -1:]
    errors = (scores - one_hot(truth, task.classes)).square().mean((1, 2)).tolist()
    best = min(range(len(PENALTIES)), key=lambda index: (errors[index], -PENALTIES[index]))
    return RidgeClassifier(mean, scale, weights[best], PENALTIES[best], top1(scores[best], truth))


def fit_ridge(features: Tensor, labels: Tensor, classes: int, penalties: Sequence[float]) -> Tensor:
    """Ridge regression to one-hot labels, for every penalty, from one eigendecomposition in float64.

    Minimises the mean of |y - x W - b|^2 plus ``penalty`` |W|^2. The bias is not penalised. A class without a sample is
    never the highest: its scores are 0, and those of the others add up to 1. A Cholesky factor for each of 19 penalties
    took 1.3, 1.9 and 1.5 times as long, at 64, 512 and 2,048 features.

    Shapes: ``(N, D)``, ``(N,)``, P penalties -> ``(P, D + 1, K)`` float64, the last row the bias.
    """
    targets = one_hot(labels, classes).double()
    x_mean, y_mean = features.double().mean(0), targets.mean(0)
    x, y = features.double() - x_mean, targets - y_mean
    count, dim = x.shape
    # Of the two Gram matrices, which have the same eigenvalues other than zero, the smaller.
    values, axes = torch.linalg.eigh((x.T @ x if dim <= count else x @ x.T) / count)
    left, right = (axes, axes.T @ (x.T @ y)) if dim <= count else (x.T @ axes, axes.T @ y)
    shrinkage = 1 / (values.clamp(min=0) + values.new_tensor(penalties)[:, None])
    weights = left @ (shrinkage[:, :, None] * right / count)
    return torch.cat([weights, (y_mean - x_mean @ weights)[:, None]], dim=1)


RIDGE = Probe("ridge/1", ridge)
