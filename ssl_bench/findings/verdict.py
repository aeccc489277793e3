"""Whether a prediction held: effects with their intervals, and the rule by which they decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from matplotlib.figure import Figure

from ssl_bench.corrected import holm
from ssl_bench.intervals import mean_interval
from ssl_bench.reporting.numbers import decimal, p_value
from ssl_bench.reporting.paired import Difference, paired_difference
from ssl_bench.reporting.tables import Table

Sign = Literal["above", "below", "not above", "not below"]
BySeed = Mapping[int, float]
Test = Callable[[BySeed, BySeed], Difference]
LEVEL = 0.05
# So many points beyond zero are as good as zero where a test tells it from neither. Said in the words of each effect.
MARGIN = 1.0


@dataclass(frozen=True)
class Effect:
    """One number that bears on a prediction.

    ``value`` with its 95 % ``interval`` is in ``unit``; ``p`` is corrected over the effects of one prediction where
    there are several; ``n`` counts ``of`` what. ``held``: whether this part is as predicted; ``None``: it cannot be
    told. ``claim`` says what was predicted of the number where the prediction's own words are less exact.
    """

    what: str
    value: float | None
    interval: tuple[float, float] | None
    p: float | None
    n: int
    held: bool | None
    unit: str = "points"
    of: str = "seeds"
    claim: str = ""

    def words(self) -> str:
        """The effect in one line."""
        what = f"{self.what}, predicted {self.claim}" if self.claim else self.what
        if self.value is None:
            return f"{what}: not measured (n = {self.n} {self.of})"
        words = f"{what}: {self.amount(self.value)}{f' {self.unit}' if self.unit else ''}"
        if self.interval is not None:
            words += f" [{self.amount(self.interval[0])}, {self.amount(self.interval[1])}]"
        inside = [f"p {p_value(self.p)}"] if self.p is not None else []
        return f"{words} ({', '.join([*inside, f'n = {self.n} {self.of}'])})"

    def amount(self, value: float) -> str:
        """A number of this effect's unit; differences with their sign."""
        sign = "+" if self.unit == "points" and value > 0 else ""
        return f"{sign}{decimal(value, 1 if self.unit == 'points' else 3)}"


@dataclass(frozen=True)
class Verdict:
    """What became of one prediction: it holds if all of its parts do, and fails if any fails."""

    effects: tuple[Effect, ...]

    @property
    def held(self) -> bool | None:
        """Whether it held; ``None`` where too little was measured to tell."""
        parts = [effect.held for effect in self.effects]
        if False in parts:
            return False
        return None if None in parts or not parts else True


@dataclass(frozen=True)
class Outcome:
    """Verdicts by the prediction's name, and the tables and the figure they rest on.

    ``afterwards`` are effects that nobody predicted: found by looking at the results, they decide nothing. ``remarks``
    say what of the evidence a reader has to keep in mind.
    """

    verdicts: dict[str, Verdict]
    afterwards: tuple[Effect, ...] = ()
    remarks: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figure: Figure | None = None
    description: str = ""


def differences(
    pairs: Sequence[tuple[str, BySeed, BySeed]],
    sign: Sign,
    least: float = 0.0,
    test: Test = paired_difference,
) -> tuple[Effect, ...]:
    """Differences of accuracies over seeds, corrected by Holm over the pairs of one prediction.

    Args:
        pairs: What is compared, in words, and the accuracies (shares of 1) of both by seed.
        sign: Where the difference is predicted. ``above`` and ``below`` are decided where the corrected test tells it
            from zero; ``not above`` and ``not below`` also where all of its interval is less than a point beyond zero.
            What is not told from zero is undecided: few seeds say little.
        least: How many points beyond zero ``above`` and ``below`` have to be: all of the interval for the prediction
            to hold, none of it for it to fail.
        test: What tells a difference from zero; ``welch_difference`` where the two are of different images.
    """
    found = [test(first, second) for _, first, second in pairs]
    corrected = holm([one.p for one in found])
    return tuple(
        _effect(what, replace(one, corrected=p), sign, least)
        for (what, _, _), one, p in zip(pairs, found, corrected, strict=True)
    )


def _effect(what: str, found: Difference, sign: Sign, least: float) -> Effect:
    if found.mean is None:
        return Effect(what, None, None, None, 0, None, claim=_claim(sign, least))
    value = 100 * found.mean
    interval = None if found.interval is None else (100 * found.interval[0], 100 * found.interval[1])
    held = None if found.corrected is None else _as_predicted(value, interval, found.told_apart, sign, least)
    return Effect(what, value, interval, found.corrected, found.n, held, claim=_claim(sign, least))


def _claim(sign: Sign, least: float) -> str:
    """What the numbers of a prediction add to its sign."""
    if sign in ("above", "below"):
        return f"{sign} zero by more than {least:g} points" if least else ""
    return f"{sign} zero (margin: {MARGIN:g} point)"


def _as_predicted(
    value: float, interval: tuple[float, float] | None, told: bool, sign: Sign, least: float
) -> bool | None:
    """Whether a difference in points is where it was predicted; ``None`` where the runs are too few to tell."""
    if sign in ("below", "not below"):
        turned = None if interval is None else (-interval[1], -interval[0])
        return _as_predicted(-value, turned, told, "above" if sign == "below" else "not above", least)
    if sign == "not above":
        if told:
            return value < 0
        return True if interval is not None and interval[1] < MARGIN else None
    if told and value < 0:
        return False
    return _beyond(interval, told, least) if least else told or None


def _beyond(interval: tuple[float, float] | None, told: bool, least: float) -> bool | None:
    """Whether all of an interval lies beyond ``least``; ``None`` where it is on both sides."""
    if interval is None:
        return None
    return False if interval[1] < least else True if told and interval[0] > least else None


def unit_interval(values: Sequence[float], limit: float = 1.0) -> tuple[float, float] | None:
    """The 95 % t interval of a mean of rank correlations, cut at ±``limit``; ``None`` for one value."""
    if len(values) < 2:
        return None
    low, high = mean_interval(values)
    return max(low, -limit), min(high, limit)
