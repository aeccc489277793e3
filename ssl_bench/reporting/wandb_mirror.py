"""A report at Weights & Biases: one run, with its numbers, its table of probes, its page and its files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ssl_bench.config import WandbConfig
from ssl_bench.errors import warn
from ssl_bench.files import read_json
from ssl_bench.wandb_runs import start_run

COLUMNS = ("dataset", "configuration", "reference", "linear_top1", "sd", "seeds", "low", "high", "knn_top1", "chance")
# What may lie beside the page.
SUFFIXES = (".html", ".md", ".csv", ".json")


def mirror_report(page: Path, asked: WandbConfig) -> str:
    """Mirror a report that is written; its files stay the truth, and are all that is mirrored.

    Args:
        page: Its page; what wandb keeps lies in ``wandb`` beside it.
        asked: Project and mode, which is not ``disabled``.

    Returns: Where the run is: an address, or a folder for ``wandb sync``.

    Raises: UserError if it could not be started. A failure later is a warning.
    """
    run = start_run(asked, page.parent, name=page.stem, job_type="report")
    try:
        try:
            _tell(run, read_json(page.with_suffix(".json"))["sections"], page)
        finally:
            run.finish()
    except Exception as error:  # whatever a mirror runs into, the report is there
        warn(f"wandb failed ({error}): the report is written, its mirror is not whole")
    return str(run.settings.sync_dir if run.offline else run.url)


def _tell(run: Any, sections: Sequence[dict[str, Any]], page: Path) -> None:
    """Send everything."""
    import wandb

    rows = [_row(section, one) for section in sections for one in section["configurations"]]
    table = wandb.Table(columns=list(COLUMNS), data=[list(row) for row in rows])
    run.log({"probes": table, "report": wandb.Html(page.read_text(encoding="utf-8"), inject=False)})
    for section in sections:
        run.summary[f"{section['dataset']}/headline"] = " ".join(section["headline"])
        for one in section["configurations"]:
            if one["linear_top1"] is not None:
                run.summary[f"{section['dataset']}/{one['label']}/linear_top1"] = one["linear_top1"]["mean"]
    files = wandb.Artifact(re.sub(r"[^A-Za-z0-9_.-]+", "_", page.stem)[:100], type="report")
    for file in [page.with_suffix(suffix) for suffix in SUFFIXES]:
        if file.is_file():
            files.add_file(str(file))
    run.log_artifact(files)


def _row(section: dict[str, Any], one: dict[str, Any]) -> tuple[Any, ...]:
    """A configuration, accuracies in 0..1; ``None`` where there is no number."""
    linear, knn = one["linear_top1"] or {}, one["knn_top1"] or {}
    low, high = linear.get("interval") or (None, None)
    means = linear.get("mean"), linear.get("sd"), linear.get("n", 0)
    return (section["dataset"], one["label"], one["reference"], *means, low, high, knn.get("mean"), section["chance"])
