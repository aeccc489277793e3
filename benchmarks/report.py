"""A machine's results as a page of Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.figure import draw
from benchmarks.goals import TIMES, Outcome, outcomes
from benchmarks.results import Section
from benchmarks.store import Entry, read
from benchmarks.tables import NOTHING, curve_table, curves_table, spread, table, tables_of, three
from ssl_bench.files import write_text

TIMES_FASTER = (
    "Medians with quartiles over turns. Times faster: how many times as fast as a contestant the first one of the case "
    "is, compared turn by turn."
)
TRIED = "The last attempt to measure this failed"


def write(file: Path) -> Path:
    """The page, beside the results in ``file``, with a figure where there are curves; returns the page."""
    entries = read(file)
    for name, entry in entries.items():
        if entry.section is not None and entry.section.curves:
            draw(entry.section.curves, figure_file(file, name))
    made = file.with_suffix(".md")
    write_text(made, page(file.stem, entries))
    return made


def figure_file(file: Path, section: str) -> Path:
    """Where the curves of a section are drawn."""
    return file.with_name(f"{file.stem}_{section}.svg")


def page(name: str, entries: Mapping[str, Entry]) -> str:
    """All of it: the head, the goals, then the sections."""
    newest = max((entry.measured for entry in entries.values()), key=lambda one: str(one["created"]))
    parts = [_head(name, newest), _goals(outcomes(entries))]
    parts += [_section(name, key, entry, newest) for key, entry in entries.items()]
    return "\n\n".join(parts) + "\n"


def _head(name: str, newest: Mapping[str, Any]) -> str:
    hardware = newest["hardware"]
    machine = f"{hardware['processor']}, {hardware['cores']} cores"
    if hardware["gpu"]:
        machine += f", {hardware['gpu']}"
    versions = ", ".join(f"{package} {version}" for package, version in newest["versions"].items() if version)
    return "\n\n".join(
        [
            f"# Speed on {name.replace('_', ' ')}",
            f"ssl_bench side by side with what people use today: `scripts/benchmark --name {name}` makes this page. "
            "Contestants are processes of their own that take turns. A section that is measured anew replaces the one "
            "before it; each says when it was measured and, where they differ from the newest, on what.",
            f"- {machine}; threads: {newest['plan']['threads']}\n- {versions}\n- newest section: {newest['created']}",
        ]
    )


def _goals(found: Sequence[Outcome]) -> str:
    head = ["goal", "wanted", "measured", "quartiles", "", "most of our time goes to"]
    return "## Goals\n\n" + table(head, [_goal(one) for one in found], 1)


def _goal(outcome: Outcome) -> list[str]:
    unit = "" if outcome.goal.unit == TIMES else f" {outcome.goal.unit}"
    wanted = NOTHING if outcome.goal.wanted is None else f"{three(outcome.goal.wanted)}{unit}"
    if outcome.value is None:
        return [outcome.goal.what, wanted, NOTHING, NOTHING, f"not measured: {outcome.missing}", NOTHING]
    between = spread(outcome.low, outcome.high, three)
    shares = ", ".join(f"{name} {share:.0f} %" for name, share in outcome.shares) or NOTHING
    return [outcome.goal.what, wanted, f"{three(outcome.value)}{unit}", between, _verdict(outcome), shares]


def _verdict(outcome: Outcome) -> str:
    if outcome.margin is None:
        return "reported only"
    verdict = "**reached**" if outcome.reached else "**missed**"
    return f"{verdict} by {100 * abs(outcome.margin):.0f} %"


def _section(name: str, key: str, entry: Entry, newest: Mapping[str, Any]) -> str:
    if entry.section is None:
        return f"## {key}\n\n{TRIED}. {entry.error}"
    section = entry.section
    parts = [f"## {section.title}", " ".join(section.about.split()), *_body(name, section)]
    if entry.error is not None:
        parts.append(f"{TRIED}; what is shown is from before. {entry.error}")
    return "\n\n".join([*parts, *section.notes, _made(key, entry.measured, newest)])


def _body(name: str, section: Section) -> list[str]:
    parts = tables_of(section.rows)
    if any(row.ratio is not None for row in section.rows):
        parts.append(TIMES_FASTER)
    if section.curves:
        parts += [curves_table(section.curves), f"![cost against size]({name}_{section.name}.svg)"]
        parts += [f"{curve.what}:\n\n{curve_table(curve)}" for curve in section.curves]
    return parts


def _made(key: str, measured: Mapping[str, Any], newest: Mapping[str, Any]) -> str:
    """One line: when, for how long, from which commit; a warning; what is unlike the newest section's."""
    plan = measured["plan"]
    said = [
        f"`{measured['command']}`: section `{key}`, {measured['created']}, {three(measured['seconds'])} s, "
        f"commit {measured['git'] or 'unknown'}, turns: {plan['repeats']}, load {measured['load']['averages'][0]}."
    ]
    if plan["quick"]:
        said.append("A smoke test, of sizes that say nothing.")
    if measured["warning"]:
        said.append(f"**Warning: {measured['warning']}.**")
    said += [
        f"With {package} {version}."
        for package, version in measured["versions"].items()
        if version != newest["versions"].get(package)
    ]
    if measured["hardware"] != newest["hardware"]:
        said.append(f"On another machine: {measured['hardware']}.")
    return " ".join(said)
