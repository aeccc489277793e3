"""What a report says, before any markup: the page and the Markdown are two ways of writing this."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ssl_bench.reporting.cautions import cautions
from ssl_bench.reporting.collect import Collection, Notice, Run
from ssl_bench.reporting.compared import compare_groups
from ssl_bench.reporting.costs import costs_table
from ssl_bench.reporting.effort import AccuracyCurve, accuracy_curves, effort_table
from ssl_bench.reporting.groups import Block, Group, make_blocks
from ssl_bench.reporting.headline import headline
from ssl_bench.reporting.more_tables import more_tables
from ssl_bench.reporting.numbers import count
from ssl_bench.reporting.pairs import pairs_table
from ssl_bench.reporting.protocols import BANDS, describe, settings_of
from ssl_bench.reporting.references import references_table
from ssl_bench.reporting.subspaces import SubspacePart, subspace_parts
from ssl_bench.reporting.tables import Table, all_band_tables, probe_table, runs_table

SHOWN = 160


@dataclass(frozen=True)
class Fact:
    """A name and what it is."""

    name: str
    value: str


@dataclass(frozen=True)
class Recipe:
    """How one configuration is run, probed and analyzed again, in all its seeds."""

    label: str
    settings: str
    command: str


@dataclass(frozen=True)
class Section:
    """All that is said of one dataset.

    ``pairs`` is ``None`` where nothing is compared, ``effort`` (the numbers of ``accuracy``) where no configuration was
    measured at several snapshots, ``references`` (published numbers) where no configuration has a probe.
    """

    block: Block
    headline: tuple[str, ...]
    cautions: tuple[str, ...]
    probes: Table
    pairs: Table | None
    accuracy: tuple[AccuracyCurve, ...]
    effort: Table | None
    costs: Table
    references: Table | None
    bands: tuple[Table, ...]
    more: tuple[Table, ...]
    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class Content:
    """The whole report; ``runs`` are those shown, in the order found."""

    title: str
    subspaces: tuple[SubspacePart, ...]
    sections: tuple[Section, ...]
    lost: tuple[Notice, ...]
    skipped: tuple[Notice, ...]
    protocols: tuple[Fact, ...]
    bands: tuple[str, ...]
    backbones: tuple[Fact, ...]
    versions: tuple[Fact, ...]
    runs_table: Table
    recipes: tuple[Recipe, ...]
    runs: tuple[Run, ...]


def make_content(collection: Collection, folder: Path) -> Content:
    """Put a report together.

    Args:
        collection: What was found.
        folder: Where the report will lie; runs below it are named relative to it.
    """
    blocks, duplicates = make_blocks(collection.runs)
    groups = [group for block in blocks for group in block.groups]
    shown = tuple(run for group in groups for run in group.runs)
    subspaces = tuple(subspace_parts(blocks))
    return Content(
        title=_title(blocks, subspaces),
        subspaces=subspaces,
        sections=tuple(_section(block) for block in blocks),
        lost=(*_lost(shown), *collection.left_out, *duplicates),
        skipped=collection.skipped,
        protocols=tuple(_protocols(shown)),
        bands=BANDS,
        backbones=tuple(_backbones(shown)),
        versions=tuple(_versions(shown)),
        runs_table=runs_table(shown),
        recipes=tuple(_recipe(group, folder) for group in groups),
        runs=shown,
    )


def _title(blocks: Sequence[Block], subspaces: Sequence[SubspacePart]) -> str:
    """The datasets; where subspaces of one are compared, each once."""
    if not subspaces:
        return "Comparison on " + ", ".join(block.dataset for block in blocks)
    names = dict.fromkeys(group.config.dataset.name for block in blocks for group in block.groups)
    return f"Comparison on PCA subspaces of {', '.join(names)}"


def _section(block: Block) -> Section:
    facts = tuple(Fact(key.replace("_", " "), _text(value)) for key, value in block.facts.items())
    bands = tuple(all_band_tables(block))
    curves = accuracy_curves(block)
    return Section(
        block=block,
        headline=tuple(headline(block)),
        cautions=tuple(cautions(block)),
        probes=probe_table(block),
        pairs=pairs_table(block, compare_groups(block)),
        accuracy=curves,
        effort=effort_table(block, curves),
        costs=costs_table(block),
        references=references_table(block),
        bands=bands,
        more=tuple(more_tables(block)),
        facts=facts,
    )


def _lost(runs: Sequence[Run]) -> list[Notice]:
    """Runs that are in no mean, and why."""
    lost = []
    for run in runs:
        if not run.finished:
            seen = f"{run.status}, last saved after {count(run.summary['samples_seen'])} samples"
            lost.append(Notice(run.name, f"{seen}: {run.summary['error']}" if run.summary["error"] else seen))
        elif run.probe is None:
            lost.append(Notice(run.name, "finished, not probed: run ssl-bench evaluate on it"))
        elif run.spectrum is None:
            lost.append(Notice(run.name, "finished and probed, without spectra: run ssl-bench analyze on it"))
    return lost


def _protocols(runs: Sequence[Run]) -> list[Fact]:
    found: dict[str, list[str]] = {}
    for run in runs:
        if run.finished and run.evaluation is not None:
            settings = run.evaluation.get("settings", {})
            asked = [run.evaluation.get("protocol"), run.evaluation.get("knn_protocol")]
            asked += run.evaluation.get("protocols", {}).values()
            asked += ["head/1"] if run.probe is not None and run.probe["head_top1"] is not None else []
            for protocol in dict.fromkeys(name for name in asked if name):
                own = {key: settings[key] for key in settings_of(protocol) if settings.get(key) is not None}
                given = ", ".join(f"{key} {_text(value)}" for key, value in own.items())
                found.setdefault(protocol, []).append(given)
    return [Fact(name, " ".join([describe(name), *_settings(given)])) for name, given in found.items()]


def _settings(given: Sequence[str]) -> list[str]:
    texts = [text for text in dict.fromkeys(given) if text]
    return [f"Settings: {'; or '.join(texts)}."] if texts else []


def _backbones(runs: Sequence[Run]) -> list[Fact]:
    found: dict[Fact, None] = {}
    for run in runs:
        info: dict[str, Any] | None = run.record.get("backbone")
        if info is None:
            continue
        weights = run.record.get("weights", {}).get("backbone")
        words = [f"{info['embedding']} embedding of {info['dim']} dimensions", f"{info['image_size']} px input"]
        words += [f"{count(weights)} weights"] if weights else []
        words += [f"{key.replace('_', ' ')}: {_text(value)}" for key, value in (info.get("adaptation") or {}).items()]
        found[Fact(info["name"], "; ".join(words))] = None
    return list(found)


def _versions(runs: Sequence[Run]) -> list[Fact]:
    found: dict[str, int] = {}
    for run in runs:
        text = ", ".join(f"{name} {version}" for name, version in run.record.get("versions", {}).items() if version)
        found[text] = found.get(text, 0) + 1
    return [Fact(f"{number} {'run' if number == 1 else 'runs'}", text) for text, number in found.items() if text]


def _recipe(group: Group, folder: Path) -> Recipe:
    settings = yaml.safe_dump(group.config.model_dump(mode="json"), sort_keys=False)
    seeds = ",".join(str(seed) for seed in sorted({run.config.seed for run in group.runs}))
    file = shlex.quote(_place(group.runs[0], folder) + "/config.yaml")
    return Recipe(group.label, settings, f"ssl-bench compare {file} 'seed=[{seeds}]' 'baselines=[]' --out NEW")


def _place(run: Run, folder: Path) -> str:
    """Where a run lies: seen from the report if below it, else as it was given."""
    path, base = run.directory.path.resolve(), folder.resolve()
    return os.path.relpath(path, base) if path.is_relative_to(base) else str(run.directory.path)


def _text(value: Any) -> str:
    """A value from a record in one short line."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"
