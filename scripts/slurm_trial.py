"""A comparison on a real Slurm, disturbed in every way a cluster disturbs, against the same one done locally.

Started by scripts/test-slurm, which makes the cluster. Writes reports/reliability/slurm.json and slurm.md.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ssl_bench.files import read_json, write_json, write_text
from ssl_bench.launching.preemption import progress
from ssl_bench.launching.queue import read_queue
from ssl_bench.runs.lock import is_held

REPORT = Path(__file__).parent.parent / "reports" / "reliability" / "slurm"
# Small images, the micro backbone; a run is long enough to be disturbed in its middle, and says at once how far it is.
SETTINGS = [
    "objective=[autoencoder,simclr]",
    "seed=[0,1]",
    "baselines=[]",
    "dataset=digits",
    "dataset.limit=300",
    "backbone.latent_dim=16",
    "training.epochs=125",
    "training.batch_size=64",
    "training.snapshots=6",
    "training.log_every=1",
    "training.checkpoint_seconds=0.5",
    "analysis.fit_samples=200",
    "analysis.test_samples=100",
    "evaluation.learning_rates=[0.01,0.1]",
    "evaluation.probe_epochs=2",
]
LAUNCHER = ["launcher.partition=low", "launcher.cpus=1", "launcher.minutes=20", "launcher.at_once=2"]
# What may differ: how long it took, and where.
INCIDENTAL = {"seconds", "created", "directory"}


@dataclass
class Trial:
    """The comparison on Slurm, and what was done to it."""

    out: Path
    events: list[dict[str, str]] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    def compare(self, *more: str) -> subprocess.Popen[str]:
        """Start ``ssl-bench compare --launcher slurm``."""
        words = [*SETTINGS, *LAUNCHER, *more, "--out", str(self.out), "--launcher", "slurm"]
        return subprocess.Popen([*SSL_BENCH, "compare", *words], stderr=subprocess.PIPE, text=True)

    def training(self) -> tuple[str, Path]:
        """A job whose run is in the middle of its training, and the run; an undisturbed one, if there is any."""
        found: dict[str, tuple[str, Path]] = until("a run in training", self._training)
        name = min(found, key=lambda name: name in self.used)
        self.used.add(name)
        return found[name]

    def _training(self) -> dict[str, tuple[str, Path]]:
        found, queue = {}, read_queue()
        for batch in (read_json(file) for file in (self.out / "jobs").glob("ssl-bench-*.json")):
            for index, name in enumerate(batch["runs"]):
                job = batch["id"] if len(batch["runs"]) == 1 else f"{batch['id']}_{index}"
                run = self.out / "runs" / name
                works = job in queue and queue[job].state == "RUNNING" and is_held(run)
                if works and 5 < step_of(run) < total(run) - 100:
                    found[name] = job, run
        return found

    def note(self, what: str, outcome: str) -> None:
        """Keep what was done, and what came of it."""
        self.events.append({"what": what, "outcome": outcome})
        print(f"{what}: {outcome}", file=sys.stderr, flush=True)

    def batches(self) -> int:
        """How often something was submitted."""
        return len(list((self.out / "jobs").glob("ssl-bench-*.json")))


SSL_BENCH = [sys.executable, "-m", "ssl_bench"]


def main(folder: Path) -> None:
    """Do both comparisons; fails where something is not as it should be."""
    os.environ["OMP_NUM_THREADS"] = "1"
    subprocess.run([*SSL_BENCH, "compare", *SETTINGS, "--out", str(folder / "local")], check=True)
    trial = Trial(folder / "slurm")
    disturb(trial)
    for name in trial.used:
        sessions = len(read_json(trial.out / "runs" / name / "run.json")["sessions"])
        check(sessions > 1, f"{name} was disturbed, and did not go on")
    here, there = results(folder / "local"), results(trial.out)
    check(here == there, f"the results differ: {difference(here, there)}")
    trial.note(
        "all of it against --launcher local", f"{len(here['runs'])} runs: same weights, same numbers, to the bit"
    )
    write_report(trial)


def disturb(trial: Trial) -> None:
    """One disturbance after another, while the comparison goes on."""
    with watched(trial.compare()) as coordinator:
        killed(trial)
        stopped_by_signal(trial, "TERM")
        stopped_by_signal(trial, "USR1")
        batches = trial.batches()
        coordinator.send_signal(signal.SIGTERM)
        said = coordinator.communicate(timeout=60)[1]
        check(coordinator.returncode == 0, f"compare ended with {coordinator.returncode}: {said}")
        check("the Slurm jobs go on" in said, said)
    with watched(trial.compare()) as coordinator:
        time.sleep(15)
        check(trial.batches() == batches, "jobs were submitted a second time")
        trial.note("SIGTERM to compare", "it ended with status 0; given again, it found its jobs, and submitted none")
        preempted(trial)
        requeued(trial)
        job = cancelled(trial)
        said = coordinator.communicate(timeout=600)[1]
        check(coordinator.returncode == 1, f"compare ended with {coordinator.returncode}: {said}")
        check(f"{job} was cancelled" in said, said)
    with watched(trial.compare()) as coordinator:
        said = coordinator.communicate(timeout=600)[1]
        check(coordinator.returncode == 0, f"compare ended with {coordinator.returncode}: {said}")
    trial.note(f"scancel of job {job}", "it did not come back, and compare said so; given again, compare did the run")


def killed(trial: Trial) -> None:
    """A job dies by SIGKILL: compare submits its run again, which goes on from its checkpoint."""
    job, run = trial.training()
    step, batches = step_of(run), trial.batches()
    # Not by scancel, which Slurm would take for the user's wish that it ends.
    os.kill(int(read_json(run / "heartbeat.json")["pid"]), signal.SIGKILL)
    until("the killed job to be gone", lambda: job not in read_queue() or read_queue()[job].ended)
    until("a new job", lambda: any(run.name in read_json(file)["runs"] for file in newest(trial, batches)))
    trial.note(f"SIGKILL to job {job} at step {step}", "its run was submitted again, and went on")


def stopped_by_signal(trial: Trial, name: str) -> None:
    """A job is asked to stop: it saves, and queues itself again."""
    job, run = trial.training()
    step, before = step_of(run), restarts(job)
    run_command("scancel", f"--signal={name}", job)
    until(f"job {job} to queue itself again", lambda: restarts(job) > before)
    check(step_of(run) >= step, "progress was lost")
    trial.note(f"SIG{name} to job {job} at step {step}", "it saved, ended, queued itself again, and went on")


def preempted(trial: Trial) -> None:
    """A job of more importance takes the node: Slurm asks all others to stop, and queues them again."""
    job, run = trial.training()
    step, before = step_of(run), restarts(job)
    done = run_command("sbatch", "--partition=high", "--exclusive", "--output=/dev/null", "--wrap=sleep 5")
    until("the preempted job to be queued again", lambda: restarts(job) > before)
    check(read_json(run / "run.json")["status"] in ("stopped", "running"), "the job did not save")
    trial.note(f"job {job} preempted by {done.split()[-1]} at step {step}", "it saved, was queued again, and went on")


def requeued(trial: Trial) -> None:
    """An administrator puts a job back in the queue."""
    job, run = trial.training()
    step, before = step_of(run), restarts(job)
    run_command("scontrol", "requeue", job)
    until("the job to be queued again", lambda: restarts(job) > before)
    trial.note(f"scontrol requeue of job {job} at step {step}", "it saved, was queued again once, and went on")


def cancelled(trial: Trial) -> str:
    """The user takes a job away: it must not come back by itself."""
    job, _ = trial.training()
    run_command("scancel", job)
    until("the cancelled job to end", lambda: read_queue()[job].state == "CANCELLED")
    return job


def newest(trial: Trial, after: int) -> list[Path]:
    """What was submitted after the first so many batches."""
    files = sorted((trial.out / "jobs").glob("ssl-bench-*.json"), key=lambda file: file.stat().st_mtime_ns)
    return files[after:]


def step_of(run: Path) -> int:
    """The newest step a run is known to have made."""
    return progress(run)[0][1]


def total(run: Path) -> int:
    """The steps a run is to make."""
    return int(read_json(run / "run.json").get("total_steps", 0))


def restarts(job: str) -> int:
    """How often a job was restarted or is about to be."""
    said = run_command("scontrol", "--oneliner", "show", "job", job)
    found = re.search(r"Restarts=(\d+)", said)
    return int(found[1]) if found else 0


def until(what: str, happens: Callable[[], Any], seconds: float = 240) -> Any:
    """Wait for something; fails if it does not come."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = happens()
        if value:
            return value
        time.sleep(0.5)
    raise SystemExit(f"waited {seconds:.0f} s in vain for {what}")


