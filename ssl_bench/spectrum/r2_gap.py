"""The gap between top and bottom: how well components of large and of small variance predict the embedding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ssl_bench.evaluation.features import standardise
from ssl_bench.spectrum.bands import VALIDATION

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
    cut = round(len(fit) * (1 - VALIDATION))
    like = fit_embedding[:cut]
    known = standardise(like, like)
    if not bool((known != 0).any()):
        return None
    held, unseen = standardise(fit_embedding[cut:], like), standardise(test_embedding, like)
    cross = fit[:cut].T @ known / cut
    mean_variance = float(variances.mean())
    weights = [cross / (variances + penalty * mean_variance).float()[:, None] for penalty in PENALTIES]

    def held_out(side: Side) -> float:
        part = slice(side.start, side.stop)
        chosen = min(weights, key=lambda one: float((held - fit[cut:, part] @ one[part]).double().square().sum()))
        error = (unseen - test[:, part] @ chosen[part]).double().square().sum()
        return float(1 - error / unseen.double().square().sum())

    sets = [matched_sets(variances, fraction) for fraction in FRACTIONS]
    top, bottom = ([held_out(pair[which]) for pair in sets] for which in (0, 1))
    return {
        "gap": sum(one - other for one, other in zip(top, bottom, strict=True)) / len(FRACTIONS),
        "fractions": list(FRACTIONS),
        "top": top,
        "bottom": bottom,
        "top_components": [pair[0].stop for pair in sets],
        "bottom_components": [pair[1].stop - pair[1].start for pair in sets],
    }
