"""One run in full, for people who look after runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ssl_bench.errors import UserError
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.runs.lock import describe, is_held, read_heartbeat
from ssl_bench.runs.summary import configuration_name, summarise_run


def describe_run(path: Path) -> dict[str, Any]:
    """Who a run is, how it stands and who writes it, what it wrote and whether that is whole, what it came to.

    Raises: UserError if it is no run, or its record or configuration is damaged.
    """
    run = RunDirectory(path)
    record, config, summary = run.record(), run.config(), summarise_run(run)
    sessions = record.get("sessions", [])
    probe = summary["probe"]
    return {
        "path": str(path),
        "id": record["id"],
        "run": f"{configuration_name(config)} seed {config.seed}",
        "state": run.state(),
        "written_by": describe(read_heartbeat(path)) if is_held(path) else None,
        "step": run.last_step,
        "total_steps": record.get("total_steps"),
        "train_seconds": record.get("timings", {}).get("train_seconds"),
        "created": record.get("created"),
        "finished": record.get("finished"),
        "sessions": len(sessions),
        "snapshots": list(run.snapshots()),
        "checkpoints": sorted(file.name for file in run.checkpoint_folder.glob("*.pt")),
        "linear_top1": probe["linear_top1"] if probe else None,
        "knn_top1": probe["knn_top1"] if probe else None,
        "analyzed": summary["spectrum"] is not None,
        "error": record.get("error"),
        "damage": _damage(run),
        "bytes": sum(file.stat().st_size for file in path.rglob("*") if file.is_file()),
    }


def _damage(run: RunDirectory) -> str | None:
    """What is lost of what was written; of a run that is not finished, of its snapshots."""
    try:
        return run.damage() if run.finished else run.damage({"written": run.written(run.last_step)})
    except UserError as error:
        return str(error)
