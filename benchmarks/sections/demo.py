"""The main job from its command on: what scripts/demo does, now and, if asked, at another commit."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contest import Entry, Timing
from benchmarks.durations import seconds_of
from benchmarks.results import Plan, Section
from ssl_bench.errors import UserError

ROOT = Path(__file__).parent.parent.parent
ABOUT = """
Seconds from the command of scripts/demo to its report: `{command}`, in a folder and with a cache that are empty. CPU is
the time of all its threads and processes.
"""
COMMAND = ("two_worlds", "seed=0")
QUICK = (
    *("objective=autoencoder", "dataset=digits", "dataset.limit=100", "dataset.test_limit=40", "baselines=[]"),
    *("training.epochs=1", "training.batch_size=32", "training.snapshots=3", "backbone.latent_dim=8"),
    *("analysis.fit_samples=50", "analysis.test_samples=30", "analysis.snapshot=last", "evaluation.probe_epochs=1"),
)


@dataclass(frozen=True)
class Cost:
    """Of one command with all its children: seconds of the clock, of processors, and peak bytes of the largest."""

    wall: float
    cpu: float
    memory: int


def run(plan: Plan, before: str | None = None) -> Section:
    """The section; ``before`` names a commit to compare with, which takes turns with this one.

    Raises:
        UserError: There is no such commit.
        RuntimeError: The command fails.
    """
    arguments = ["compare", *(QUICK if plan.quick else COMMAND)]
    with _sources(before) as sources:
        timings = {name: Timing(Entry(name, ""), items=1) for name in sources}
        for _ in range(plan.repeats):
            for name, source in sources.items():
                cost = _once(arguments, source)
                timing = timings[name]
                timing.seconds.append(cost.wall)
                timing.cpu.append(cost.cpu)
                timing.memory = max(timing.memory, cost.memory)
    about = ABOUT.format(command=f"ssl-bench {' '.join(arguments)}").strip()
    return Section("demo", "The demo, start to report", about, seconds_of("demo", list(timings.values())))


@contextmanager
def _sources(before: str | None) -> Iterator[dict[str, Path]]:
    """Folders to import ssl_bench from, by the name of the contestant."""
    if before is None:
        yield {"ssl_bench": ROOT}
        return
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "before"
        _git("worktree", "add", "--detach", "--quiet", str(tree), before)
        try:
            yield {"ssl_bench": ROOT, f"ssl_bench at {before}": tree}
        finally:
            _git("worktree", "remove", "--force", str(tree))


def _git(*arguments: str) -> None:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip() or "no reason given").splitlines()[-1]
        raise UserError(f"--before: git {arguments[0]} failed: {reason}; give a commit of this checkout")


def _once(arguments: Sequence[str], source: Path) -> Cost:
    with tempfile.TemporaryDirectory() as folder:
        # In a folder of its own, since Python looks for packages where it is started before anywhere else.
        environment = {**os.environ, "PYTHONPATH": str(source), "XDG_CACHE_HOME": str(Path(folder) / "cache")}
        command = [sys.executable, "-m", "ssl_bench", *arguments, "--out", str(Path(folder) / "demo")]
        return cost_of(command, Path(folder), environment)


def cost_of(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Cost:
    """Run a command to its end; what it prints goes to a file.

    Raises: RuntimeError, with the last line it printed, if it fails.
    """
    printed = folder / "printed"
    started = time.perf_counter()
    with printed.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
        # Unlike wait, it says what the process and the children it waited for cost.
        _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        last = (printed.read_text(errors="replace").strip() or "nothing printed").splitlines()[-1]
        raise RuntimeError(f"{command[2]} ended with status {process.returncode}: {last}")
    return Cost(wall, used.ru_utime + used.ru_stime, 1024 * used.ru_maxrss)
