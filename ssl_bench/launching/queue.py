"""What Slurm's queue says of one's jobs."""

from __future__ import annotations

import getpass
import subprocess
from dataclasses import dataclass

from ssl_bench.errors import UserError

# Slurm may take a while when it has much to do, in seconds.
PATIENCE = 60

# What squeue says of jobs that come to nothing more; any other word is said of one that waits, works or ends just now.
STOPPED_BY_SLURM = {"BOOT_FAIL", "DEADLINE", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT"}
ENDED = frozenset({"CANCELLED", "COMPLETED", "FAILED"} | STOPPED_BY_SLURM)
WAITING = frozenset({"PENDING", "REQUEUED", "CONFIGURING"})


class QueueIsSilent(UserError):
    """Slurm does not answer."""


@dataclass(frozen=True)
class Job:
    """A job, or one task of an array (``12_3``), as the queue shows it."""

    id: str
    state: str
    name: str

    @property
    def ended(self) -> bool:
        """Whether it comes to nothing more."""
        return self.state in ENDED

    @property
    def waits(self) -> bool:
        """Whether it is not started yet, or is to be started again."""
        return self.state in WAITING


def read_queue() -> dict[str, Job]:
    """This user's jobs by id; those that ended are among them for some minutes.

    Raises: QueueIsSilent if Slurm does not answer.
    """
    command = ["squeue", "--noheader", "--array", "--states=all", f"--user={getpass.getuser()}", "--format=%i|%T|%j"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except FileNotFoundError as error:
        raise UserError("there is no squeue here: --launcher slurm is for a host that can submit to Slurm") from error
    except subprocess.TimeoutExpired as error:
        raise QueueIsSilent(f"squeue did not answer in {PATIENCE} s") from error
    if done.returncode:
        raise QueueIsSilent(f"squeue failed: {' '.join(done.stderr.split())}")
    rows = (line.strip().split("|", 2) for line in done.stdout.splitlines() if line.count("|") >= 2)
    return {job: Job(job, state, name) for job, state, name in rows}
