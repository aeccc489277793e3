"""What ``compare`` says at its end: what reads best, a line a configuration, what is not done, where the rest is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ssl_bench.cli_common import Columns
from ssl_bench.errors import printable

HEADS = ("configuration", "linear probe, %", "n", "seconds")


def comparison_parts(summary: dict[str, Any], out: Path) -> list[str | Columns]:
    """The end of a comparison, in the order in which it is read: the headline, a table, what is not done, the files."""
    parts: list[str | Columns] = [*_best(out)]
    every = summary["runs"] + summary["baselines"]
    undone = [row for row in every if row["error"] or row["status"] != "finished"]
    parts += [f"{'failed' if row['error'] else row['status']}: {row['directory']}{_reason(row)}" for row in undone]
    parts += [f"skipped: {cell['objective']} on {cell['backbone']}: {cell['reason']}" for cell in summary["skipped"]]
    parts.append(f"summary: {out / 'summary.json'}")
    report = out / "report.html"
    return [*parts, f"report: {report}"] if len(undone) < len(every) or report.exists() else parts


def _best(out: Path) -> list[str | Columns]:
    """Headline and table of each dataset, as in the report; nothing if no run is finished."""
    from ssl_bench.reporting.collect import collect
    from ssl_bench.reporting.groups import Block, Group, make_blocks
    from ssl_bench.reporting.headline import headline
    from ssl_bench.reporting.numbers import percent, seconds

    def row(group: Group) -> tuple[str, ...]:
        value = group.linear
        mean = "" if value is None else percent(value.mean) + ("" if value.sd is None else f" ± {percent(value.sd)}")
        took = [run.summary["seconds"] for run in group.runs if run.finished]
        number = str(0 if value is None else value.n)
        return group.label, mean, number, seconds(sum(took) / len(took)) if took else ""

    def parts(block: Block) -> Sequence[str | Columns]:
        return " ".join(headline(block)[:2]), Columns(HEADS, [row(group) for group in block.groups])

    try:
        return [part for block in make_blocks(collect([out]).runs)[0] for part in parts(block)]
    except Exception:  # nothing is finished, or records hold what the report alone can say something of
        return []


def _reason(row: dict[str, Any]) -> str:
    return f": {printable(str(row['error']))}" if row["error"] else ""
