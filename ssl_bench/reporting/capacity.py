"""What each objective spent its embedding on, in one sentence: how much of the images it holds, and of which bands."""

from __future__ import annotations

import statistics

from ssl_bench.reporting.collect import Run
from ssl_bench.reporting.groups import Block, Group
from ssl_bench.reporting.numbers import decimal, percent

# Of the bases that are measured, the one that tells coarse from fine; its first band is the lowest frequencies.
BASIS = "radial"
UNTRAINED = "random"
# More configurations than this make no sentence.
SHOWN = 4


def capacity_sentence(block: Block) -> list[str]:
    """Of each configuration compared, what can be read linearly of the images: of all bands, the lowest, the highest.

    Means over seeds, of the best few, and beside them what the untrained backbone holds; nothing if none was analyzed.
    """
    words = [text for group in block.main if (text := _group(group))]
    if not words:
        return []
    more = [f"{len(words) - SHOWN} more stand below"] if len(words) > SHOWN else []
    return [f"What can be read linearly from the embeddings: {'; '.join([*words[:SHOWN], *more, *_untrained(block)])}."]


def held(run: Run) -> tuple[float, float, float] | None:
    """Share of the images' variance that is read from the embedding, and R² in the lowest and the highest band.

    A band below 0, worse than the mean image, counts as 0. ``None`` where it was not measured.
    """
    bands = (run.spectrum or {}).get(BASIS) or []
    scores = [band.get("decodability") for band in bands]
    if not bands or any(score is None for score in scores):
        return None
    known = [max(float(score), 0.0) for score in scores]
    shares = [float(band["variance_fraction"]) for band in bands]
    total = sum(score * share for score, share in zip(known, shares, strict=True)) / max(sum(shares), 1e-12)
    return total, known[0], known[-1]


def _untrained(block: Block) -> list[str]:
    """What a backbone holds before it has learned anything; named where there are several."""
    groups = [group for group in block.references if group.config.objective.name == UNTRAINED]
    found = [(group.config.backbone.name, means[0]) for group in groups if (means := _means(group)) is not None]
    named = len(found) > 1
    return [f"untrained{f' {name}' if named else ''} {percent(total)} %" for name, total in found[:SHOWN]]


def _means(group: Group) -> tuple[float, float, float] | None:
    """Means over seeds of what :func:`held` gives."""
    found = [one for run in group.measured if (one := held(run)) is not None]
    if not found:
        return None
    total, low, high = (statistics.fmean(values) for values in zip(*found, strict=True))
    return total, low, high


def _group(group: Group) -> str:
    means = _means(group)
    if means is None:
        return ""
    total, low, high = means
    return (
        f"{group.label} holds {percent(total)} % of the images' variance "
        f"(R² {decimal(low)} of the lowest frequencies, {decimal(high)} of the highest)"
    )
