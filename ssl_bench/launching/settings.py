"""How jobs are started on a cluster: no part of what a run is. Imports no torch."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field

from ssl_bench.config import Options
from ssl_bench.errors import UserError, did_you_mean

Launcher = Literal["local", "commands", "slurm"]


class LauncherConfig(Options):
    """What a job of ``compare --launcher slurm`` asks for. ``None`` leaves it to the cluster.

    A job does one run, on ``training.nodes`` nodes with ``training.devices`` tasks on each. ``gpus`` and ``cpus`` are
    a task's, ``memory`` (``16GB``) is a node's. ``notice`` seconds before its ``minutes`` are over a job is asked to
    save, and is queued again. At most ``at_once`` jobs run at the same time.

    Python is started by ``srun ARGUMENTS CONTAINER PYTHON``, after the lines of ``setup``: ``srun`` holds further
    arguments (``--container-image=...``), ``container`` is a command that another one follows
    (``apptainer exec --nv ssl.sif``), ``python`` is this one here unless another is named. ``sbatch`` holds whatever
    else a job needs to say (``{account: vision, qos: low}``).
    """

    partition: str | None = None
    minutes: int = Field(60, ge=1)
    notice: int = Field(120, ge=1)
    gpus: int = Field(0, ge=0)
    cpus: int | None = Field(None, ge=1)
    memory: str | None = None
    at_once: int = Field(100, ge=1)
    container: str | None = None
    python: str | None = None
    srun: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    sbatch: dict[str, str | int | bool] = Field(default_factory=dict)


def check_launcher(launcher: str, jobs: int) -> None:
    """Whether there is such a launcher, and ``--jobs`` means something to it.

    Raises: UserError if not.
    """
    if launcher not in get_args(Launcher):
        raise UserError(f"--launcher {launcher}: there is none; {did_you_mean(launcher, get_args(Launcher))}")
    if jobs < 1:
        raise UserError(f"--jobs {jobs}: how many runs are done at once, 1 or more")
    if jobs > 1 and launcher != "local":
        raise UserError(f"--jobs is for --launcher local; with {launcher} the scheduler decides: leave it out")
