"""Standard error as people see it: one console a terminal, whoever draws there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console


class _Drawn:
    """The console something live stands on, if anything does: what else is said there goes above it."""

    console: Console | None = None


def console() -> Console:
    """Where to say something on standard error."""
    return _Drawn.console or Console(stderr=True, highlight=False)


def shows_bars() -> bool:
    """Whether a progress bar belongs there: on a terminal that can go back, on which nothing else is drawn."""
    return _Drawn.console is None and is_screen(console())


def is_screen(where: Console) -> bool:
    """Whether a console is a terminal that can go back and draw again."""
    return where.is_terminal and not where.is_dumb_terminal


def is_taken() -> bool:
    """Whether something live stands on standard error."""
    return _Drawn.console is not None


@contextmanager
def drawing_on(where: Console) -> Iterator[None]:
    """While inside, something live stands on this console, in place of progress bars."""
    _Drawn.console = where
    try:
        yield
    finally:
        _Drawn.console = None
