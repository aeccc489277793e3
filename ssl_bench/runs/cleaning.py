"""What of a run may go: what can be made again without training, and what the dead left behind."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssl_bench.runs.directory import RunDirectory
from ssl_bench.runs.index import find_runs
from ssl_bench.runs.lock import HEARTBEAT, RunIsHeld, describe, is_held, read_heartbeat


@dataclass(frozen=True)
class Debris:
    """A file or folder that may go, its size in bytes, and why."""

    path: Path
    size: int
    why: str


def clear_up(folders: Sequence[Path], dry_run: bool) -> dict[str, Any]:
    """Delete the debris of all runs in folders, or only say what it is.

    Returns: ``files`` with path, bytes and why; their bytes in all; ``held``, the runs left alone as they are being
    written; ``dry_run``.

    Raises: UserError if a folder is not there.
    """
    files: list[Debris] = []
    busy: list[str] = []
    for run in find_runs(folders):
        try:
            files += _cleared(run, dry_run)
        except RunIsHeld:
            busy.append(str(run.path))
    return {
        "dry_run": dry_run,
        "bytes": sum(one.size for one in files),
        "files": [{"path": str(one.path), "bytes": one.size, "why": one.why} for one in files],
        "held": busy,
    }


def _cleared(run: RunDirectory, dry_run: bool) -> list[Debris]:
    if dry_run:
        return debris(run)
    found = debris(run)
    with run.held():  # which takes away what the dead left behind, and is refused where somebody lives
        for one in found:
            _remove(one)
    return found


def debris(run: RunDirectory) -> list[Debris]:
    """What may go of a run that nobody writes.

    Of a finished run that is whole, its checkpoints: nothing goes on from them. Never snapshots, measurements, metrics
    or records.

    Raises: RunIsHeld if somebody writes it.
    """
    if is_held(run.path):
        raise RunIsHeld(f"{run.path} is being written by {describe(read_heartbeat(run.path))}")
    return [Debris(path, _size(path), why) for path, why in _found(run)]


def _remove(what: Debris) -> None:
    """Delete a file or a folder."""
    if what.path.is_dir():
        shutil.rmtree(what.path)
    else:
        what.path.unlink(missing_ok=True)


def _found(run: RunDirectory) -> Iterator[tuple[Path, str]]:
    if run.cache.is_dir():
        yield run.cache, "features, made again when they are needed"
    if run.checkpoint_folder.is_dir() and run.state() == "finished" and run.damage() is None:
        yield run.checkpoint_folder, "checkpoints of a finished run"
    for part in sorted(run.path.rglob(".*.part")):
        if not part.is_relative_to(run.cache) and not part.is_relative_to(run.checkpoint_folder):
            yield part, "left of a file that was being written"
    beat = run.path / HEARTBEAT
    if beat.exists():
        yield beat, "heartbeat of a process that died"


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
