"""Jobs of Slurm, by submitit: one a run, those of a size in one array."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ssl_bench.config import TrainingConfig
from ssl_bench.errors import UserError
from ssl_bench.launching.batches import Batch, forget, keep, new_batch
from ssl_bench.launching.commands import python_command
from ssl_bench.launching.preemption import preemptible
from ssl_bench.launching.settings import LauncherConfig
from ssl_bench.stopping import deferred

# Slurm's own limit on the tasks of an array is 1,001 unless the cluster says otherwise.
LARGEST_ARRAY = 1000


def do_run(path: str) -> None:
    """What a job does: one run. Stopped, it queues itself again."""
    with preemptible(path):
        from ssl_bench.completing import complete

        complete(path)


def check_slurm() -> None:
    """Whether jobs can be submitted from here.

    Raises: UserError if not.
    """
    try:
        import submitit  # noqa: F401
    except ImportError as error:
        raise UserError("--launcher slurm needs submitit: pip install 'ssl-bench[slurm]'") from error
    for program in ("sbatch", "srun", "squeue"):
        if shutil.which(program) is None:
            raise UserError(f"there is no {program} here: --launcher slurm is for a host that can submit to Slurm")


def submit(folder: Path, runs: Sequence[Path], settings: LauncherConfig, size: TrainingConfig) -> list[Batch]:
    """Give runs of one size to Slurm. A signal that asks to stop is heeded when their jobs are remembered.

    Args:
        folder: Where jobs are remembered, and write what they say.
        runs: The run directories.
        settings: What a job asks for.
        size: Its ``nodes``, and ``devices`` on each.

    Raises: UserError if Slurm refuses them.
    """
    parts = [runs[start : start + LARGEST_ARRAY] for start in range(0, len(runs), LARGEST_ARRAY)]
    batches = []
    for part in parts:
        with deferred():
            batch = new_batch(folder, [run.name for run in part])
            try:
                batches.append(keep(folder, replace(batch, id=_submit(folder, part, batch.name, settings, size))))
            except UserError:
                forget(folder, batch)
                raise
    return batches


def log_file(folder: Path, job: str) -> Path:
    """What a job, or the first of its tasks, wrote on standard error."""
    return folder / f"{job}_0_log.err"


def _submit(folder: Path, runs: Sequence[Path], name: str, settings: LauncherConfig, size: TrainingConfig) -> str:
    """Returns: The id of the job."""
    import submitit
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    executor = submitit.SlurmExecutor(folder=folder, python=python_command(settings))
    executor.update_parameters(**_parameters(name, settings, size))
    try:
        with _as_outside_of_a_job():
            jobs = executor.map_array(do_run, [str(run.absolute()) for run in runs])
    except (FailedJobError, FailedSubmissionError) as error:
        refusal = next((line for line in str(error).splitlines() if "error" in line.lower()), str(error))
        raise UserError(f"Slurm refused the jobs: {' '.join(refusal.split())}") from error
    return str(jobs[0].job_id).partition("_")[0]


def _parameters(name: str, settings: LauncherConfig, size: TrainingConfig) -> dict[str, Any]:
    """The settings in submitit's words."""
    further = {"mem": settings.memory} if settings.memory else {}
    wanted = {
        "job_name": name,
        "partition": settings.partition,
        "time": settings.minutes,
        "signal_delay_s": settings.notice,
        "nodes": size.nodes,
        "ntasks_per_node": size.devices,
        "gpus_per_node": settings.gpus * size.devices or None,
        "cpus_per_task": settings.cpus,
        "array_parallelism": settings.at_once,
        "setup": list(settings.setup) or None,
        "srun_args": list(settings.srun) or None,
        # A preempted job, or one that lost its node, is queued again whatever the cluster's default is.
        "additional_parameters": {"requeue": True, **further, **settings.sbatch},
    }
    return {key: value for key, value in wanted.items() if value is not None}


@contextmanager
def _as_outside_of_a_job() -> Iterator[None]:
    """Hide what Slurm says of the job this process may be part of, which sbatch would take for wishes."""
    inside = "SLURM_JOB_ID" in os.environ
    hidden = [name for name in os.environ if name.startswith("SLURM_") and name != "SLURM_CONF"] if inside else []
    kept = {name: os.environ.pop(name) for name in hidden}
    try:
        yield
    finally:
        os.environ.update(kept)
