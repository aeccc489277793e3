"""What speed was aimed at, and whether a machine's results reach it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from benchmarks.results import Row, Section
from benchmarks.store import Entry

TIMES = "times"
LARGEST = 3


@dataclass(frozen=True)
class Goal:
    """A rate of ssl_bench's, or how many times faster than another it is.

    Attributes:
        what: In words.
        device: Where it holds; elsewhere it is not asked.
        section, case: Where its number is; ``case`` is how the case begins.
        rival: The contestant whose row says how many times faster the first of the case is; ``None`` for a rate of the
            first itself.
        wanted: At least that; ``None`` if it is only reported.
        unit: Of the number: ``times``, or that of the rate.
        factor: What the row's rate is multiplied with to have that unit.
        profile: The case of the section ``profile`` that says where the time goes.
    """

    what: str
    device: Literal["cpu", "cuda"]
    section: str
    case: str
    rival: str | None
    wanted: float | None
    unit: str = TIMES
    factor: float = 1.0
    profile: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a goal: its number with quartiles, or why there is none; the largest shares of the time."""

    goal: Goal
    value: float | None = None
    low: float | None = None
    high: float | None = None
    missing: str | None = None
    shares: tuple[tuple[str, float], ...] = ()

    @property
    def reached(self) -> bool | None:
        """``None`` where it was not measured, or nothing was aimed at."""
        return None if self.value is None or self.goal.wanted is None else self.value >= self.goal.wanted

    @property
    def margin(self) -> float | None:
        """By how much it was reached or, below 0, missed, as a share of what was wanted."""
        return None if self.value is None or self.goal.wanted is None else self.value / self.goal.wanted - 1


LIGHTLY = "lightly, as shipped"
VIEWS = "views of simclr"


def _against_lightly(objective: str, backbone: str, wanted: float | None) -> Goal:
    case = f"{objective}, {backbone}"
    what = f"training step of {objective} with {backbone} against lightly's as shipped, two cores"
    return Goal(what, "cpu", "step", f"{case},", LIGHTLY, wanted, profile=case)


def _rate(objective: str, backbone: str, wanted: float, unit: str = "images/s", factor: float = 1.0) -> Goal:
    case = f"{objective}, {backbone}"
    what = f"training of {objective} with {backbone}, 32 px, one large GPU"
    return Goal(what, "cuda", "step", f"{case},", None, wanted, unit, factor, case)


GOALS = (
    Goal(
        "SimCLR's views at 32 px against lightly's, one core",
        "cpu",
        "augmentation",
        "32 px",
        "lightly",
        10,
        profile=VIEWS,
    ),
    Goal(
        "SimCLR's views at 32 px against kornia's, one core", "cpu", "augmentation", "32 px", "kornia", 4, profile=VIEWS
    ),
    _against_lightly("simclr", "resnet18", 1.2),
    _against_lightly("mae", "vit_tiny", None),
    _against_lightly("simclr", "resnet_micro", 1.5),
    _against_lightly("simclr", "vit_micro", 1.5),
    _against_lightly("mae", "vit_micro", 1.5),
    _rate("simclr", "resnet18", 60_000, "views/s", 2),
    Goal(
        "training step of simclr with resnet18 against lightly's as shipped, one large GPU",
        "cuda",
        "step",
        "simclr, resnet18,",
        LIGHTLY,
        5,
        profile="simclr, resnet18",
    ),
    _rate("mae", "vit_tiny", 150_000),
    _rate("autoencoder", "resnet18", 45_000),
)


def outcomes(entries: Mapping[str, Entry]) -> list[Outcome]:
    """What became of each goal, by one machine's results."""
    return [_outcome(goal, entries) for goal in GOALS]


def _outcome(goal: Goal, entries: Mapping[str, Entry]) -> Outcome:
    missing = _why_not(goal, entries)
    if missing is not None:
        return Outcome(goal, missing=missing)
    section = entries[goal.section].section
    assert section is not None
    row = _row(goal, section)
    if row is None:
        return Outcome(goal, missing=f"the section {goal.section} has no such row")
    found = (row.ratio, row.ratio_low, row.ratio_high) if goal.rival else (row.median, row.low, row.high)
    if found[0] is None:
        return Outcome(goal, missing=row.error or "nothing to compare with was measured")
    value, low, high = (None if number is None else goal.factor * number for number in found)
    return Outcome(goal, value, low, high, shares=_shares(goal, entries))


def _why_not(goal: Goal, entries: Mapping[str, Entry]) -> str | None:
    """Why there can be no number; ``None`` if there can."""
    on_gpu = any(entry.measured.get("plan", {}).get("device") == "cuda" for entry in entries.values())
    if on_gpu != (goal.device == "cuda"):
        return "this machine has a GPU" if on_gpu else "no GPU here"
    entry = entries.get(goal.section)
    if entry is None:
        return f"the section {goal.section} was not run"
    if entry.section is None:
        return f"the section {goal.section} failed"
    return "only a smoke test was run" if entry.measured["plan"]["quick"] else None


def _row(goal: Goal, section: Section) -> Row | None:
    rows = [row for row in section.rows if row.case.startswith(goal.case)]
    return next((row for row in rows if goal.rival is None or row.name.startswith(goal.rival)), None)


def _shares(goal: Goal, entries: Mapping[str, Entry]) -> tuple[tuple[str, float], ...]:
    """The largest shares of the profile: what there is to win."""
    profile = entries.get("profile")
    if profile is None or profile.section is None or goal.profile is None:
        return ()
    rows = [(row.name, row.median) for row in profile.section.rows if row.case == goal.profile]
    # A row that repeats another, timed in another way, is no share of its own.
    known = [(name, share) for name, share in rows if share is not None and "," not in name]
    return tuple(sorted(known, key=lambda one: -one[1])[:LARGEST])
