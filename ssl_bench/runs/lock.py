"""One writer a run, and whether it lives.

A lock on the run's ``.lock``, which the kernel takes back when its holder dies, says whether a run is being written.
``heartbeat.json``, written every few seconds meanwhile, says by whom, and how long ago they were last seen to work.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from ssl_bench.errors import NotWritten, UserError
from ssl_bench.files import read_json, write_json

LOCK, HEARTBEAT = ".lock", "heartbeat.json"
SECONDS = 10.0
# A file system may lack locks, or not show them to other hosts: then who has not been seen so long counts as dead.
DEAD_AFTER = 120.0
# Whoever asks whether a run is held holds its lock for a moment.
PATIENCE = 1.0


class RunIsHeld(UserError):
    """Another process writes this run."""


@dataclass(frozen=True)
class Heartbeat:
    """Who writes a run, and the seconds since they last said so; wall clocks may jump, seconds since boot do not."""

    host: str
    pid: int
    age: float


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Be the one process that writes a run. Inside of itself, it does nothing.

    Raises: RunIsHeld if another is; NotWritten where nothing may be written.
    """
    name = os.path.realpath(folder)
    if name in _mine:
        yield
        return
    lock = FileLock(folder / LOCK, timeout=PATIENCE, poll_interval=0.05)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise RunIsHeld(refusal(folder)) from error
    except OSError as error:
        raise NotWritten(folder, error) from error
    _mine.add(name)
    enough = threading.Event()
    beating = threading.Thread(target=_beat, args=(folder, enough), name="heartbeat", daemon=True)
    try:
        _say(folder)
        beating.start()
        yield
    finally:
        enough.set()
        if beating.ident is not None:
            beating.join()
        with contextlib.suppress(OSError):
            (folder / HEARTBEAT).unlink(missing_ok=True)
        _mine.discard(name)
        lock.release()


def is_held(folder: Path) -> bool:
    """Whether a process, this one included, writes a run: the lock says so and, where it cannot, the heartbeat."""
    beat = read_heartbeat(folder)
    # A lock may not be seen from another host; on its own it is always.
    seen = beat is not None and beat.host != socket.gethostname() and beat.age < DEAD_AFTER
    try:
        handle = os.open(folder / LOCK, os.O_RDONLY)
    except OSError:
        return seen
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no locks on this file system
        return beat is not None and beat.age < DEAD_AFTER
    finally:
        os.close(handle)
    return seen


def read_heartbeat(folder: Path) -> Heartbeat | None:
    """The last heartbeat of whoever writes a run, or died doing so; ``None`` if there is none, or it is damaged."""
    try:
        said = read_json(folder / HEARTBEAT)
        same_boot = said["boot"] == _boot()
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - said["uptime"] if same_boot else time.time() - said["time"]
        return Heartbeat(str(said["host"]), int(said["pid"]), max(0.0, float(age)))
    except (UserError, KeyError, TypeError, ValueError):
        return None


def refusal(folder: Path) -> str:
    """Why a run that somebody writes is left alone, in words."""
    return f"{folder} is being written by {describe(read_heartbeat(folder))}: wait for it, or stop it first"


def describe(beat: Heartbeat | None) -> str:
    """Who writes a run, in words."""
    if beat is None:
        return "another process"
    return f"process {beat.pid} on {beat.host} (last sign of life {beat.age:.0f} s ago)"


# The runs this process holds, by their real paths.
_mine: set[str] = set()


def _beat(folder: Path, enough: threading.Event) -> None:
    while not enough.wait(SECONDS):
        _say(folder)


def _say(folder: Path) -> None:
    """That this process lives; a sign of life that cannot be written stops nothing."""
    with contextlib.suppress(OSError):
        write_json(folder / HEARTBEAT, _now())


def _now() -> dict[str, str | int | float]:
    uptime = time.clock_gettime(time.CLOCK_BOOTTIME)
    return {"host": socket.gethostname(), "pid": os.getpid(), "time": time.time(), "boot": _boot(), "uptime": uptime}


def _boot() -> str:
    """Tells one running of this machine from another; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
