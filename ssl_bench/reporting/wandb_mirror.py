"""A report at Weights & Biases: one run, with its numbers, its table of probes, its page and its files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ssl_bench.config import WandbConfig
from ssl_bench.errors import warn
from ssl_bench.reporting.collect import collect
from ssl_bench.reporting.groups import Block, Group, make_blocks
from ssl_bench.reporting.headline import headline
from ssl_bench.wandb_runs import start_run

COLUMNS = ("dataset", "configuration", "reference", "linear_top1", "sd", "seeds", "low", "high", "knn_top1", "chance")
# What may lie beside the page.
SUFFIXES = (".html", ".md", ".csv", ".json")


def mirror_report(directories: Sequence[Path], page: Path, asked: WandbConfig) -> str:
    """Mirror a report that is written; its files stay the truth.

    Args:
        directories: What it reports on.
        page: Its page; what wandb keeps lies in ``wandb`` beside it.
        asked: Project and mode, which is not ``disabled``.

    Returns: Where the run is: an address, or a folder for ``wandb sync``.

    Raises: UserError if it could not be started. A failure later is a warning.
    """
    blocks, _ = make_blocks(collect(directories).runs)
    run = start_run(asked, page.parent, name=page.stem, job_type="report")
    try:
        _tell(run, blocks, page)
    except Exception as error:  # whatever a mirror runs into, the report is there
        warn(f"wandb failed ({error}): the report is written, its mirror is not whole")
    return str(run.settings.sync_dir if run.offline else run.url)


def _tell(run: Any, blocks: Sequence[Block], page: Path) -> None:
    """Send everything, and finish."""
    import wandb

    rows = [_row(block, group) for block in blocks for group in block.groups]
    table = wandb.Table(columns=list(COLUMNS), data=[list(row) for row in rows])
    run.log({"probes": table, "report": wandb.Html(page.read_text(encoding="utf-8"), inject=False)})
    for block in blocks:
        run.summary[f"{block.dataset}/headline"] = " ".join(headline(block))
        for group in block.groups:
            if group.linear is not None:
                run.summary[f"{block.dataset}/{group.label}/linear_top1"] = group.linear.mean
    files = wandb.Artifact(re.sub(r"[^A-Za-z0-9_.-]+", "_", page.stem)[:100], type="report")
    for file in [page.with_suffix(suffix) for suffix in SUFFIXES]:
        if file.is_file():
            files.add_file(str(file))
    run.log_artifact(files)
    run.finish()


def _row(block: Block, group: Group) -> tuple[Any, ...]:
    """A configuration, accuracies in 0..1; ``None`` where there is no number."""
    linear, knn = group.linear, group.knn
    low, high = (None, None) if linear is None or linear.interval is None else linear.interval
    means = (None, None, 0) if linear is None else (linear.mean, linear.sd, linear.n)
    neighbours = None if knn is None else knn.mean
    return block.dataset, group.label, group.reference, *means, low, high, neighbours, block.chance
