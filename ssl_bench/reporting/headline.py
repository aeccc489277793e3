"""The first sentences of a report: which configuration reads best, and whether that can be told."""

from __future__ import annotations

from ssl_bench.reporting.groups import Block, Group
from ssl_bench.reporting.numbers import percent, percent_range
from ssl_bench.reporting.spread import Spread, overlap, told_apart

UNTRAINED = ("random", "pixels")
Probed = tuple[Group, Spread]


def headline(block: Block) -> list[str]:
    """Sentences on one dataset: the best mean linear probe, who is not told apart from it, and the reference lines."""
    ranked = _probed(block.main)
    references = _probed(block.references)
    if not ranked:
        return [f"On {block.dataset}, no configuration has a linear probe yet.", *_unfinished(block)]
    best, value = ranked[0]
    chance = "" if block.chance is None else f"; chance is {percent(block.chance)} %"
    equal = [group.label for group, other in ranked if other.mean == value.mean]
    if len(ranked) == 1:
        first = f"On {block.dataset}, {best.label} reaches a linear probe of {_value(value)}{chance}."
    elif len(equal) > 1:
        first = f"On {block.dataset}, {_list(equal)} share the highest mean linear probe: {_value(value)}{chance}."
    else:
        first = f"On {block.dataset}, {best.label} has the highest mean linear probe: {_value(value)}{chance}."
    return [first, *_verdict(ranked), *_reference_sentences(value, references), *_unfinished(block)]


def _verdict(ranked: list[Probed]) -> list[str]:
    """Whether the best is told apart from the rest, in words; nothing if there is no rest."""
    if len(ranked) == 1:
        return ["It is the only configuration here that has a probe, so nothing is compared."]
    best, value = ranked[0]
    second, other = ranked[1]
    if told_apart(value, other):
        words = f"It is told apart from the next, {second.label} ({percent(other.mean)} %): "
        words += "their 95 % intervals do not overlap."
        unclear = [group.label for group, spread in ranked[2:] if not told_apart(value, spread)]
        return [
            words,
            *([f"It is not told apart from {_list(unclear)}, of fewer or more scattered seeds."] if unclear else []),
        ]
    reason = _reason(value, other)
    if other.mean == value.mean:
        words = f"The best two, {best.label} and {second.label}, are not told apart: {reason}."
    else:
        words = f"It is not told apart from the next, {second.label} ({percent(other.mean)} %): {reason}."
    unclear = [group.label for group, spread in ranked[2:] if not told_apart(value, spread)]
    return [words, *([f"Nor is it told apart from {_list(unclear)}."] if unclear else [])]


def _reason(one: Spread, other: Spread) -> str:
    if one.n > 1 and other.n > 1:
        return "their 95 % intervals over seeds overlap"
    seeds = "with one seed the spread over seeds is unknown"
    if one.interval is None or other.interval is None:
        return seeds
    common = (
        "overlap" if overlap(one.interval, other.interval) else "do not overlap, but see test images vary, not seeds"
    )
    return f"{seeds} (their 95 % intervals {common})"


def _value(value: Spread) -> str:
    interval = "" if value.interval is None else percent_range(*value.interval)
    if value.sd is None:
        return f"{percent(value.mean)} % (n = 1 seed" + (
            f"; 95 % bootstrap interval over test images {interval})" if interval else ")"
        )
    deviation = f"sd {percent(value.sd)} over n = {value.n} seeds"
    return f"{percent(value.mean)} % ({deviation}; 95 % interval of the mean {interval})"


def _reference_sentences(best: Spread, references: list[Probed]) -> list[str]:
    if not references:
        return []
    lines = ", ".join(f"{group.label} {percent(value.mean)} %" for group, value in references)
    sentences = [f"Reference lines: {lines}."]
    above = [
        group.label
        for group, value in references
        if group.config.objective.name in UNTRAINED and value.mean >= best.mean
    ]
    if above:
        sentences.append(f"Without any training, {_list(above)} does at least as well as the best of them.")
    return sentences


def _unfinished(block: Block) -> list[str]:
    lost = [run for group in block.groups for run in group.runs if run.probe is None]
    if not lost:
        return []
    states = ["not probed" if run.finished else run.status for run in lost]
    return [
        f"Runs in no mean: {', '.join(f'{states.count(state)} {state}' for state in dict.fromkeys(states))}; see below."
    ]


def _probed(groups: tuple[Group, ...]) -> list[Probed]:
    return [(group, group.linear) for group in groups if group.linear is not None]


def _list(words: list[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]
