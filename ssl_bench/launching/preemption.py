"""What a job does when its scheduler asks it to stop: say so, end with status 0, and under Slurm queue itself again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ssl_bench.errors import UserError
from ssl_bench.files import read_json
from ssl_bench.stopping import Stopped, stoppable

# What a scheduler's command may take, in seconds.
PATIENCE = 60


@contextmanager
def preemptible(where: str | Path) -> Iterator[None]:
    """While inside, SIGTERM, SIGUSR1 and SIGUSR2 stop the work: one line on standard error, and exit status 0.

    A Slurm job is queued again, unless Slurm is taking it away itself, or it made no progress since it was restarted.

    Args:
        where: The run or the comparison that is worked on; for progress.
    """
    restarted = int(os.environ.get("SLURM_RESTART_COUNT") or 0) > 0
    before = progress(Path(where)) if restarted else None
    with stoppable():
        try:
            yield
        except Stopped as stop:
            if speaks():
                turns = restarted and progress(Path(where)) == before
                job = os.environ.get("SLURM_JOB_ID")
                words = f"stopped by {stop.why}; what is done is kept, and the same command goes on"
                print(f"ssl-bench: {words}{_queue_again(job, turns) if job else ''}", file=sys.stderr, flush=True)
            raise


def progress(where: Path) -> list[tuple[str, int, int, int]]:
    """How far the runs of a folder are: the newest step, and the snapshots evaluated and analyzed, of each."""
    folders = [where] if (where / "run.json").exists() else sorted((where / "runs").glob("*"))
    return [
        (folder.name, _step(folder), _rows(folder / "evaluation.json"), _rows(folder / "spectrum.json"))
        for folder in folders
    ]


def _queue_again(job: str, turns: bool) -> str:
    """Put this Slurm job back in its queue if that is ours to do; what was done, in words."""
    if turns:
        return f"; Slurm job {job} did nothing since it was restarted, and is not queued again"
    state = _asked("squeue", "--noheader", f"--jobs={job}", "--format=%T")
    # Who cancelled it does not want it back; and a job that Slurm preempted is queued again without us.
    if state.stdout.split()[:1] != ["RUNNING"]:
        return f"; Slurm has Slurm job {job} in its own hands"
    done = _asked("scontrol", "requeue", job)
    if done.returncode:
        return f"; Slurm job {job} could not be queued again: {' '.join(done.stderr.split())}"
    return f"; Slurm job {job} is queued again"


def _asked(*command: str) -> subprocess.CompletedProcess[str]:
    """A scheduler's command; one that is not there, or does not answer, failed."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))


def speaks() -> bool:
    """Whether this is the first of the processes that do a job together. Asked of whoever started them."""
    return not any(int(os.environ.get(name) or 0) for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK", "NODE_RANK"))


def _step(folder: Path) -> int:
    try:
        return int(read_json(folder / "run.json").get("progress", {}).get("step", 0))
    except UserError:
        return 0


def _rows(file: Path) -> int:
    try:
        return len(read_json(file).get("snapshots", []))
    except UserError:
        return 0
