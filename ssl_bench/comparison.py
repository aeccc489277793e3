"""The main job: a matrix of runs, each pretrained, evaluated and analyzed; a summary and a report of all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssl_bench.across_runs import label_free, order_of_runs
from ssl_bench.config import Config, flatten
from ssl_bench.files import write_json
from ssl_bench.launching.in_turn import run_in_turn
from ssl_bench.planning import Plan, make_plan
from ssl_bench.runs.summary import summarise_runs
from ssl_bench.shelf import Shelf


def compare(raw: Mapping[str, Any], out: str | Path) -> dict[str, Any]:
    """Run the matrix, keep what is finished, and write summary.json and the report.

    Args:
        raw: Nested settings (see ``load_config``); a list where one value is wanted spans the matrix.
        out: The directory of the comparison; runs lie in ``runs/`` there.

    Returns: The summary.

    Raises: UserError before anything is run, if any cell is impossible.
    """
    shelf = Shelf()
    plan = make_plan(raw, Path(out), shelf)
    run_in_turn(plan, shelf)
    return gather(plan)


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
