"""The command line of runs: which there are, one in full, doing one, clearing up."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ssl_bench.cli_common import AsJson, show
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


@runs_app.command("list")
def runs_list(folders: Folders = None, as_json: AsJson = False) -> None:
    """Runs, and how each stands: waiting, running, dead, stopped, finished or failed."""
    from ssl_bench.runs.index import list_runs

    rows = list_runs(folders or [DEFAULT])
    show({"runs": rows}, as_json, lambda: [_line(row) for row in rows] or ["no runs"])


@runs_app.command("show")
def runs_show(run: Annotated[Path, typer.Argument(metavar="RUN")], as_json: AsJson = False) -> None:
    """One run in full; its files are checked, and what is damaged is named."""
    from ssl_bench.runs.describing import describe_run

    about = describe_run(run)
    show(about, as_json, lambda: [f"{key}: {_plain(value)}" for key, value in about.items()])


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


def _line(row: dict[str, Any]) -> str:
    """One run of a list."""
    if row["id"] is None:
        return f"{row['state']:>9} {'':>7}  {row['path']}: {row['error']}"
    number = f"{row['probe']['linear_top1']:7.3f}" if row["probe"] else f"{'':>7}"
    silent = row["last_sign_of_life"] if row["state"] == "running" else None
    seen = "" if silent is None else f", last sign of life {silent:.0f} s ago"
    failed = f": {row['error']}" if row["error"] else ""
    return f"{row['state']:>9} {number}  {row['path']} ({row['samples_seen']:,} images seen{seen}){failed}"


def _gc_lines(done: dict[str, Any]) -> list[str]:
    lines = [f"{one['bytes']:>14,}  {one['path']}: {one['why']}" for one in done["files"]]
    lines += [f"{'':>14}  {path}: left alone, it is being written" for path in done["held"]]
    words = "bytes would be freed" if done["dry_run"] else "bytes freed"
    return [*lines, f"{done['bytes']:>14,}  {words}"]


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
