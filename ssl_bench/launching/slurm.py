"""The runs of a comparison as jobs of Slurm, submitted where none has them yet, and waited for."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from ssl_bench.config import Config, TrainingConfig
from ssl_bench.errors import warn
from ssl_bench.launching.batches import remembered
from ssl_bench.launching.display import Display, showing
from ssl_bench.launching.preemption import progress
from ssl_bench.launching.queue import Job, QueueIsSilent, read_queue
from ssl_bench.launching.submitting import check_slurm, log_file, submit
from ssl_bench.planning import Plan
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.runs.lock import is_held

# Seconds between two looks at the queue: few at first and when something changed, more when nothing does.
SOON, SELDOM = 2.0, 30.0
# What a job wrote may take a while to be seen on another host, in seconds.
SETTLING = 10.0
# How often in a row a run is given to a job that gets nowhere with it.
TRIES = 2


def run_by_slurm(plan: Plan, live: bool = True) -> None:
    """Submit what is missing and no job has yet, wait for all jobs, and submit again what was cut off and got further.

    A failure is recorded in its run, not raised. Whoever ends this process leaves the jobs as they are; the same
    command finds them again.

    Raises: UserError if nothing can be submitted from here, or Slurm refuses the jobs.
    """
    check_slurm()
    queue = read_queue()
    with showing(plan, None, live) as display:
        _watch(Watch(plan, display), queue)


def _watch(watch: Watch, queue: dict[str, Job]) -> None:
    """Look and wait until all is done."""
    try:
        while watch.look(queue):
            queue = watch.wait(queue)
    except BaseException:
        if watch.jobs:
            ids = " ".join(sorted({job.partition("_")[0] for job in watch.jobs.values()}))
            warn(f"the Slurm jobs go on without this command; 'scancel {ids}' would end them")
        raise


@dataclass
class Watch:
    """What is known of the runs, by the names of their directories."""

    plan: Plan
    display: Display
    # The newest job of each run that is not complete.
    jobs: dict[str, str] = field(default_factory=dict)
    line: str = ""
    pause: float = SOON
    # How far a run was when this process first saw its job, since when that has ended, and how many jobs were in vain.
    before: dict[str, object] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)
    vain: Counter[str] = field(default_factory=Counter)
    given_up: set[str] = field(default_factory=set)

    @property
    def folder(self) -> Path:
        """Where the jobs of a comparison are remembered, and write what they say."""
        return self.plan.out.absolute() / "jobs"

    def look(self, queue: dict[str, Job]) -> bool:
        """See how the runs are, submit what has no job. Returns whether there is anything to wait for."""
        missing = {self.plan.run(config).path.name: config for config in self.plan.missing()}
        left = {name: config for name, config in missing.items() if name not in self.given_up}
        known = {name: batch.job_id(name) for batch in remembered(self.folder, queue) for name in batch.runs}
        self.jobs = {name: job for name, job in known.items() if name in left and job is not None}
        free = [config for name, config in left.items() if self._is_free(name, queue)]
        self._submit(free)
        left = {name: config for name, config in left.items() if name not in self.given_up}
        self._say(list(left), queue)
        return bool(left)

    def wait(self, queue: dict[str, Job]) -> dict[str, Job]:
        """Sleep, then read the queue; what it was, if it does not answer."""
        time.sleep(self.pause)
        self.pause = min(2 * self.pause, SELDOM)
        try:
            return read_queue()
        except QueueIsSilent as error:
            self._print(f"{error}; asked again in {self.pause:.0f} s")
            return queue

    def _is_free(self, name: str, queue: dict[str, Job]) -> bool:
        """Whether a run has to be given to a job: none has it, and nobody works on it."""
        job, run = self.jobs.get(name), self._run(name)
        there = queue.get(job) if job is not None else None
        if (there is not None and not there.ended) or is_held(run.path):
            self.before.setdefault(name, progress(run.path))
            self.ended.pop(name, None)
            return False
        if job is None or name not in self.before:  # it has no job, or one that was over before this process came
            return True
        since = self.ended.setdefault(name, time.monotonic())
        return time.monotonic() - since >= SETTLING and not self._gives_up(name, job, there)

    def _gives_up(self, name: str, job: str, there: Job | None) -> bool:
        """Whether a run whose job ended before it was complete is left as it is; then run.json says why."""
        run = self._run(name)
        error = run.record().get("error")
        self.vain[name] = self.vain[name] + 1 if progress(run.path) == self.before[name] else 0
        if error is None and there is not None and there.state == "CANCELLED":
            error = f"Slurm job {job} was cancelled"
        elif error is None and self.vain[name] >= TRIES:
            how = there.state if there is not None else "no longer in the queue"
            error = f"Slurm job {job} ended ({how}) without getting any further: see {log_file(self.folder, job)}"
        if error is None:
            return False
        run.update(error=error)
        self._print(f"{name}: {error}")
        self.given_up.add(name)
        return True

    def _submit(self, configs: list[Config]) -> None:
        """Give runs to jobs, those of one size together."""
        sizes: dict[tuple[int, int], list[RunDirectory]] = {}
        for config in configs:
            size = config.training.nodes, config.training.devices
            sizes.setdefault(size, []).append(self.plan.run(config))
        for (nodes, devices), runs in sizes.items():
            for run in runs:
                run.update(error=None)  # a failure of before is not one of this time
                self.before[run.path.name] = progress(run.path)
                self.ended.pop(run.path.name, None)
            paths = [run.path for run in runs]
            for batch in submit(self.folder, paths, self.plan.launcher, TrainingConfig(nodes=nodes, devices=devices)):
                self._print(f"{len(batch.runs)} runs submitted to Slurm: job {batch.id}")
                self.jobs |= {name: str(batch.job_id(name)) for name in batch.runs}
            self.pause = SOON

    def _say(self, left: list[str], queue: dict[str, Job]) -> None:
        """One line of how it stands, when that changed."""
        states = [queue.get(self.jobs.get(name, "")) for name in left]
        waiting = sum(job is None or job.waits for job in states)
        total, lost = len(self.plan.every()), len(self.given_up)
        line = f"{total} runs: {total - len(left) - lost} done, {len(left) - waiting} running, {waiting} waiting"
        line += f", {lost} given up" if lost else ""
        if line != self.line:
            self.line, self.display.note, self.pause = line, line, SOON
            if not self.display.live:
                self._print(f"{line}{self.display.left_in_words()}")

    def _run(self, name: str) -> RunDirectory:
        return RunDirectory(self.plan.out / "runs" / name)

    def _print(self, line: str) -> None:
        self.display.say(line)
