"""What the code has the last word on in the documentation. ``python -m scripts.docs_tables`` rewrites it.

A table stands between ``<!-- table: KIND NAME -->`` and ``<!-- end -->``:

- ``options compare``: arguments and options of a command, as ``--help`` says them;
- ``settings training``: keys of a section of settings, or ``settings objective simclr``: an entry's own; what they mean
  is written by hand, in the last column, and stays;
- ``names noises``: what ``ssl-bench list`` lists;
- ``python``: what ``import ssl_bench`` gives, with its arguments.

Between ``<!-- file: PATH -->`` and ``<!-- end -->`` stands the whole of a file, as a block of code.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

import ssl_bench
from ssl_bench import config
from ssl_bench.backbones import BACKBONES
from ssl_bench.cli import app
from ssl_bench.data import DATASETS
from ssl_bench.evaluation import PROBES
from ssl_bench.launching.settings import LauncherConfig
from ssl_bench.noise import NOISES
from ssl_bench.objectives import OBJECTIVES
from ssl_bench.registry import Registry
from ssl_bench.spectrum import ANALYZERS
from ssl_bench.targets import TARGETS

ROOT = Path(__file__).parent.parent
TABLE = re.compile(r"<!-- table: (?P<what>.*?) -->\n(?P<body>.*?)<!-- end -->", re.DOTALL)
FILE = re.compile(r"<!-- file: (?P<path>.*?) -->\n.*?<!-- end -->", re.DOTALL)
LANGUAGES = {".py": "python", ".toml": "toml"}
SECTIONS: dict[str, type[BaseModel]] = {
    "run": config.Config,
    "objective": config.ObjectiveConfig,
    "backbone": config.BackboneConfig,
    "dataset": config.DatasetConfig,
    "views": config.ViewsConfig,
    "training": config.TrainingConfig,
    "evaluation": config.EvaluationConfig,
    "analysis": config.AnalysisConfig,
    "wandb": config.WandbConfig,
    "launcher": LauncherConfig,
    "encoder": config.EncoderConfig,
    "align": config.AlignConfig,
    "show": config.ShowConfig,
}
REGISTRIES: tuple[Registry[Any], ...] = (OBJECTIVES, BACKBONES, DATASETS, NOISES, TARGETS, ANALYZERS, PROBES)
NAMES = {f"{registry.kind}s": registry for registry in REGISTRIES}
SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "multiple_of": "a multiple of"}
EMPTY = "?"


def renewed(text: str) -> str:
    """A page with its tables and files made anew; what was written by hand in tables stays."""

    def anew(found: re.Match[str]) -> str:
        what, body = found.groups()
        return f"<!-- table: {what} -->\n{table(what, body)}<!-- end -->"

    return FILE.sub(lambda found: _whole(found["path"]), TABLE.sub(anew, text))


def table(what: str, before: str = "") -> str:
    """One table in Markdown. ``before`` is what stood there: the words of the last column are taken from it."""
    kind, *names = what.split()
    if kind == "options":
        return _lines(("", "default", ""), options(names))
    if kind == "python":
        return _lines(("", ""), functions())
    if kind == "names":
        known = NAMES[names[0]].summaries().items()
        own = ((f"`{name}`", words) for name, words in known if not words.startswith("plug-in"))
        return _lines((names[0], ""), own)
    words = dict(re.findall(r"^\| `(.*?)`[ *]* \|.*\| (.*) \|$", before, re.MULTILINE))
    rows = ((key, values, default, words.get(key.strip("` *"), EMPTY)) for key, values, default in settings(names))
    return _lines(("key", "values", "default", ""), rows)


def _whole(path: str) -> str:
    """A file of this repository between its marks."""
    file = ROOT / path
    return f"<!-- file: {path} -->\n```{LANGUAGES[file.suffix]}\n{file.read_text()}```\n<!-- end -->"


def options(words: list[str]) -> Iterator[tuple[str, str, str]]:
    """Arguments, then options, of a command: name, default and help."""
    command: Any = typer.main.get_command(app)
    for word in words:
        command = command.commands[word]
    for parameter in command.params:
        if parameter.name == "help":
            continue
        is_option = parameter.param_type_name == "option"
        name = "/".join(parameter.opts) if is_option else parameter.metavar or parameter.name.upper()
        default = parameter.default
        is_silent = default is None or default is False or callable(default)
        shown = "needed" if parameter.required else "" if is_silent else f"`{default}`"
        yield f"`{name}`", shown, str(parameter.help or "")


def functions() -> Iterator[tuple[str, str]]:
    """What the package gives: a call with its arguments, and the first line of its docstring."""
    for name in ssl_bench.__all__:
        thing = getattr(ssl_bench, name)
        call = name
        if inspect.isfunction(thing):
            parameters = inspect.signature(thing).parameters.values()
            call += f"({', '.join(str(one.replace(annotation=one.empty)) for one in parameters)})"
        summary = (inspect.getdoc(thing) or "").partition("\n")[0]
        yield f"`{call}`", re.sub(r":\w+:(?=`)", "", summary.replace("``", "`")).replace("|", "\\|")


def settings(names: list[str]) -> Iterator[tuple[str, str, str]]:
    """Keys of a section, or of an entry's own options: key, values and default."""
    for key, field in model_of(names).model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            continue  # a section: it has a table of its own
        star = "" if config.decides(f"{names[0]}.{key}") else " *"
        yield f"`{key}`{star}", values_of(field), default_of(field)


