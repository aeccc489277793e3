"""The gap between top and bottom: how well components of large and of small variance predict the embedding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ssl_bench.evaluation.features import standardise
from ssl_bench.spectrum.readout import fitted

FRACTIONS = (0.1, 0.25, 0.5, 0.75, 0.9)
# In units of the mean variance of a component.
PENALTIES = (0.0, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


@dataclass(frozen=True)
class Side:
    """Components of one side that are just enough to hold a share of the variance: ``start`` to ``stop``, excluded."""

    start: int
    stop: int


def matched_sets(variances: Tensor, fraction: float) -> tuple[Side, Side]:
    """The fewest components of largest, and of smallest variance that together hold a share of it.

    Shapes: variances ``(R,)``, descending -> top, bottom.
    """
    total, count = float(variances.sum()), len(variances)
    enough = fraction * total * (1 - 1e-12)
    top = int((variances.cumsum(0) < enough).sum()) + 1
    bottom = int((variances.flip(0).cumsum(0) < enough).sum()) + 1
    return Side(0, min(top, count)), Side(max(count - bottom, 0), count)


def held_out_r2(
    nested: Sequence[Side], weights: Tensor, chosen_on: tuple[Tensor, Tensor], judged_on: tuple[Tensor, Tensor]
) -> list[float]:
    """R^2 of predictions from each of several sets of components, with the penalty that is best for the set.

    Args:
        nested: The sets, each of which holds the one before: to predictions, only what is new is added.
        weights: For each penalty. Shapes: ``(R, P, D)``.
        chosen_on: Coefficients and embeddings that a penalty is chosen on. Shapes: ``(N, R)``, ``(N, D)``.
        judged_on: Those that give the R^2. Shapes: ``(M, R)``, ``(M, D)``.
    """
    (coefficients, embedding), (test, unseen) = chosen_on, judged_on
    made, scores = embedding.new_zeros(len(embedding), weights[0].numel()), []
    done = Side(nested[0].start, nested[0].start)
    for side in nested:
        for new in (slice(side.start, done.start), slice(done.stop, side.stop)):
            made += coefficients[:, new] @ weights[new].flatten(1)
        errors = (embedding[:, None] - made.view(len(embedding), *weights.shape[1:])).double().square().sum((0, 2))
        part, done = slice(side.start, side.stop), side
        error = (unseen - test[:, part] @ weights[part, errors.argmin()]).double().square().sum()
        scores.append(1 - float(error / unseen.double().square().sum()))
    return scores


def r2_gap(
    variances: Tensor, fit: Tensor, fit_embedding: Tensor, test: Tensor, test_embedding: Tensor
) -> dict[str, Any] | None:
    """How much better top components predict the embedding than bottom ones of the same share of variance.

    After Garrido-Munoz and Calvo-Zaragoza: linear regression from components of the pixels to the standardised
    embedding, its held-out R^2 for the fewest top and the fewest bottom components that hold a share p of the variance;
    the gap is the mean over p of top less bottom. Positive: the embedding follows the directions of large variance.

    Components are uncorrelated over the training images and their variances known, so that the weights of a ridge
    regression need no inverse: E[c f] / (variance + penalty), its penalty chosen a set on a fifth of the fitting
    images. Bottom sets hold many more components than top ones, and a linear map says nothing of what is nonlinear.

    Shapes: variances ``(R,)`` descending; fit ``(N, R)``, test ``(M, R)``: coefficients less their mean; embeddings
    ``(N, D)``, ``(M, D)``.

    Returns: ``gap`` and, a share, ``top``, ``bottom``, ``top_components``, ``bottom_components``; ``None`` where the
    embedding does not vary.
    """
    cut = fitted(len(fit))
    like = fit_embedding[:cut]
    known = standardise(like, like)
    if not bool((known != 0).any()):
        return None
    held, unseen = standardise(fit_embedding[cut:], like), standardise(test_embedding, like)
    cross = fit[:cut].T @ known / cut
    shrunk = [cross / (variances + penalty * float(variances.mean())).float()[:, None] for penalty in PENALTIES]
    weights = torch.stack(shrunk, dim=1)
    chosen_on, judged_on = (fit[cut:], held), (test, unseen)
    sets = [matched_sets(variances, fraction) for fraction in FRACTIONS]
    top, bottom = (held_out_r2([pair[which] for pair in sets], weights, chosen_on, judged_on) for which in (0, 1))
    return {
        "gap": sum(one - other for one, other in zip(top, bottom, strict=True)) / len(FRACTIONS),
        "fractions": list(FRACTIONS),
        "top": top,
        "bottom": bottom,
        "top_components": [pair[0].stop for pair in sets],
        "bottom_components": [pair[1].stop - pair[1].start for pair in sets],
    }
