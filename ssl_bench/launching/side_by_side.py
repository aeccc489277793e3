"""Several runs of a comparison at once on this host, each by a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch

from ssl_bench.completing import is_complete
from ssl_bench.config import Config
from ssl_bench.launching.display import Display, showing
from ssl_bench.planning import Plan
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.runs.lock import is_held
from ssl_bench.stopping import asked, deferred
from ssl_bench.training.pretraining import title

# Seconds between two looks at the processes.
POLL = 0.2
LOG = "log.txt"


@dataclass
class Worker:
    """A process that does one run, and the GPUs it has."""

    config: Config
    run: RunDirectory
    process: subprocess.Popen[bytes]
    gpus: list[str]


def run_side_by_side(plan: Plan, jobs: int, live: bool = True) -> None:
    """Do what is missing, ``jobs`` runs at once. What the processes say goes to ``log.txt`` of their runs.

    A failure is recorded in its run, not raised. A signal that asks to stop, or Ctrl-C, is passed on to the processes,
    which save what they have, and are waited for.
    """
    pool, left, workers = Gpus(), plan.missing(), list[Worker]()
    waits, started, total = False, 0, len(left)
    with deferred(), showing(plan, jobs, live) as display:
        try:
            while (left or workers) and asked() is None:
                for config in [one for one in left if not is_held(plan.run(one).path)][: jobs - len(workers)]:
                    left.remove(config)
                    started += 1
                    display.started(config, f"[{started}/{total}] {title(config)}")
                    workers.append(_start(config, plan.run(config), jobs, pool))
                if left and not workers and not waits:
                    display.say(f"waiting for other processes, which do the {len(left)} runs that are left")
                    waits = True
                time.sleep(POLL)
                for worker in [one for one in workers if one.process.poll() is not None]:
                    workers.remove(worker)
                    pool.give_back(worker.gpus)
                    _settle(worker, display)
                if not workers:
                    left = [config for config in left if not is_complete(plan.run(config))]
        finally:
            _stop(workers)


class Gpus:
    """The GPUs of this host, dealt out so that each is used by as few processes as possible."""

    def __init__(self) -> None:
        named = os.environ.get("CUDA_VISIBLE_DEVICES")
        here = range(torch.cuda.device_count())
        self.uses = Counter(dict.fromkeys(named.split(",") if named else map(str, here), 0))

    def take(self, count: int) -> list[str]:
        """The ``count`` GPUs with the fewest users, which are one more now; all if there are fewer."""
        chosen = sorted(self.uses, key=lambda name: self.uses[name])[:count]
        self.uses.update(chosen)
        return chosen

    def give_back(self, gpus: list[str]) -> None:
        """One user less for each."""
        self.uses.subtract(gpus)


def _start(config: Config, run: RunDirectory, jobs: int, pool: Gpus) -> Worker:
    gpus = [] if config.training.accelerator == "cpu" else pool.take(config.training.devices)
    threads = max(1, torch.get_num_threads() // jobs // config.training.devices)
    # A failure of before is not one of this time.
    run.update(error=None)
    with (run.path / LOG).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ssl_bench", "runs", "do", str(run.path)],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env={
                **os.environ,
                "OMP_NUM_THREADS": str(threads),
                **({"CUDA_VISIBLE_DEVICES": ",".join(gpus)} if gpus else {}),
            },
            # Ctrl-C is for this process, which asks the others to save.
            start_new_session=True,
        )
    return Worker(config, run, process, gpus)


def _settle(worker: Worker, display: Display) -> None:
    """Say how a process ended, where its run is not complete; and record it, if the process could not."""
    run, status = worker.run, worker.process.returncode
    display.ended(worker.config)
    if is_complete(run) or is_held(run.path):
        return
    error = run.record().get("error")
    if error is None and status != 0:
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        error = f"its process {how}: {_last_line(run.path / LOG)}"
        run.update(error=error)
    display.say(f"  {title(worker.config)}: {error or 'stopped'}")


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), f"see {log}")


def _stop(workers: list[Worker]) -> None:
    """Ask all to save and end, and wait until they have."""
    for worker in workers:
        worker.process.terminate()
    for worker in workers:
        worker.process.wait()
