"""Contestants, each in a process of its own, that take turns: A B C A B C, so that a noisy machine is noisy to all.

A contestant is named by its factory, ``module:function``. The factory is called in the new process with the entry's
settings, and returns a function that does the work once and says how many items (views, images) it got through.

Two things the work may have beside, as methods. ``tune()`` is called after the first work and is in no number: there it
chooses what is best for it here (loader workers, the length of a turn). ``about()`` is called after the last, and says
what is worth knowing of it by name: numbers for the report.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import re
import resource
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

Work = Callable[[], int]

# Seconds after which a contestant that does not answer is given up: compiling for a GPU may take minutes.
PATIENCE = 900.0


@dataclass(frozen=True)
class Entry:
    """A contestant before it is started.

    Attributes:
        name: How the report calls it.
        factory: ``module:function``; called with ``settings`` as keyword arguments, returns the work.
        settings: Of values that can be pickled.
        threads: Of torch in that process.
    """

    name: str
    factory: str
    settings: dict[str, Any] = field(default_factory=dict)
    threads: int = 1


@dataclass
class Timing:
    """What one contestant did.

    ``startup`` is seconds from nothing to ready, imports included; ``first`` those of the first work, which may compile
    or fill caches, and is in no statistic. ``seconds`` and ``cpu`` (seconds of processor time, of its children too) are
    of each later work, ``items`` what it got through each time, ``memory`` the peak in bytes: of a GPU where one is
    used, else of the process without its children. ``about`` is what it says of itself. ``error`` says in one line why
    there is nothing.
    """

    entry: Entry
    startup: float = 0.0
    first: float = 0.0
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    items: int = 0
    memory: int = 0
    about: dict[str, Any] = field(default_factory=dict)
    error: str | None = None

    @property
    def rates(self) -> list[float]:
        """Items a second of each work."""
        return [self.items / seconds for seconds in self.seconds]


def contest(entries: Sequence[Entry], repeats: int) -> list[Timing]:
    """Start all contestants, let each work once unmeasured, then all of them in turn, ``repeats`` times.

    They are started one after another, and only one works at a time. One that fails is left out from then on, and its
    timing says why.
    """
    timings = [Timing(entry) for entry in entries]
    running: list[_Process] = []
    try:
        for timing in timings:
            running.append(_Process(timing))
        for process in running:
            process.warm_up()
        for _ in range(repeats):
            for process in running:
                process.measure()
        for process in running:
            process.tell()
    finally:
        for process in running:
            process.stop()
    return timings


class _Process:
    """The parent's end of a contestant."""

    def __init__(self, timing: Timing) -> None:
        self.timing = timing
        started = time.perf_counter()
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        usual = multiprocessing.get_start_method()
        self.process = context.Process(target=_serve, args=(other, timing.entry, usual))
        self.process.start()
        other.close()
        self._receive()
        timing.startup = time.perf_counter() - started

    def warm_up(self) -> None:
        """The first work, and what it then chooses for itself."""
        done = self._ask("work")
        if done is not None:
            self.timing.first, self.timing.items = done["seconds"], done["items"]
            self._ask("tune")

    def measure(self) -> None:
        """One work that counts."""
        done = self._ask("work")
        if done is not None:
            self.timing.items = done["items"]
            self.timing.seconds.append(done["seconds"])
            self.timing.cpu.append(done["cpu"])
            self.timing.memory = done["memory"]

    def tell(self) -> None:
        """What it says of itself."""
        self.timing.about = self._ask("about") or {}

    def stop(self) -> None:
        """End the process; kill it if it does not end."""
        if self.timing.error is None:
            with contextlib.suppress(OSError):
                self.connection.send("stop")
        self.process.join(10)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.connection.close()

    def _ask(self, what: str) -> dict[str, Any] | None:
        if self.timing.error is not None:
            return None
        try:
            self.connection.send(what)
        except OSError:
            self.timing.error = "its process ended"
            return None
        return self._receive()

    def _receive(self) -> dict[str, Any] | None:
        try:
            there = self.connection.poll(PATIENCE)
            answer = self.connection.recv() if there else {"error": f"no answer for {PATIENCE:.0f} s"}
        except (EOFError, OSError):
            answer = {"error": "its process ended"}
        self.timing.error = answer.get("error")
        return None if self.timing.error is not None else answer


def _serve(connection: Connection, entry: Entry, start_method: str) -> None:
    """The child's end: build the contestant, then do whatever is asked."""
    import torch

    torch.set_num_threads(entry.threads)
    # Loader workers are to start as they do for everybody here, and not as this process was.
    multiprocessing.set_start_method(start_method, force=True)
    try:
        module, _, name = entry.factory.partition(":")
        work: Work = getattr(importlib.import_module(module), name)(**entry.settings)
        answers = {
            "work": lambda: _timed(work),
            "tune": getattr(work, "tune", lambda: None),
            "about": getattr(work, "about", lambda: None),
        }
        connection.send({})
        while (asked := connection.recv()) in answers:
            _children_may(signal.SIGCONT)
            answer = answers[asked]() or {}
            _children_may(signal.SIGSTOP)
            connection.send(answer)
    except ModuleNotFoundError as error:
        connection.send({"error": f"{(error.name or str(error)).partition('.')[0]} is not installed"})
    except Exception as error:  # whatever a rival raises is a line in the report, not the end of the benchmark
        traceback.print_exc()
        connection.send({"error": f"{type(error).__name__}: {error}".splitlines()[0]})
    finally:
        _children_may(signal.SIGCONT)


def _children_may(go: signal.Signals) -> None:
    """Let a contestant's own processes go on, or stop them while others have their turn.

    Workers of a loader would otherwise slow the others down, and start the next turn with batches that were made in
    no time of theirs.
    """
    for child in multiprocessing.active_children():
        if child.pid is not None:
            os.kill(child.pid, go)


def _timed(work: Work) -> dict[str, Any]:
    import torch

    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
        torch.cuda.synchronize()
    started, cpu = time.perf_counter(), _processor_seconds()
    items = work()
    if on_gpu:
        torch.cuda.synchronize()
    seconds, cpu = time.perf_counter() - started, _processor_seconds() - cpu
    memory = (torch.cuda.max_memory_allocated() if on_gpu else 0) or _peak_bytes()
    return {"seconds": seconds, "cpu": cpu, "items": items, "memory": memory}


def _peak_bytes() -> int:
    """The most memory this process had. What getrusage says begins with its parent's, where /proc does not tell."""
    status = Path("/proc/self/status")
    told = re.search(r"VmHWM:\s+(\d+)", status.read_text()) if status.exists() else None
    return 1024 * (int(told[1]) if told else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _processor_seconds() -> float:
    """Of this process, its children that ended, and, where /proc tells, those that live."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    living = [Path(f"/proc/{child.pid}/stat") for child in multiprocessing.active_children()]
    # The name in the second field may hold spaces; counted from its end, user and system time are 12th and 13th.
    fields = [file.read_text().rpartition(")")[2].split() for file in living if file.exists()]
    ticks = sum(int(one[11]) + int(one[12]) for one in fields)
    return sum(one.ru_utime + one.ru_stime for one in both) + ticks / os.sysconf("SC_CLK_TCK")
