"""What each objective spent its embedding on, in one sentence: how much of the images it holds, and of which bands."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ssl_bench.reporting.collect import Run
from ssl_bench.reporting.groups import Block, Group
from ssl_bench.reporting.numbers import decimal, percent

# Bases that tell coarse from fine, lowest frequencies first. The border of an image, where it does not fit its other
# side, is in every band of the Fourier transform: whoever knows the lowest frequencies seems to know the highest too.
FREQUENCIES = ("dct", "radial")
UNTRAINED = "random"
# More configurations than this make no sentence.
SHOWN = 4


def capacity_sentence(block: Block) -> list[str]:
    """Of each configuration compared, what can be read linearly of the images: of all bands, the lowest, the highest.

    Means over seeds, of the best few, and beside them what the untrained backbone holds; nothing if none was analyzed.
    """
    if all(_mean(group) is None for group in block.main):
        return []
    words = [_group(group) for group in block.main]
    more = [f"{len(words) - SHOWN} more stand below"] if len(words) > SHOWN else []
    held_by = "; ".join([*words[:SHOWN], *more, *_untrained(block)])
    chance = " Chance is what as many random directions of the pixels hold." if "; chance " in held_by else ""
    return [f"What can be read linearly from the embeddings: {held_by}.{chance}"]


@dataclass(frozen=True)
class Held:
    """Share of the images' variance that is read from an embedding, and R² of the lowest and the highest frequencies.

    ``chance`` is the share that is read from as many random directions of the pixels; ``None`` where it was not
    measured.
    """

    share: float
    low: float
    high: float
    chance: float | None


def held(run: Run) -> Held | None:
    """What the embedding of a run holds at its last snapshot; ``None`` where it was not measured.

    A band below 0, worse than the mean image, counts as 0.
    """
    spectrum = run.spectrum or {}
    bands: list[dict[str, Any]] = next((spectrum[basis] for basis in FREQUENCIES if spectrum.get(basis)), [])
    total = _share(bands, "decodability")
    if total is None:
        return None
    low, high = (max(float(bands[place]["decodability"]), 0.0) for place in (0, -1))
    return Held(total, low, high, _share(bands, "decodability_chance"))


def _share(bands: Sequence[Mapping[str, Any]], key: str) -> float | None:
    scores = [band.get(key) for band in bands]
    if not scores or any(score is None for score in scores):
        return None
    shares = [float(band["variance_fraction"]) for band in bands]
    known = [max(float(score), 0.0) for score in scores if score is not None]
    return sum(score * share for score, share in zip(known, shares, strict=True)) / max(sum(shares), 1e-12)


def _untrained(block: Block) -> list[str]:
    """What a backbone holds before it has learned anything; named where there are several."""
    groups = [group for group in block.references if group.config.objective.name == UNTRAINED]
    found = [(group.config.backbone.name, mean.share) for group in groups if (mean := _mean(group)) is not None]
    named = len(found) > 1
    return [f"untrained{f' {name}' if named else ''} {percent(total)} %" for name, total in found[:SHOWN]]


def _mean(group: Group) -> Held | None:
    """Means over seeds of what :func:`held` gives."""
    found = [one for run in group.measured if (one := held(run)) is not None]
    if not found:
        return None
    chances = [one.chance for one in found if one.chance is not None]
    return Held(
        statistics.fmean(one.share for one in found),
        statistics.fmean(one.low for one in found),
        statistics.fmean(one.high for one in found),
        statistics.fmean(chances) if len(chances) == len(found) else None,
    )


def _group(group: Group) -> str:
    mean = _mean(group)
    if mean is None:
        return f"{group.label} was not analyzed"
    chance = "" if mean.chance is None else f"; chance {percent(mean.chance)} %"
    return (
        f"{group.label} holds {percent(mean.share)} % of the images' variance "
        f"(R² {decimal(mean.low)} of the lowest frequencies, {decimal(mean.high)} of the highest{chance})"
    )
