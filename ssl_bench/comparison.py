"""The main job: a matrix of runs, each pretrained, evaluated and analyzed; a summary and a report of all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssl_bench import processes
from ssl_bench.across_runs import label_free, order_of_runs
from ssl_bench.config import Config, flatten
from ssl_bench.errors import UserError
from ssl_bench.files import write_json
from ssl_bench.launching.commands import commands
from ssl_bench.launching.in_turn import run_in_turn
from ssl_bench.launching.settings import Launcher, check_launcher
from ssl_bench.launching.side_by_side import run_side_by_side
from ssl_bench.launching.slurm import run_by_slurm
from ssl_bench.planning import Plan, make_plan
from ssl_bench.runs.summary import summarise_runs
from ssl_bench.shelf import Shelf


def compare(
    raw: Mapping[str, Any], out: str | Path, launcher: Launcher = "local", jobs: int = 1, live: bool = True
) -> dict[str, Any]:
    """Run the matrix, keep what is finished, and write summary.json and the report.

    Args:
        raw: Nested settings (see ``load_config``); a list where one value is wanted spans the matrix.
        out: The directory of the comparison; runs lie in ``runs/`` there.
        launcher: Who does the runs: ``local``, this process or, with ``jobs``, processes on this host; ``slurm``, jobs
            as the section ``launcher`` says, which are waited for; ``commands``, whoever runs the lines returned.
        jobs: How many runs are done at once by ``local``.
        live: Whether a live table shows how they stand, on a terminal; else a line a run does.

    Returns: The summary; with ``commands`` nothing is run, and there are only the ``commands`` that do what is missing.

    Raises: UserError before anything is run, if any cell is impossible.
    """
    check_launcher(launcher, jobs)
    if processes.launched() > 1 and (launcher != "local" or jobs > 1):
        raise UserError("with --launcher or --jobs compare starts processes itself: start it without torchrun or srun")
    processes.join()
    shelf = Shelf()
    plan = make_plan(raw, Path(out), shelf, launcher)
    if launcher == "commands":
        return {"schema": 1, "commands": commands(plan)}
    if launcher == "slurm" or jobs > 1:
        shelf.clear()  # those who do the runs have their own
    if launcher == "slurm":
        run_by_slurm(plan, live)
    elif jobs > 1:
        run_side_by_side(plan, jobs, live)
    else:
        run_in_turn(plan, shelf, live)
    return processes.by_first(lambda: gather(plan))


def gather(plan: Plan) -> dict[str, Any]:
    """Write summary.json from what the runs left behind and, where any is finished, the report. Returns the summary."""
    summary: dict[str, Any] = {
        "schema": 1,
        "chance": plan.chance,
        "runs": _rows(plan, plan.main),
        "baselines": _rows(plan, plan.baselines),
        "skipped": [cell.model_dump() for cell in plan.skipped],
    }
    summary["order"] = order_of_runs([plan.run(config) for config in plan.main])
    summary["label_free"] = label_free(summary["runs"])
    write_json(plan.out / "summary.json", summary)
    if any(plan.run(config).finished for config in plan.every()):
        from ssl_bench.reporting import report

        report([plan.out], plan.out / "report.html")
    return summary


def _rows(plan: Plan, configs: list[Config]) -> list[dict[str, Any]]:
    """Rows of summary.json, each with the values of the settings that span the matrix."""
    rows = summarise_runs([plan.run(config) for config in configs])
    for row, config in zip(rows, configs, strict=True):
        flat = flatten(config.model_dump(mode="json"))
        row["settings"] = {key: flat.get(key) for key in plan.swept}
    return rows
