"""Which Slurm job does which run: remembered beside the runs, so that no run is given to two jobs."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ssl_bench.files import read_json, write_json
from ssl_bench.launching.queue import Job


@dataclass(frozen=True)
class Batch:
    """Runs that were submitted together: an array job, whose tasks have their order, or the job of a single run.

    ``id`` is ``None`` from before the submission until it is known: who is killed in between finds the job by ``name``.
    """

    name: str
    runs: tuple[str, ...]
    id: str | None = None

    def job_id(self, run: str) -> str | None:
        """The id of the job, or task, that does a run of this batch."""
        if self.id is None or len(self.runs) == 1:
            return self.id
        return f"{self.id}_{self.runs.index(run)}"


def new_batch(folder: Path, runs: Sequence[str]) -> Batch:
    """A batch that is about to be submitted, remembered under a name nobody else has."""
    return keep(folder, Batch(f"ssl-bench-{uuid.uuid4().hex[:8]}", tuple(runs)))


def keep(folder: Path, batch: Batch) -> Batch:
    """Remember a batch, in ``NAME.json``."""
    write_json(folder / f"{batch.name}.json", {"name": batch.name, "runs": list(batch.runs), "id": batch.id})
    return batch


def forget(folder: Path, batch: Batch) -> None:
    """A batch that was not submitted."""
    (folder / f"{batch.name}.json").unlink(missing_ok=True)


def remembered(folder: Path, queue: Mapping[str, Job]) -> list[Batch]:
    """The batches of a comparison, in the order in which they were submitted; those that never were are forgotten."""
    files = sorted(folder.glob("ssl-bench-*.json"), key=lambda file: file.stat().st_mtime_ns)
    found = []
    for content in map(read_json, files):
        batch = Batch(content["name"], tuple(content["runs"]), content["id"])
        if batch.id is None:
            ids = {job.id.partition("_")[0] for job in queue.values() if job.name == batch.name}
            if not ids:
                forget(folder, batch)
                continue
            batch = keep(folder, Batch(batch.name, batch.runs, ids.pop()))
        found.append(batch)
    return found
