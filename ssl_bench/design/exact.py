"""Exact design where everything is diagonal: gains a band from what each band is worth.

Any positive ranking a can be imposed (theory of the oracle noise): a noise of variance nu = l (l / s - 1) turns the
score of a direction of variance l from l into any s below it, and a weight w = s / l does on the target side. The
family s = min(l, c a) goes from no change (c large) to the full ranking by a (c = min l / a).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from sklearn.isotonic import IsotonicRegression
from torch import Tensor

from ssl_bench.design.directions import Directions
from ssl_bench.design.knowledge import Relevance
from ssl_bench.design.smoothing import smoothed
from ssl_bench.design.soft import soft_top

Side = Literal["input", "target", "both"]
Curve = Literal["free", "smooth", "monotone"]
STEPS = 60
# Every power of a ranking is the same ranking; flatter ones take less noise.
EXPONENTS = (1.0, 0.7, 0.5, 0.35, 0.25, 0.15, 0.1)
# A weaker design is taken if it gains this share of what the best one gains.
GOOD_ENOUGH = 0.99
# Where the best design gains less than this share, nothing is designed.
LEAST_GAIN = 0.01


@dataclass(frozen=True)
class Gains:
    """A design: variances of the noise and weights of the target, one a band.

    ``power`` of the noise a pixel; ``change``: the largest factor by which a score falls, as a logarithm. ``value``:
    what the K kept directions are worth by the knowledge, as a share of the best K directions, and ``plain`` that of no
    change, both with the soft border of :mod:`ssl_bench.design.soft`. ``limited``: nothing is designed, but with more
    power something would be.
    """

    noise: Tensor
    weights: Tensor
    power: float
    change: float
    value: float
    plain: float
    limited: bool = False


def design_gains(
    directions: Directions, relevance: Relevance, count: int, side: Side, power: float, curve: Curve
) -> Gains:
    """The design of least change among those worth nearly as much as the best within the allowed noise power.

    Where no design is worth more than no change, no change is the design. Knowledge that wants all scores level has no
    best K directions; it gets the strongest design allowed.

    Args:
        directions: Bands and variances.
        relevance: What each band is worth.
        count: Latent dimension K.
        side: Noise at the input, weights at the target, or half of the change (in logarithms) by each.
        power: Largest variance of the noise a pixel, where the image's is 1.
        curve: ``monotone``: noise may only fall, weights only rise, with the band; ``smooth``: no jumps.
    """
    worth = relevance.worth[directions.band_of]
    best = float((worth * (directions.variances > 0)).sort(descending=True).values[:count].sum())
    candidates = [
        _judged(directions, gains, worth, count, best) for gains in _candidates(directions, relevance, side, curve)
    ]
    plain = candidates[0].value
    if relevance.unknown:
        return replace(candidates[0], plain=plain)
    allowed = [found for found in candidates if found.power <= power] or candidates[:1]
    if relevance.level:
        return replace(max(allowed, key=lambda found: found.change), plain=plain)
    gain = max(found.value for found in allowed) - plain
    if gain < LEAST_GAIN * plain:
        limited = max(found.value for found in candidates) - plain >= LEAST_GAIN * plain
        return replace(candidates[0], plain=plain, limited=limited)
    good = [found for found in allowed if found.value >= plain + GOOD_ENOUGH * gain]
    return replace(min(good, key=lambda found: found.change), plain=plain)


def _candidates(directions: Directions, relevance: Relevance, side: Side, curve: Curve) -> list[tuple[Tensor, Tensor]]:
    """Noise and weights of every ceiling and every flattening of the ranking; first of all no change."""
    found = []
    for exponent in EXPONENTS if not relevance.level else (1.0,):
        wanted = relevance.worth.pow(exponent)
        ratio = directions.levels / wanted
        ends = float(ratio.max().log10()), float(ratio.min().log10())
        for ceiling in torch.logspace(*ends, STEPS, dtype=torch.float64):
            # A hair above: the first ceiling must change nothing.
            kept = (ceiling * (1 + 1e-9) * wanted / directions.levels).clamp(max=1)
            found.append(_gains(directions, kept, side, curve))
    return found


def _judged(directions: Directions, gains: tuple[Tensor, Tensor], worth: Tensor, count: int, best: float) -> Gains:
    noise, weights = gains
    reached = scores(directions, noise, weights)
    power = float(noise @ directions.widths) / directions.dimension
    before = directions.variances.clamp(min=1e-300)
    change = float((before / reached.clamp(min=1e-300)).log()[directions.variances > 0].max())
    return Gains(noise, weights, power, change, float(soft_top(reached, count) @ worth) / best, 0.0)


def scores(directions: Directions, noise: Tensor, weights: Tensor) -> Tensor:
    """S = w l^2 / (l + nu) of each direction. Shapes: noise, weights ``(bands,)`` -> ``(R,)``."""
    variances = directions.variances
    added = noise[directions.band_of]
    return weights[directions.band_of] * variances.square() / (variances + added).clamp(min=1e-300)


def _gains(directions: Directions, kept: Tensor, side: Side, curve: Curve) -> tuple[Tensor, Tensor]:
    """Noise and weights that leave a share ``kept`` of each band's mean variance as its score."""
    by_noise, by_weight = {"input": (1.0, 0.0), "target": (0.0, 1.0), "both": (0.5, 0.5)}[side]
    noise = directions.levels * (kept.pow(-by_noise) - 1)
    weights = kept.pow(by_weight)
    return _shaped(noise, directions, curve, rising=False), _shaped(weights, directions, curve, rising=True)


def _shaped(gains: Tensor, directions: Directions, curve: Curve, rising: bool) -> Tensor:
    """Gains with the wanted form over the bands, fitted to their logarithms."""
    if curve == "free" or float(gains.max()) == float(gains.min()):
        return gains
    # Noise far below the data's smallest variance changes no score: there the logarithm starts.
    floor = 1e-12 if rising else 1e-3 * float(directions.levels.min())
    logs = np.log(gains.numpy() + floor)
    if curve == "monotone":
        fitted = IsotonicRegression(increasing=rising).fit_transform(np.arange(len(logs)), logs)
    else:
        fitted = smoothed(torch.from_numpy(logs), torch.ones(len(logs), dtype=torch.float64)).numpy()
    return torch.from_numpy(np.maximum(np.exp(fitted) - floor, 0))
