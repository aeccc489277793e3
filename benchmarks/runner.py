"""Sections, measured one after another, each in a process of its own; what is done is stored at once."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks import machine, report, store
from benchmarks.jobs import Job, measure_apart


def measure(jobs: Sequence[Job], file: Path, command: str) -> bool:
    """Measure each section, and write results and page as soon as it is done. Returns whether all succeeded.

    A section that fails is noted in the results and printed; the others go on.
    """
    failed = []
    for number, job in enumerate(jobs, start=1):
        about = {**machine.describe(), "command": command, "plan": asdict(job.plan)}
        about["warning"] = machine.disturbance(about["load"])
        _say(f"[{number}/{len(jobs)}] {job.name}{_warned(about['warning'])}")
        started = time.perf_counter()
        try:
            section = measure_apart(job)
        except Exception as error:  # one section's failure, of whatever kind, must not lose the others
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            store.enter_failure(file, job.name, reason, about)
            _say(f"  failed: {reason}")
            failed.append(job.name)
        else:
            about["seconds"] = round(time.perf_counter() - started, 1)
            store.enter(file, section, about)
        page = report.write(file)
    if jobs:
        _say(f"results: {file}, report: {page}" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return not failed


def _warned(warning: str | None) -> str:
    return "" if warning is None else f"\n  warning: {warning}"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
