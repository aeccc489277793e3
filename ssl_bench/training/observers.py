"""Who watches a run: a progress bar or plain lines, and an optional mirror of the metrics."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ssl_bench import terminal
from ssl_bench.config import WandbConfig
from ssl_bench.errors import warn
from ssl_bench.wandb_runs import start_run

PLAIN_SECONDS = 15.0


class TrainingProgress:
    """Loss and images per second on standard error: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, title: str, total: int, start: int, shown: bool = True) -> None:
        self.title, self.total = title, total
        self._last = time.monotonic()
        bars = terminal.shows_bars()
        self._lines = shown and not bars and not terminal.is_taken()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[status]}"),
            TimeRemainingColumn(),
            console=terminal.console(),
            transient=True,
            disable=not (shown and bars),
        )
        self._task = self._bar.add_task(title, total=total, completed=start, status="")

    def update(self, step: int, loss: float, images_per_second: float) -> None:
        """Show where the run is."""
        status = f"loss {loss:.4f}  {images_per_second:,.0f} images/s"
        self._bar.update(self._task, completed=step, status=status)
        if self._lines and time.monotonic() - self._last > PLAIN_SECONDS:
            self._last = time.monotonic()
            print(f"{self.title}: step {step}/{self.total}  {status}", file=sys.stderr, flush=True)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()


class WandbMirror:
    """Metrics at Weights & Biases, beside the files. Does nothing, and imports nothing, unless switched on.

    It stops no run: what cannot be sent stays in the run's ``wandb`` folder, for ``wandb sync``.
    """

    def __init__(self, config: WandbConfig, run_id: str, name: str, folder: Path, settings: dict[str, Any]) -> None:
        self._run: Any = None
        if config.mode != "disabled":
            self._run = start_run(config, folder, id=run_id, name=name, config=settings)

    def log(self, rows: Iterable[dict[str, Any]]) -> None:
        """Send the rows of one step."""
        for row in rows:
            self._try("log", {row["name"]: row["value"], "samples_seen": row["samples_seen"]}, step=row["step"])

    def close(self) -> None:
        """Finish the mirrored run."""
        self._try("finish")
        self._run = None

    def _try(self, what: str, *arguments: Any, **entries: Any) -> None:
        """Tell wandb something; after a failure it is told nothing more."""
        if self._run is None:
            return
        try:
            getattr(self._run, what)(*arguments, **entries)
        except Exception as error:  # whatever a mirror runs into, the run is worth more
            warn(f"wandb failed ({error}): the run goes on without it")
            self._run = None
