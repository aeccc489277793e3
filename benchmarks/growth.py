"""How cost grows with size: each size in a process of its own, so that its peak of memory is its own too."""

from __future__ import annotations

import importlib
import math
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch

from benchmarks.results import Curve, Plan

T = TypeVar("T")
# What a process of its own has imported before it begins: all that takes time to import.
PRELOADED = ["benchmarks.growing", "benchmarks.profiling"]


@dataclass(frozen=True)
class Growth:
    """What is to be followed.

    Attributes:
        what, against: As in :class:`Curve`.
        factory: ``module:function``; called with ``settings`` and the size under the name ``argument``.
        argument: The factory's keyword for the size.
        sizes: Ascending values of ``argument``.
        expected, why: As in :class:`Curve`.
        settings: Plain values.
        shown: What the report calls a size, where it is not the argument itself: dimensions for a side in pixels.
    """

    what: str
    against: str
    factory: str
    argument: str
    sizes: Sequence[int]
    expected: float
    why: str
    settings: dict[str, Any] = field(default_factory=dict)
    shown: Callable[[int], float] = float


def follow(growth: Growth, plan: Plan, repeats: int) -> Curve:
    """Measure every size: the median of ``repeats`` works after one that does not count, and the peak of memory.

    Memory is what the process took beyond its imports, data included; on a GPU, what was allocated there.

    Raises: Exception as the work does.
    """
    points = [
        apart(measure, growth.factory, {**growth.settings, growth.argument: size}, repeats, plan=plan)
        for size in growth.sizes
    ]
    sizes = [growth.shown(size) for size in growth.sizes]
    seconds, memory = [list(values) for values in zip(*points, strict=True)]
    fitted = fitted_exponent(sizes, seconds)
    return Curve(growth.what, growth.against, sizes, seconds, memory, growth.expected, fitted, growth.why)


def fitted_exponent(sizes: Sequence[float], cost: Sequence[float]) -> float:
    """The slope of the logarithms, by least squares, over the larger half of the sizes (two at least).

    Raises: ValueError if there are fewer than two sizes, or one of the numbers is not positive.
    """
    if len(sizes) < 2 or min(*sizes, *cost) <= 0:
        raise ValueError(f"an exponent needs two sizes or more and positive numbers, not {sizes} and {cost}")
    order = np.argsort(sizes)[-max(2, math.ceil(len(sizes) / 2)) :]
    return float(np.polyfit(np.log(np.array(sizes)[order]), np.log(np.array(cost)[order]), 1)[0])


def apart(function: Callable[..., T], *arguments: Any, plan: Plan) -> T:
    """What a function returns, computed in a new process with the plan's threads.

    Raises: Exception as the function does, or BrokenProcessPool where the process dies.
    """
    # A process forked from one that did nothing but import is there at once. A GPU cannot be used after a fork from
    # one that has looked for it, and some imports do.
    context = multiprocessing.get_context("spawn" if plan.device == "cuda" else "forkserver")
    if plan.device != "cuda":
        multiprocessing.get_context("forkserver").set_forkserver_preload(PRELOADED)
    with ProcessPoolExecutor(1, context, torch.set_num_threads, (plan.threads,)) as pool:
        return pool.submit(_in_own_folder, function, *arguments).result()


def _in_own_folder(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function; temporary files go with it, which a forked process would leave behind."""
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder
        return function(*arguments)


def measure(factory: str, settings: dict[str, Any], repeats: int) -> tuple[float, float]:
    """Seconds of a work, and bytes at the peak beyond those of the start. To be called in a new process."""
    before = _peak()
    module, _, name = factory.partition(":")
    work: Callable[[], int] = getattr(importlib.import_module(module), name)(**settings)
    work()
    seconds = statistics.median(_seconds(work) for _ in range(repeats))
    return seconds, max(1.0, _peak() - before)


def _seconds(work: Callable[[], int]) -> float:
    _wait()
    started = time.perf_counter()
    work()
    _wait()
    return time.perf_counter() - started


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _peak() -> float:
    if torch.cuda.is_available():
        return float(torch.cuda.max_memory_allocated())
    return 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
