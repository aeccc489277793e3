"""What the verbs of the command line share: words, settings, output."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from ssl_bench.backbones import TIMM_NOTE
from ssl_bench.data import DATASETS
from ssl_bench.errors import UserError, did_you_mean
from ssl_bench.launching.preemption import speaks
from ssl_bench.objectives import OBJECTIVES
from ssl_bench.overrides import load_config

Settings = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[CONFIG] [key=value ...]",
        help="A YAML file or shipped configuration, then overrides.",
        show_default=False,
    ),
]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[key=value ...]", help="Overrides.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on standard output.")]


def load_settings(settings: list[str] | None) -> dict[str, Any]:
    """Nested settings of ``[CONFIG] [key=value ...]``; names are looked up before anything slow is imported."""
    words = list(settings or [])
    file = words.pop(0) if words and ("=" not in words[0] or Path(words[0]).is_file()) else None
    raw = load_config(file, words)
    for section, registry in (("objective", OBJECTIVES), ("dataset", DATASETS)):
        given = raw.get(section, {}).get("name", [])
        for name in given if isinstance(given, list) else [given]:
            registry.check(name)
    return raw


def list_names(kind: str, as_json: bool) -> None:
    """Print what can be named of a plural kind.

    Raises: UserError if there is no such kind.
    """
    names = _registry(kind)
    show(names, as_json, lambda: _name_lines(kind, names))


def show(value: Any, as_json: bool, lines: Callable[[], list[str]]) -> None:
    """Print a value as one JSON object, or as lines for people; of several processes the first prints."""
    if not speaks():
        return
    print(json.dumps(value, allow_nan=False) if as_json else "\n".join(lines()))


def _registry(kind: str) -> dict[str, str]:
    homes = {
        "objectives": ("ssl_bench.objectives", "OBJECTIVES"),
        "backbones": ("ssl_bench.backbones", "BACKBONES"),
        "datasets": ("ssl_bench.data", "DATASETS"),
        "noises": ("ssl_bench.noise", "NOISES"),
        "targets": ("ssl_bench.targets", "TARGETS"),
        "analyzers": ("ssl_bench.spectrum", "ANALYZERS"),
        "probes": ("ssl_bench.evaluation", "PROBES"),
    }
    if kind not in homes:
        raise UserError(f"nothing to list called {kind!r}; {did_you_mean(kind, homes)}")
    module, name = homes[kind]
    summaries: dict[str, str] = getattr(importlib.import_module(module), name).summaries()
    return summaries


def _name_lines(kind: str, names: dict[str, str]) -> list[str]:
    width = max(map(len, names), default=0)
    lines = [f"{name:<{width}}  {summary}" for name, summary in names.items()]
    return [*lines, TIMM_NOTE] if kind == "backbones" else lines
