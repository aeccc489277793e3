"""On what a section was measured: the machine, versions, the commit, and what else was going on."""

from __future__ import annotations

import os
import re
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from ssl_bench.runs.environment import describe_environment

RIVALS = ("kornia", "stable-pretraining", "pytorch-lightning", "scipy")
WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
# Cores that others use, above which times are not to be trusted.
QUIET = 0.1
# Seconds in which nothing is done, to see what others do.
PAUSE = 1.0


def device() -> str:
    """``cuda`` where torch finds a GPU, else ``cpu``."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_name() -> str:
    """What the results of this machine are called: ``nvidia_h200``, or ``two_cores``."""
    if torch.cuda.is_available():
        return slug(torch.cuda.get_device_name())
    count = cores()
    words = WORDS[count] if count < len(WORDS) else str(count)
    return f"{words}_core" if count == 1 else f"{words}_cores"


def slug(text: str) -> str:
    """Lower case letters, digits and underscores."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def describe() -> dict[str, Any]:
    """Versions, also of what ssl_bench is compared with, commit, hardware, time, load."""
    found = describe_environment()
    found["versions"] |= {name: _version(name) for name in RIVALS}
    found["hardware"]["cores"] = cores()
    return {**found, "load": load()}


def load() -> dict[str, Any]:
    """The load averages, and how many cores others use just now; ``None`` where that cannot be seen."""
    averages = [round(value, 2) for value in os.getloadavg()]
    return {"averages": averages, "others": _cores_in_use(PAUSE)}


def disturbance(load: dict[str, Any]) -> str | None:
    """What is to be said of other work that was going on; ``None`` where there was none.

    The averages remember what the section before did; they are what is gone by only where nothing else is known.
    """
    others = load["others"] if load["others"] is not None else load["averages"][0]
    if others <= QUIET:
        return None
    return (
        f"other work was using {others:.1f} of {cores()} cores when this began: times are too long, and ratios less "
        "certain than they look"
    )


def _cores_in_use(seconds: float) -> float | None:
    """While this process does nothing: of the whole machine, from /proc/stat."""
    before, started = _busy_ticks(), time.perf_counter()
    if before is None:
        return None
    time.sleep(seconds)
    after = _busy_ticks()
    assert after is not None
    return round((after - before) / os.sysconf("SC_CLK_TCK") / (time.perf_counter() - started), 2)


def _busy_ticks() -> int | None:
    try:
        fields = [int(value) for value in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    except (OSError, ValueError):
        return None
    # All states but idle and waiting for disks, the fourth and the fifth.
    return sum(fields) - fields[3] - fields[4]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
