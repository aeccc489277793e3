"""Where the seconds of a job went."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Clock:
    """Seconds by part of a job; parts of one name add up."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count what is done inside as part ``name``."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started

    def taken(self) -> dict[str, float]:
        """Seconds by part, to the millisecond, since they were last taken."""
        seconds, self.seconds = self.rounded(), {}
        return seconds

    def rounded(self) -> dict[str, float]:
        """Seconds by part, to the millisecond."""
        return {name: round(value, 3) for name, value in self.seconds.items()}
