"""What the verbs of the command line share: words, settings, output."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from ssl_bench.backbones import TIMM_NOTE
from ssl_bench.data import DATASETS
from ssl_bench.errors import UserError, did_you_mean, printable
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


@dataclass(frozen=True)
class Columns:
    """A table: the heads of its columns, and rows of as many texts.

    ``styles`` colours, on a terminal, the first and the last text of each row.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    styles: Sequence[str] = ()

    def plain(self) -> list[str]:
        """Lines with aligned columns, heads first."""
        widths = [max(map(len, column)) for column in zip(self.heads, *self.rows, strict=True)]
        lines = [zip(row, widths, strict=True) for row in (self.heads, *self.rows)]
        return ["  ".join(f"{text:<{width}}" for text, width in line).rstrip() for line in lines]


def list_names(kind: str, as_json: bool) -> None:
    """Print what can be named of a plural kind.

    Raises: UserError if there is no such kind.
    """
    names = _registry(kind)
    note = [TIMM_NOTE] if kind == "backbones" else []
    table = Columns((kind.title(), "what it is"), list(names.items()))
    show(names, as_json, lambda: [*_name_lines(names), *note], lambda: [table, *note])


def show(
    value: Any,
    as_json: bool,
    lines: Callable[[], Sequence[str | Columns]],
    on_terminal: Callable[[], Sequence[str | Columns]] | None = None,
) -> None:
    """Print a value as one JSON object, or for people; of several processes the first prints.

    Args:
        value: What the JSON object is.
        as_json: Whether that is wanted.
        lines: What is printed elsewhere than on a terminal: lines that stay as they are, and tables.
        on_terminal: The same for a terminal, where it is another.
    """
    if not speaks():
        return
    if as_json:
        print(json.dumps(value, allow_nan=False))
    elif sys.stdout.isatty():
        _print_in_colour((on_terminal or lines)())
    else:
        print("\n".join(line for part in lines() for line in (part.plain() if isinstance(part, Columns) else [part])))


def _print_in_colour(parts: Sequence[str | Columns]) -> None:
    """Lines as they are, tables with columns that wrap; what a terminal would obey is spelt out."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    for part in parts:
        if isinstance(part, str):
            print(part)
            continue
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for head in part.heads:
            table.add_column(Text(head), overflow="fold")
        for number, row in enumerate(part.rows):
            style = part.styles[number] if part.styles else ""
            ends = (0, len(row) - 1)
            table.add_row(*(Text(printable(text), style if at in ends else "") for at, text in enumerate(row)))
        console.print(table)


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


def _name_lines(names: dict[str, str]) -> list[str]:
    width = max(map(len, names), default=0)
    return [f"{name:<{width}}  {summary}" for name, summary in names.items()]
