"""Few labels, protocol ``few_shot/1``: how much a probe knows after one, five, ten labels a class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from ssl_bench.config import EvaluationConfig
from ssl_bench.errors import UserError
from ssl_bench.evaluation.logistic import ITERATIONS, fit_quietly
from ssl_bench.evaluation.probe import Answer, Probe, Task
from ssl_bench.seeds import make_generator

# scikit-learn's default.
STRENGTH = 1.0


def few_shot(task: Task) -> Answer:
    """Logistic regression from a few labelled training images a class, for several numbers of them and many draws.

    Features are standardised with the statistics of all training images, since images without labels are free. C is
    1, always: with so few labels there is nothing to choose by. Within a draw the images of fewer shots are among those
    of more. Every draw is one of ``others``, ``shots=5/draw=3``, and :func:`summarise_draws` is what to report of them;
    the answer itself is the first draw of the largest number of shots, one like the others and picked by nobody.

    Raises: UserError if a class has fewer images than shots are asked for, or there is only one class.
    """
    shots = sorted(set(task.settings.shots))
    _check_sizes(task, shots[-1])
    train, test = task.scaled(task.train, task.train), task.scaled(task.test, task.train).double().numpy()
    others = {}
    for draw in range(task.settings.draws):
        drawn = draw_shots(task.labels, task.classes, shots[-1], task.settings.seed, draw)
        for count in shots:
            index = drawn[:, :count].flatten()
            model = LogisticRegression(C=STRENGTH, max_iter=ITERATIONS)
            fit_quietly(model, train[index], task.labels[index])
            others[_name(count, draw)] = torch.from_numpy(model.predict(test))
    return Answer(others[_name(shots[-1], 0)], others=others)


def draw_shots(labels: Tensor, classes: int, shots: int, seed: int, draw: int) -> Tensor:
    """Indices of ``shots`` random samples of each class, in random order. Shapes: ``(N,)`` -> ``(K, shots)``."""
    generator = make_generator(seed, "few_shot", draw)
    rows = []
    for label in range(classes):
        members = torch.nonzero(labels == label).flatten()
        rows.append(members[torch.randperm(len(members), generator=generator)[:shots]])
    return torch.stack(rows)


def summarise_draws(scored: Mapping[str, float], settings: EvaluationConfig) -> list[dict[str, Any]]:
    """Accuracy over the draws of each number of shots, fewest first.

    Args:
        scored: Top-1 of each of a few-shot answer's ``others``, by its name.
        settings: The numbers of shots, and how many draws there were.

    Returns: ``shots``, ``mean``, ``sd`` (of a draw, not of the mean), ``low`` and ``high`` (the 2.5th and the 97.5th
        percentile of the draws) and ``draws``.
    """
    rows = []
    for count in sorted(set(settings.shots)):
        values = np.array([scored[_name(count, draw)] for draw in range(settings.draws)])
        low, high = np.quantile(values, [0.025, 0.975])
        spread = {"mean": float(values.mean()), "sd": float(values.std(ddof=1)), "low": float(low), "high": float(high)}
        rows.append({"shots": count, **spread, "draws": settings.draws})
    return rows


def _name(shots: int, draw: int) -> str:
    return f"shots={shots}/draw={draw}"


def _check_sizes(task: Task, shots: int) -> None:
    """Refuse more shots than the smallest class has images."""
    sizes = torch.bincount(task.labels, minlength=task.classes)
    smallest = int(sizes.argmin())
    count = int(sizes[smallest])
    if count < shots:
        remedy = f"set evaluation.shots to at most {count}, or raise dataset.limit" if count else "leave the class out"
        raise UserError(
            f"few_shot: class {smallest} has {count} training images, and evaluation.shots asks for {shots}: {remedy}"
        )


FEW_SHOT = Probe("few_shot/1", few_shot)
