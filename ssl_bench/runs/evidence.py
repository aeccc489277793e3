"""Whether what a run wrote is still there, as it was written.

A checkpoint, and the record of a finished run, say which snapshots were there and what metrics.jsonl was: a run goes on
from a checkpoint, or counts as finished, only where all that is to come of it still is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ssl_bench.errors import UserError
from ssl_bench.files import flush, read_tensors


def written(snapshots: Iterable[Path], metrics: Path) -> dict[str, Any]:
    """What is there now, for :func:`damage`. What it speaks of is on disk when this returns."""
    if metrics.exists():
        flush(metrics)
    content = metrics.read_bytes() if metrics.exists() else b""
    return {
        "snapshots": [file.name for file in snapshots],
        "metrics": {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()},
    }


def damage(said: Mapping[str, Any], snapshots: Path, metrics: Path) -> str | None:
    """What of that is not there any more, or not as it was, in words; ``None`` if all is well.

    Args:
        said: What :func:`written` said.
        snapshots: The folder of snapshots.
        metrics: The file of metrics, which may have grown since.
    """
    for name in said["snapshots"]:
        try:
            read_tensors(snapshots / name)
        except UserError as error:
            return str(error)
    size = int(said["metrics"]["bytes"])
    try:
        with metrics.open("rb") as handle:
            content = handle.read(size)
    except FileNotFoundError:
        content = b""
    if hashlib.sha256(content).hexdigest() != said["metrics"]["sha256"]:
        return f"{metrics} is damaged: it does not say what was logged"
    return None
