"""The report as data: what the page says, with the raw numbers behind it. Described in docs/report-json.md."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ssl_bench.across_runs import order_of_runs
from ssl_bench.reporting.collect import Run
from ssl_bench.reporting.compared import Compared, compare_groups
from ssl_bench.reporting.content import Content, Fact, Section
from ssl_bench.reporting.costs import cost_numbers, machine
from ssl_bench.reporting.groups import Group
from ssl_bench.reporting.paired import Difference
from ssl_bench.reporting.published import dataset_key, nearest
from ssl_bench.reporting.references import mismatches
from ssl_bench.reporting.tables import Cell, Table
from ssl_bench.spectrum.names import BASES, HALF_TIMES

SCHEMA = 1
BAND_KEYS = ("index", "low", "high", "variance_fraction", *HALF_TIMES, *HALF_TIMES.values(), "decodability_chance")


def render_json(content: Content, created: str, version: str) -> str:
    """The whole report as one JSON object; a number that is not finite is ``null``.

    Args:
        content: What to say.
        created: When, as text.
        version: Of this package.
    """
    report = {
        "schema": SCHEMA,
        "title": content.title,
        "created": created,
        "version": version,
        "sections": [_section(section) for section in content.sections],
        "subspaces": [
            {
                "title": part.title,
                "findings": part.findings,
                "table": _table(part.table),
                "published": None if part.published is None else _table(part.published),
            }
            for part in content.subspaces
        ],
        "lost": [asdict(notice) for notice in content.lost],
        "skipped": [asdict(notice) for notice in content.skipped],
        "protocols": _facts(content.protocols),
        "bands": content.bands,
        "backbones": _facts(content.backbones),
        "versions": _facts(content.versions),
        "runs": _table(content.runs_table),
        "recipes": [asdict(recipe) for recipe in content.recipes],
    }
    return json.dumps(_plain(report), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _section(section: Section) -> dict[str, Any]:
    """One dataset."""
    block, compared = section.block, compare_groups(section.block)
    dataset = dataset_key(block.groups[0].runs[0])
    one = {"probes": section.probes, "pairs": section.pairs, "effort": section.effort, "costs": section.costs}
    tables = [(name, table) for name, table in {**one, "references": section.references}.items() if table is not None]
    tables += [("bands", table) for table in section.bands] + [("more", table) for table in section.more]
    return {
        "dataset": block.dataset,
        "chance": block.chance,
        "headline": section.headline,
        "cautions": section.cautions,
        "facts": _facts(section.facts),
        "configurations": [_configuration(group, compared.mark(group)) for group in block.groups],
        "pairs": _pairs(compared),
        "accuracy": [asdict(curve) for curve in section.accuracy],
        "order": order_of_runs([run.directory for group in block.main for run in group.runs]),
        "references": [_reference(group, dataset) for group in block.groups if group.probed],
        "tables": [{"name": name, **_table(table)} for name, table in tables],
    }


def _configuration(group: Group, mark: str) -> dict[str, Any]:
    """One configuration with its seeds."""
    spreads = {"linear_top1": group.linear, "knn_top1": group.knn}
    return {
        "label": group.label,
        "note": group.note,
        "reference": group.reference,
        "mark": mark,
        "settings": {key: json.loads(value) for key, value in group.settings.items()},
        **{
            key: None if one is None else {"mean": one.mean, "sd": one.sd, "interval": one.interval, "n": one.n}
            for key, one in spreads.items()
        },
        "seeds": [_seed(run) for run in group.runs],
    }


def _seed(run: Run) -> dict[str, Any]:
    """One run: its probe, its costs, its bands at the last snapshot."""
    probe = run.probe or {}
    spectrum = run.spectrum if run.finished and run.spectrum is not None else {}
    return {
        "run": run.name,
        "seed": run.config.seed,
        "status": run.status,
        "samples_seen": run.summary["samples_seen"],
        "epochs": run.summary["epochs"],
        **{key: probe.get(key) for key in ("protocol", "linear_top1", "linear_interval", "knn_top1", "selected_lr")},
        "probes": probe.get("probes", {}),
        "costs": {**cost_numbers(run), "machine": machine(run)},
        "bands": {name: _bands(spectrum[name]) for name in BASES if spectrum.get(name)},
        "noise_power": spectrum.get("noise_power"),
        "embedding": spectrum.get("embedding"),
    }


def _bands(bands: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: band.get(key) for key in BAND_KEYS} for band in bands]


def _pairs(compared: Compared) -> list[dict[str, Any]]:
    """Every two configurations, by both probes."""
    found = {"linear_top1": compared.linear, "knn_top1": compared.knn}
    return [
        _pair(measure, compared.groups[first].label, compared.groups[second].label, difference)
        for measure, pairs in found.items()
        for (first, second), difference in pairs.items()
    ]


def _pair(measure: str, first: str, second: str, one: Difference) -> dict[str, Any]:
    return {
        "measure": measure,
        "first": first,
        "second": second,
        "n": one.n,
        "difference": one.mean,
        "interval": one.interval,
        "p": one.p,
        "p_holm": one.corrected,
        "told_apart": one.told_apart,
    }


def _reference(group: Group, dataset: str | None) -> dict[str, Any]:
    """The published numbers nearest to its linear probe and to its k-NN, ``null`` where none was found."""
    found: dict[str, Any] = {"configuration": group.label}
    for before, one in (("", nearest(group, dataset)), ("knn_", nearest(group, dataset, "knn_top1"))):
        found[f"{before}published"] = None if one is None else one.model_dump(mode="json")
        found[f"{before}differs"] = [] if one is None else mismatches(one, group)
    return found


def _table(table: Table) -> dict[str, Any]:
    rows = [{"reference": row.reference, "cells": [_cell(cell) for cell in row.cells]} for row in table.rows]
    return {"caption": table.caption, "columns": [_cell(cell) for cell in table.columns], "rows": rows}


def _cell(cell: Cell) -> dict[str, Any]:
    """Its text, and what else there is of it."""
    more = {"note": cell.note or None, "mark": cell.mark or None, "value": cell.value}
    return {"text": cell.text, **{key: value for key, value in more.items() if value is not None}}


def _facts(facts: Sequence[Fact]) -> list[dict[str, str]]:
    return [{"name": fact.name, "value": fact.value} for fact in facts]


def _plain(value: Any) -> Any:
    """JSON has no NaN and no infinity."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
