"""A section in a process of its own: it imports little, so that the process is soon there."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any

from benchmarks.results import Plan, Section


@dataclass(frozen=True)
class Job:
    """A section to be measured: its name, ``module:function``, the plan, and what else the function is given."""

    name: str
    function: str
    plan: Plan
    settings: dict[str, Any] = field(default_factory=dict)


def measure_apart(job: Job) -> Section:
    """Measure a section in a new process, which takes its memory and whatever it changed with it.

    Raises: Exception as the section does; BrokenProcessPool if the process dies.
    """
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_run, job).result()


def _run(job: Job) -> Section:
    module, _, name = job.function.partition(":")
    function: Callable[..., Section] = getattr(importlib.import_module(module), name)
    return function(job.plan, **job.settings)