def model_of(names: list[str]) -> type[BaseModel]:
    """The settings model of ``["training"]``, or the own options of ``["objective", "simclr"]``."""
    if len(names) == 1:
        return SECTIONS[names[0]]
    section, name = names
    return OBJECTIVES.get(name).options_model if section == "objective" else DATASETS.get(name)


def values_of(field: FieldInfo) -> str:
    """What a setting takes: words, or a type and its bounds."""
    limits = [
        f"{sign} {getattr(limit, name):,}"
        for limit in field.metadata
        for name, sign in SIGNS.items()
        if hasattr(limit, name)
    ]
    return ", ".join([_type(field.annotation), *limits])


def default_of(field: FieldInfo) -> str:
    """A default as it would be typed; ``null`` is that nothing is said."""
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "needed"
    text = {None: "null", True: "true", False: "false"}.get(value) if isinstance(value, bool | None) else None
    return f"`{text or (list(value) if isinstance(value, tuple) else value)}`"


def _type(kind: Any) -> str:
    origin, inside = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _type(inside[0])
    if origin is Literal:
        return ", ".join(f"`{word}`" for word in inside)
    if origin in (Union, UnionType):
        return " or ".join(_type(part) for part in inside if part is not NoneType)
    if origin is tuple:
        return f"list of {_type(inside[0])}" if inside[-1] is ... else f"{len(inside)} of {_type(inside[0])}"
    return {str: "text", int: "whole number", float: "number", bool: "`true`, `false`", dict: "mapping"}[origin or kind]


def _lines(head: tuple[str, ...], rows: Any) -> str:
    ruled = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in ruled)


def pages() -> list[Path]:
    """All pages that may hold tables."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def main() -> int:
    """Rewrite what is stale; 1 if words are missing, which only a person can write."""
    missing = 0
    for page in pages():
        text = page.read_text()
        fresh = renewed(text)
        if fresh != text:
            page.write_text(fresh)
            print(f"{page.relative_to(ROOT)}: written")
        for row in re.findall(rf"^\| .*\| {re.escape(EMPTY)} \|$", fresh, re.MULTILINE):
            missing += 1
            print(f"{page.relative_to(ROOT)}: say what it is: {row}")
    return int(missing > 0)


if __name__ == "__main__":
    sys.exit(main())
