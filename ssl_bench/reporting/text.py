"""The report as Markdown, and its runs as CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from typing import Any

from ssl_bench.reporting.bands import BASES
from ssl_bench.reporting.collect import Notice, Run
from ssl_bench.reporting.content import Content, Fact
from ssl_bench.reporting.costs import COSTS, cost_numbers
from ssl_bench.reporting.subspaces import SubspacePart, subspace_facts
from ssl_bench.reporting.tables import Table
from ssl_bench.spectrum.names import HALF_TIMES

SUMMARY_COLUMNS = (
    "id", "directory", "objective", "noise", "views_noise", "backbone", "embedding",
    "dataset", "seed", "epochs", "samples_seen", "seconds", "status",
)  # fmt: skip
SUBSPACE_COLUMNS = {"subspace": "spec", "subspace_variance": "variance", "subspace_components": "components"}
PROBE_COLUMNS = (
    "feature_point",
    "head_top1",
    "linear_top1",
    "linear_low",
    "linear_high",
    "knn_top1",
    "selected_lr",
    "protocol",
)
ORDER_COLUMNS = tuple(f"order_{basis}_{key}" for basis in BASES for key in HALF_TIMES.values())
COLUMNS = (
    *SUMMARY_COLUMNS, *SUBSPACE_COLUMNS, *PROBE_COLUMNS, *ORDER_COLUMNS,
    "reference", "error", "configuration", *COSTS,
)  # fmt: skip
# What spreadsheets take for the beginning of something to compute.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
SPECIAL = re.compile(r"([\\`*|\[\]])")


def render_csv(content: Content) -> str:
    """One line a run, failed ones included; what a run does not have is empty. Accuracies are shares in 0..1.

    ``configuration`` is the name by which tables and charts call it: runs that differ only in their seed share it.
    A text that a spreadsheet would compute has an apostrophe before it.
    """
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for section in content.sections:
        for group in section.block.groups:
            for run in group.runs:
                row = {**_csv_row(run), "configuration": group.label}
                writer.writerow({key: _value(value) for key, value in row.items()})
    return buffer.getvalue()


def render_markdown(content: Content, page: str) -> str:
    """Headline, tables and lists; ``page`` is the name of the file that holds the figures."""
    parts = [f"# {_escape(content.title)}", *_subspaces(content.subspaces)]
    for section in content.sections:
        parts.append(f"## {_escape(section.block.dataset)}")
        parts.append(" ".join(_escape(sentence) for sentence in section.headline))
        if section.cautions:
            parts.append("Read with care:\n\n" + "\n".join(f"- {_escape(sentence)}" for sentence in section.cautions))
        about = (section.probes, section.pairs, section.effort, *section.bands, *section.more)
        tables = (*about, section.costs, section.references)
        parts += [markdown_table(table) for table in tables if table is not None]
        parts.append(_facts("Dataset", section.facts))
    parts.append(_notices("Runs in no mean", content.lost))
    parts.append(_notices("Skipped", content.skipped))
    parts.append(_facts("Protocols", content.protocols))
    parts.append("\n\n".join(["## Bands", *map(_escape, content.bands)]))
    parts.append(_facts("Backbones", content.backbones))
    parts.append(_facts("Versions", content.versions))
    parts += ["## Runs", markdown_table(content.runs_table)]
    parts += ["## To repeat", _code("\n".join(recipe.command for recipe in content.recipes))]
    parts.append(f"Figures, example reconstructions and the configurations are in {_escape(page)}.")
    return "\n\n".join(part for part in parts if part) + "\n"


def _subspaces(found: Sequence[SubspacePart]) -> Iterator[str]:
    if found:
        yield "## PCA subspaces"
    for part in found:
        yield " ".join(_escape(sentence) for sentence in part.findings)
        yield markdown_table(part.table)
        yield "" if part.published is None else markdown_table(part.published)


def _csv_row(run: Run) -> dict[str, Any]:
    row: dict[str, Any] = {key: run.summary[key] for key in SUMMARY_COLUMNS}
    row |= {"reference": int(run.reference), "error": run.summary["error"]}
    row |= cost_numbers(run)
    facts = subspace_facts(run)
    row |= {column: facts[key] for column, key in SUBSPACE_COLUMNS.items() if key in facts}
    if run.probe is not None:
        low, high = run.probe["linear_interval"]
        row |= {key: run.probe[key] for key in PROBE_COLUMNS if key in run.probe} | {
            "linear_low": low,
            "linear_high": high,
        }
    if run.finished and run.spectrum is not None:
        for basis in BASES:
            row |= {f"order_{basis}_{key}": run.spectrum["order"][basis][key] for key in HALF_TIMES.values()}
    return row


def _value(value: Any) -> Any:
    """A value as spreadsheets take it: a text that would be a formula there has an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def markdown_table(table: Table) -> str:
    """A table with its caption above it."""
    lines = ["| " + " | ".join(_cell(cell.text, cell.note) for cell in table.columns) + " |"]
    lines.append("|" + " --- |" + " ---: |" * (len(table.columns) - 1))
    for row in table.rows:
        lines.append("| " + " | ".join(_cell(cell.text, cell.note, cell.mark) for cell in row.cells) + " |")
    return _escape(table.caption) + "\n\n" + "\n".join(lines)


def _cell(text: str, note: str, mark: str = "") -> str:
    small = "; ".join(part for part in (mark, note) if part)
    return _escape(f"{text} ({small})" if small else text)


def _notices(title: str, notices: Sequence[Notice]) -> str:
    return _list(title, ((notice.what, notice.reason) for notice in notices))


def _facts(title: str, facts: Sequence[Fact]) -> str:
    return _list(title, ((fact.name, fact.value) for fact in facts))


def _list(title: str, items: Iterator[tuple[str, str]]) -> str:
    lines = [f"- {_escape(name)}: {_escape(value)}" for name, value in items]
    return f"## {title}\n\n" + "\n".join(lines) if lines else ""


def _code(text: str) -> str:
    """Commands as a block of code, in a fence that no line of theirs can end."""
    longest = max((len(ticks) for ticks in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}sh\n{text}\n{fence}"


def _escape(text: str) -> str:
    """Text that Markdown takes as text: no markup of its own, no HTML, on one line."""
    plain = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return SPECIAL.sub(r"\\\1", plain)
