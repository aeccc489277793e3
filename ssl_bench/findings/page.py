"""A finding's result as Markdown, JSON and a figure: the prediction before the outcome, in letters of the same size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from ssl_bench.files import replace_file, write_json, write_text
from ssl_bench.findings.evidence import Row
from ssl_bench.findings.finding import Finding
from ssl_bench.findings.verdict import Outcome, Verdict
from ssl_bench.reporting.text import markdown_table

WORDS = {True: "Held", False: "Did not hold", None: "Undecided"}

CORRECTED = (
    "Intervals are of one comparison each, uncorrected; p-values are by Holm's correction over the parts of a "
    "prediction. So an interval may leave out zero where p does not tell the difference from it; and a report of the "
    'same runs, which corrects over all pairs, may say otherwise than this page. "Margin: 1 point": not told from '
    "zero, a difference counts as none if all of its interval is less than a point beyond zero."
)


def write_result(
    name: str,
    asked: Finding,
    settings: Mapping[str, Any],
    rows: Mapping[str, Sequence[Row]],
    outcome: Outcome,
    made: Mapping[str, Any],
    folder: Path,
) -> dict[str, Any]:
    """Write ``NAME.json``, ``NAME.md`` and, with a figure, ``NAME.svg``. Returns what the JSON holds."""
    result = {**_result(name, asked, settings, rows, outcome), "made": dict(made)}
    figure = outcome.figure
    if figure is not None:
        replace_file(folder / f"{name}.svg", lambda path: figure.savefig(path, format="svg", metadata={"Date": None}))
    write_json(folder / f"{name}.json", result)
    write_text(folder / f"{name}.md", _page(name, asked, settings, result, outcome))
    return result


def _result(
    name: str, asked: Finding, settings: Mapping[str, Any], rows: Mapping[str, Sequence[Row]], outcome: Outcome
) -> dict[str, Any]:
    every = [row for part in rows.values() for row in part]
    return {
        "schema": 1,
        "finding": name,
        "title": asked.title,
        "source": asked.source,
        "predictions": [
            {
                "name": key,
                "predicted": words,
                "held": outcome.verdicts[key].held,
                "effects": [asdict(effect) for effect in outcome.verdicts[key].effects],
            }
            for key, words in asked.predictions.items()
        ],
        "afterwards": [asdict(effect) for effect in outcome.afterwards],
        "settings": dict(settings),
        "align": asked.align,
        "runs": [_short(row) for row in every],
        "unfinished": [row["directory"] for row in every if row["status"] != "finished"],
    }


def _short(row: Row) -> dict[str, Any]:
    """What of a row a reader needs to compute the verdicts again; bands and their half-times where there are any."""
    keys = (
        "id",
        "objective",
        "noise",
        "target",
        "backbone",
        "dataset",
        "seed",
        "samples_seen",
        "status",
        "settings",
        "subspace",
    )
    bands = ((row.get("spectrum") or {}).get("pca") or []) if row.get("spectrum") else []
    shown = (
        "low",
        "high",
        "variance_fraction",
        "relative_error",
        "half_time",
        "decodability",
        "decodability_half_time",
    )
    order = (row.get("spectrum") or {}).get("order")
    return {
        **{key: row.get(key) for key in keys},
        "probe": row.get("probe"),
        "pca": [{key: band.get(key) for key in shown} for band in bands],
        "order": order,
    }


def _page(name: str, asked: Finding, settings: Mapping[str, Any], result: Mapping[str, Any], outcome: Outcome) -> str:
    verdicts = [_verdict(words, outcome.verdicts[key]) for key, words in asked.predictions.items()]
    held = [outcome.verdicts[key].held for key in asked.predictions]
    counts = [f"{held.count(value)} {words.lower()}" for value, words in WORDS.items() if value in held]
    parts = [
        f"# {asked.title}",
        f"Made by `ssl-bench finding {name} --out DIR`. Source of the claim: {asked.source}.",
        f"**Of {len(held)} predictions {', '.join(counts)}.**",
        "## Predicted, before any run",
        "\n".join(f"{place}. {words}" for place, words in enumerate(asked.predictions.values(), 1)),
        "## What came of it",
        "\n\n".join(f"{place}. {words}" for place, words in enumerate(verdicts, 1)),
    ]
    if outcome.afterwards:
        seen = "\n".join(f"- {effect.words()}" for effect in outcome.afterwards)
        parts += ["## Seen after the fact", "Predicted by nobody, picked from the results, and so no test:", seen]
    if outcome.figure is not None:
        parts.append(f"![{outcome.description}]({name}.svg)")
    parts += ["## Numbers", *(markdown_table(table) for table in outcome.tables)]
    remarks = (*_runs(result), CORRECTED, *outcome.remarks, *asked.remarks)
    parts += ["## To keep in mind", "\n".join(f"- {remark}" for remark in remarks)]
    parts += ["## Settings", *(_yaml(one, raw) for one, raw in settings.items())]
    if asked.align:
        parts.append(_yaml("align", asked.align))
    made = result["made"]
    versions = ", ".join(f"{key} {value}" for key, value in made["versions"].items() if value)
    runs = f" Commits of the runs: {', '.join(made['commits_of_runs'])}." if made["commits_of_runs"] else ""
    parts.append(f"Judged {made['created']}; {versions}.{runs} Everything by run, and every effect: `{name}.json`.")
    return "\n\n".join(parts) + "\n"


def _verdict(words: str, verdict: Verdict) -> str:
    # Four spaces and the blank line: Python-Markdown, which makes the site, takes less for running text.
    effects = "\n".join(f"    - {effect.words()}{_part(effect.held)}" for effect in verdict.effects)
    return f"**{WORDS[verdict.held]}.** {words}\n\n{effects}".rstrip()


def _part(held: bool | None) -> str:
    return {True: ": as predicted", False: ": not as predicted", None: ": cannot be told"}[held]


def _runs(result: Mapping[str, Any]) -> list[str]:
    """How many runs, and which of them are missing."""
    runs = result["runs"]
    if not runs:
        return ["Closed forms: nothing was trained."]
    said = [
        f"{len(runs)} runs. Intervals are 95 % t intervals over seeds, p-values of differences those of paired t-tests."
    ]
    if result["unfinished"]:
        said.append(f"Not finished, and in no number: {', '.join(result['unfinished'])}.")
    return said


def _yaml(name: str, raw: Any) -> str:
    return f"```yaml\n# {name}\n{yaml.safe_dump(raw, sort_keys=False, allow_unicode=True).rstrip()}\n```"
