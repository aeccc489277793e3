"""The first sentences of a report: which configuration reads best, whether that can be told, what each holds."""

from __future__ import annotations

from ssl_bench.reporting.capacity import capacity_sentence
from ssl_bench.reporting.collect import UNTRAINED
from ssl_bench.reporting.compared import Compared, compare_groups
from ssl_bench.reporting.groups import Block, Group
from ssl_bench.reporting.numbers import p_value, percent, percent_range, points, points_range
from ssl_bench.reporting.paired import not_told_apart
from ssl_bench.reporting.pairs import verdict
from ssl_bench.reporting.spread import Spread

# More names than this make no sentence.
NAMED = 4
Probed = tuple[Group, Spread]


def headline(block: Block) -> list[str]:
    """Sentences on one dataset: the best mean linear probe, who is not told apart from it, what embeddings hold.

    The first two stand alone in some places: they say too where learning nothing at all does as well.
    """
    ranked = _probed(block.main)
    references = _probed(block.references)
    chance = "" if block.chance is None else f"; chance is {percent(block.chance)} %"
    if not ranked:
        return [_without_any(block, references, chance), *_unfinished(block)]
    best, value = ranked[0]
    equal = [group.label for group, other in ranked if other.mean == value.mean]
    if len(ranked) == 1:
        first = f"{best.label} reaches a linear probe of {_value(value)}"
    elif len(equal) > 1:
        first = f"{_list(equal)} share the highest mean linear probe: {_value(value)}"
    else:
        first = f"{best.label} has the highest mean linear probe: {_value(value)}"
    first = f"On {block.dataset}, {first}{chance}{_untrained(value, references)}."
    rest = [*_reference_sentences(references), *capacity_sentence(block), *_unfinished(block)]
    return [first, *_verdict(ranked, len(equal), compare_groups(block)), *rest]


def _without_any(block: Block, references: list[Probed], chance: str) -> str:
    """Nothing that is compared has a probe."""
    if not references:
        return f"On {block.dataset}, no configuration has a linear probe yet."
    lines = ", ".join(f"{group.label} {percent(value.mean)} %" for group, value in references)
    return f"On {block.dataset}, only reference lines have a linear probe: {lines}{chance}."


def _verdict(ranked: list[Probed], equal: int, compared: Compared) -> list[str]:
    """Whether the best, the first ``equal`` ones, are told apart from the rest, in words; nothing without a rest."""
    if len(ranked) == 1:
        return ["It is the only configuration here that has a probe, so nothing is compared."]
    others = range(equal, len(ranked))
    if not compared.best:
        return [_not_tested(ranked, others, compared)]
    known = [set(not_told_apart(compared.linear, len(ranked), place)) for place in range(equal)]
    tied = [place for place in others if any(place in one for one in known)]
    clear = [place for place in others if place not in tied]
    subject = "It is" if equal == 1 else "They are"
    sentences = []
    if tied:
        first, *more = tied
        names = _list([ranked[first][0].label, *(_far(place, ranked, compared) for place in more)])
        sentences.append(f"{subject} not told apart from {names}; {_against(tied[0], ranked, compared, equal)}.")
    if clear:
        names = "every other configuration" if not tied else _list([ranked[place][0].label for place in clear])
        sentences.append(f"{subject} better than {names}; {_against(clear[0], ranked, compared, equal)}.")
    if compared.tests:
        pairs = "1 pair" if compared.tests == 1 else f"{compared.tests} pairs"
        sentences.append(f"These are paired t-tests over shared seeds, corrected by Holm for the {pairs} tested.")
    return sentences


def _far(place: int, ranked: list[Probed], compared: Compared) -> str:
    """A name, and by how much the first is better: what is not told apart may be far off."""
    difference = compared.linear[0, place].mean
    return f"{ranked[place][0].label}{'' if difference is None else f' ({points(difference)} points)'}"


def _not_tested(ranked: list[Probed], others: range, compared: Compared) -> str:
    """That the best was tested against none, once for all of them."""
    single = all(compared.linear[0, place].n == 1 for place in range(1, len(ranked)))
    subject = "it is" if others.start == 1 else "they are"
    if not others:
        return "One seed cannot tell them apart." if single else "Nothing here can tell them apart."
    names = _list([ranked[place][0].label for place in others])
    if not single:
        against = _against(others.start, ranked, compared, others.start)
        return f"Whether {subject} better than {names} cannot be tested; {against}."
    one = compared.linear[0, others.start]
    return (
        f"One seed cannot tell whether {subject} better than {names}: against {ranked[others.start][0].label} the "
        f"difference is {points(one.mean)} points."
    )


def _against(place: int, ranked: list[Probed], compared: Compared, equal: int) -> str:
    """The first of ``equal`` best against another: difference, interval, p and n, or why there is no test."""
    one = compared.linear[0, place]
    words = f"{'' if equal == 1 else f'{ranked[0][0].label} '}against {ranked[place][0].label}"
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


def _untrained(best: Spread, references: list[Probed]) -> str:
    """That learning nothing does as well, where it does."""
    names = [
        group.label
        for group, value in references
        if group.config.objective.name in UNTRAINED and value.mean >= best.mean
    ]
    does = "does" if len(names) == 1 else "do"
    return f"; without any training, {_list(names)} {does} at least as well" if names else ""


def _reference_sentences(references: list[Probed]) -> list[str]:
    lines = ", ".join(f"{group.label} {percent(value.mean)} %" for group, value in references)
    return [f"Reference lines: {lines}."] if lines else []


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
    """A list in words, of many the first few and the number of the others."""
    more = len(words) - NAMED
    if more > 0:
        words = [*words[:NAMED], f"{more} {'other' if more == 1 else 'others'}"]
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]