@contextmanager
def watched(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Leave no coordinator behind."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            print(process.communicate()[1], file=sys.stderr)


def run_command(*command: str) -> str:
    """What a command says."""
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def check(holds: bool, message: str) -> None:
    """Fail with a message, where something does not hold."""
    if not holds:
        raise SystemExit(f"not as it should be: {message}")


def results(out: Path) -> dict[str, Any]:
    """A comparison's summary without what is incidental, and the hash of the weights each run ended with."""
    summary = without(read_json(out / "summary.json"))
    for row, kept in zip(read_json(out / "summary.json")["runs"], summary["runs"], strict=True):
        last = sorted((out / "runs" / row["directory"] / "snapshots").glob("*.safetensors"))[-1]
        kept["weights"] = hashlib.sha256(last.read_bytes()).hexdigest()
    return dict(summary)


def without(value: Any) -> Any:
    """A JSON value without the keys of what is incidental."""
    if isinstance(value, dict):
        return {key: without(inner) for key, inner in value.items() if key not in INCIDENTAL}
    return [without(inner) for inner in value] if isinstance(value, list) else value


def difference(one: Any, other: Any, place: str = "") -> str:
    """Where two JSON values differ first."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return next((found for key in one if (found := difference(one[key], other[key], f"{place}.{key}"))), "")
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return next((found for index, pair in pairs if (found := difference(*pair, f"{place}[{index}]"))), "")
    return "" if one == other else f"{place}: {one!r} and {other!r}"


def write_report(trial: Trial) -> None:
    """The result as JSON and as a page."""
    made = {
        "schema": 1,
        "date": datetime.now(UTC).date().isoformat(),
        "slurm": run_command("sinfo", "--version").split()[-1],
        "versions": {"python": platform.python_version(), **{name: version(name) for name in ("torch", "submitit")}},
        "command": "scripts/test-slurm",
        "settings": [*SETTINGS, *LAUNCHER],
        "jobs": max(int(job.partition("_")[0]) for job in read_queue()),
        "events": trial.events,
    }
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    write_json(REPORT.with_suffix(".json"), made)
    rows = [f"| {event['what']} | {event['outcome']} |" for event in trial.events]
    lines = [
        "# A comparison on a real Slurm",
        "",
        f"`scripts/test-slurm`, {made['date']}: Slurm {made['slurm']}, one controller and one node of two cores on one",
        "machine. Four runs (autoencoder and SimCLR, two seeds; digits, micro ResNet), two",
        "at a time, disturbed in the middle of their training.",
        "",
        "| what was done | what came of it |",
        "|---|---|",
        *rows,
    ]
    write_text(REPORT.with_suffix(".md"), "\n".join(lines) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
