"""Being asked to stop: a preempted job saves what it has and ends with exit status 0, so that it may be queued again.

Schedulers ask with SIGTERM, SIGUSR1 or SIGUSR2 some time before they kill.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


class Stopped(SystemExit):
    """The job was asked to stop, and has saved what it had; the same command goes on. Ends with exit status 0."""

    def __init__(self, why: str) -> None:
        super().__init__(0)
        self.why = why


class _Request:
    """Which signal asked, if any, and whether whoever works now looks by itself."""

    name: str | None = None
    deferred = False


def asked() -> str | None:
    """The signal that asked to stop, if one did."""
    return _Request.name


@contextmanager
def stoppable() -> Iterator[None]:
    """While inside, the signals raise :class:`Stopped`: at once or, in :func:`deferred`, at its end. Main thread only.

    What is written meanwhile is whole or absent (``ssl_bench.files``), so that stopping anywhere loses only what was
    not finished.
    """
    _Request.name, _Request.deferred = None, False
    before = {number: signal.signal(number, _note) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _Request.name = None


@contextmanager
def deferred() -> Iterator[None]:
    """While inside, a signal is noted only: whoever works there looks at :func:`asked` where it can save and stop.

    Raises: Stopped at the end, if one came and it was not raised inside.
    """
    _Request.deferred = True
    try:
        yield
    finally:
        _Request.deferred = False
    if _Request.name is not None:
        raise Stopped(_Request.name)


def _note(number: int, frame: FrameType | None) -> None:
    _Request.name = signal.Signals(number).name
    if not _Request.deferred:
        raise Stopped(_Request.name)
