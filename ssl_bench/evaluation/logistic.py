"""Logistic regression, protocol ``logistic/1``: scikit-learn's, by L-BFGS."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn.functional import cross_entropy

from ssl_bench.errors import UserError
from ssl_bench.evaluation.probe import Answer, Probe, Task, top1

# Inverse penalties of the summed cross-entropy, scikit-learn's C; strong penalties first.
STRENGTHS = tuple(10.0 ** (power / 2) for power in range(-8, 5))
ITERATIONS = 500


def logistic(task: Task) -> Answer:
    """Logistic regression with an L2 penalty on frozen, standardised features.

    Fitted on all but a held-out share of each class, for C from 1e-4 to 1e2 in half decades, each starting from the
    solution of the one before; the C of lowest cross-entropy on the held-out part is applied to the test set, once. A
    fit that has not converged in 500 iterations is taken as it stands and competes like any other, since stopping early
    is itself a penalty; ``chosen`` says whether the chosen one had converged.

    Raises: UserError if no sample is left to fit on or to hold out, or all are of one class.
    """
    fit, held_out = task.halves()
    like = task.train[fit]
    x, y = task.scaled(like, like).double(), task.labels[fit]
    seen, truth = task.scaled(task.train[held_out], like).double(), task.labels[held_out]
    model = LogisticRegression(max_iter=ITERATIONS, warm_start=True)
    fits, losses = [], []
    for strength in STRENGTHS:
        converged = fit_quietly(model.set_params(C=strength), x, y)
        fits.append((copy.deepcopy(model), {"C": strength, "converged": converged}))
        losses.append(float(cross_entropy(class_scores(model, seen, task.classes), truth)))
    best, chosen = fits[losses.index(min(losses))]
    predicted = class_scores(best, task.scaled(task.test, like), task.classes).argmax(1)
    return Answer(predicted, chosen, top1(class_scores(best, seen, task.classes), truth))


def fit_quietly(model: LogisticRegression, features: Tensor, labels: Tensor) -> bool:
    """Fit a model in float64, without a warning where it does not converge. Shapes: ``(N, D)``, ``(N,)``.

    Returns: Whether it converged.

    Raises: UserError if all samples are of one class.
    """
    if bool((labels == labels[0]).all()):
        raise UserError(f"all training images are of class {int(labels[0])}: there is nothing to tell apart")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features.double().numpy(), labels.numpy())
    return bool((model.n_iter_ < model.max_iter).all())


def class_scores(model: LogisticRegression, features: Tensor, classes: int) -> Tensor:
    """Log probabilities up to a constant, float64; -inf for a class never seen. Shapes: ``(N, D)`` -> ``(N, K)``."""
    made = torch.from_numpy(np.asarray(model.decision_function(features.double().numpy())))
    # Of two classes there is one number, the log odds of the second.
    made = torch.stack([torch.zeros_like(made), made], dim=1) if made.dim() == 1 else made
    scores = torch.full((len(features), classes), -torch.inf, dtype=torch.float64)
    scores[:, torch.from_numpy(model.classes_)] = made
    return scores


LOGISTIC = Probe("logistic/1", logistic)
