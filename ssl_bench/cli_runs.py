"""The command line of runs: which there are, one in full, doing one, clearing up."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from ssl_bench.cli_common import AsJson, Columns, show
from ssl_bench.errors import printable
from ssl_bench.launching.preemption import preemptible

runs_app = typer.Typer(
    help="The runs there are: list, show, do one, clear up.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Folders = Annotated[
    list[Path] | None, typer.Argument(metavar="[DIR...]", help="Runs, or folders that hold some; runs/ by default.")
]
# What lists by default: where compare and pretrain write by default.
DEFAULT = Path("runs")
COLOURS = {"running": "cyan", "finished": "green", "failed": "bold red", "dead": "red", "stopped": "yellow"}


@runs_app.command("list")
def runs_list(folders: Folders = None, as_json: AsJson = False) -> None:
    """Runs, and how each stands: waiting, running, dead, stopped, finished or failed."""
    from ssl_bench.runs.index import list_runs

    rows = list_runs(folders or [DEFAULT])
    lines = [_line(row) for row in rows] or ["no runs"]
    show({"runs": rows}, as_json, lambda: lines, lambda: [_table(rows)] if rows else lines)


@runs_app.command("show")
def runs_show(run: Annotated[Path, typer.Argument(metavar="RUN")], as_json: AsJson = False) -> None:
    """One run in full; its files are checked, and what is damaged is named."""
    from ssl_bench.runs.describing import describe_run

    about = describe_run(run)
    words = {key: printable(_plain(value)) for key, value in about.items()}
    show(about, as_json, lambda: [f"{key}: {text}" for key, text in words.items()], lambda: [_sheet(about, words)])


@runs_app.command("gc")
def runs_gc(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Runs, or folders that hold some.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete what can be made again without training, checkpoints of finished runs, and what the dead left behind.

    Never a snapshot, a measurement or a record, and nothing of a run that is being written. Without its checkpoints, a
    finished run that is found damaged later is trained again from the start.
    """
    from ssl_bench.runs.cleaning import clear_up

    done = clear_up(folders, dry_run)
    show(done, as_json, lambda: _gc_lines(done))


@runs_app.command("do")
def runs_do(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The directory of a run that compare planned.")],
    as_json: AsJson = False,
) -> None:
    """Pretrain, evaluate and analyze one planned run, as far as it is not done: one job of a comparison."""
    with preemptible(run):
        from ssl_bench.completing import complete

        record = complete(run).record()
    show(record, as_json, lambda: [f"{run}: {record['status']}, evaluated and analyzed"])


def _table(rows: Sequence[dict[str, Any]]) -> Columns:
    """Runs for a terminal: the state in a word and a colour, times as people say them."""
    heads = ("state", "linear", "images seen", "last change", "run", "why")
    lines = []
    for row in rows:
        beat = row["last_sign_of_life"] if row["state"] == "running" else None
        when = None if row["changed"] is None else time.time() - row["changed"]
        seen = "" if row["id"] is None else f"{row['samples_seen']:,}"
        linear = f"{row['probe']['linear_top1']:.3f}" if row["probe"] else ""
        lines.append(
            (row["state"], linear, seen, _ago(when if beat is None else beat), row["path"], row["error"] or "")
        )
    return Columns(heads, lines, tuple(COLOURS.get(row["state"], "") for row in rows))


def _sheet(about: dict[str, Any], words: dict[str, str]) -> Columns:
    """One run for a terminal; what there is nothing to say of is left out."""
    told = [key for key, value in about.items() if value not in (None, [])]
    colours = {"state": COLOURS.get(about["state"], ""), "error": COLOURS["failed"], "damage": COLOURS["failed"]}
    lines = [(key.replace("_", " "), f"{words[key]}{_since(about[key])}") for key in told]
    return Columns(("", about["path"]), lines, tuple(colours.get(key, "") for key in told))


def _since(value: Any) -> str:
    """How long ago a time was, behind it; empty for what is none."""
    try:
        return f" ({_ago(time.time() - datetime.fromisoformat(value).timestamp())})"
    except (TypeError, ValueError):
        return ""


def _ago(seconds: float | None) -> str:
    """A time that is past, in the largest unit that fits."""
    if seconds is None:
        return ""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{max(seconds, 0):.0f} s ago"


def _line(row: dict[str, Any]) -> str:
    """One run of a list."""
    if row["id"] is None:
        return f"{row['state']:>9} {'':>7}  {printable(row['path'])}: {printable(row['error'])}"
    number = f"{row['probe']['linear_top1']:7.3f}" if row["probe"] else f"{'':>7}"
    silent = row["last_sign_of_life"] if row["state"] == "running" else None
    seen = "" if silent is None else f", last sign of life {silent:.0f} s ago"
    failed = f": {printable(str(row['error']))}" if row["error"] else ""
    return f"{row['state']:>9} {number}  {printable(row['path'])} ({row['samples_seen']:,} images seen{seen}){failed}"


def _gc_lines(done: dict[str, Any]) -> list[str]:
    lines = [f"{one['bytes']:>14,}  {one['path']}: {one['why']}" for one in done["files"]]
    lines += [f"{'':>14}  {path}: left alone, it is being written" for path in done["held"]]
    words = "bytes would be freed" if done["dry_run"] else "bytes freed"
    return [*lines, f"{done['bytes']:>14,}  {words}"]


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
