"""The first sentences of a report: which configuration reads best, whether that can be told, what each holds."""

from __future__ import annotations

from ssl_bench.reporting.capacity import capacity_sentence
from ssl_bench.reporting.compared import Compared, compare_groups
from ssl_bench.reporting.groups import Block, Group
from ssl_bench.reporting.numbers import p_value, percent, percent_range, points, points_range
from ssl_bench.reporting.paired import not_told_apart
from ssl_bench.reporting.pairs import verdict
from ssl_bench.reporting.spread import Spread

UNTRAINED = ("random", "pixels")
Probed = tuple[Group, Spread]


def headline(block: Block) -> list[str]:
    """Sentences on one dataset: the best mean linear probe, who is not told apart from it, what embeddings hold."""
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
    rest = [*_reference_sentences(value, references), *capacity_sentence(block), *_unfinished(block)]
    return [first, *_verdict(ranked, compare_groups(block)), *rest]


def _verdict(ranked: list[Probed], compared: Compared) -> list[str]:
    """Whether the best is told apart from the rest, in words; nothing if there is no rest."""
    if len(ranked) == 1:
        return ["It is the only configuration here that has a probe, so nothing is compared."]
    tied = set(not_told_apart(compared.linear, len(ranked))) - {0}
    clear = [place for place in range(1, len(ranked)) if place not in tied]
    sentences = []
    if tied:
        names = _list([ranked[place][0].label for place in sorted(tied)])
        sentences.append(f"It is not told apart from {names}; against {_against(min(tied), ranked, compared)}.")
    if clear:
        names = "every other configuration" if not tied else _list([ranked[place][0].label for place in clear])
        sentences.append(f"It is better than {names}; against {_against(clear[0], ranked, compared)}.")
    if compared.tests:
        pairs = "1 pair" if compared.tests == 1 else f"{compared.tests} pairs"
        sentences.append(f"These are paired t-tests over shared seeds, corrected by Holm for the {pairs} tested.")
    return sentences


def _against(place: int, ranked: list[Probed], compared: Compared) -> str:
    """The best against another: difference, interval, p and n, or why there is no test."""
    one = compared.linear[0, place]
    words = ranked[place][0].label
    if one.mean is None:
        return f"{words} there is no shared seed, and nothing to test"
    words += f" the difference is {points(one.mean)} points"
    if one.interval is None or one.p is None:
        seeds = "" if one.n == 1 else f"n = {one.n} shared seeds, "
        return f"{words} ({seeds}{verdict(one)})"
    interval = points_range(*one.interval)
    return f"{words} (95 % interval {interval}; corrected p {p_value(one.corrected)}; n = {one.n} shared seeds)"


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
