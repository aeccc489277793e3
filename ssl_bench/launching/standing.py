"""How the runs of a comparison stand, from what lies on disk; cheap enough to be asked each second."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from ssl_bench.config import Config
from ssl_bench.errors import UserError
from ssl_bench.evaluation.evaluator import evaluation_question
from ssl_bench.files import read_json
from ssl_bench.measuring import analysis_question
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.runs.lock import is_held

Stage = Literal["waiting", "training", "probing", "analyzing", "finished", "failed"]
WORKING: tuple[Stage, ...] = ("training", "probing", "analyzing")
OVER: tuple[Stage, ...] = ("finished", "failed")
# The parts of a run, as its timings name them.
PARTS = ("train", "evaluate", "analyze")
# The end of metrics.jsonl that is read, in bytes: the rows of a few steps.
TAIL = 4096

Value = TypeVar("Value")


@dataclass(frozen=True)
class Standing:
    """How one run stands.

    ``step`` of ``total`` updates are done (``total`` is ``None`` before it was first started), ``loss`` and ``speed``
    (images per second) are the newest; ``linear`` is its linear probe in 0..1; ``seconds`` what its parts took so far.
    """

    stage: Stage
    step: int = 0
    total: int | None = None
    loss: float | None = None
    speed: float | None = None
    linear: float | None = None
    error: str | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def trained(self) -> float:
        """The share of its training that is done."""
        if self.stage in ("probing", "analyzing", "finished"):
            return 1.0
        return min(self.step / self.total, 1.0) if self.total else 0.0


class Files:
    """Files that are read again only when they changed."""

    def __init__(self) -> None:
        self._kept: dict[Path, tuple[tuple[int, int], Any]] = {}

    def read(self, path: Path, make: Callable[[Path], Value]) -> Value | None:
        """What ``make`` makes of a file; ``None`` if it is not there, or is damaged."""
        try:
            about = path.stat()
            stamp = about.st_mtime_ns, about.st_size
            if path not in self._kept or self._kept[path][0] != stamp:
                self._kept[path] = stamp, make(path)
        except (OSError, UserError):
            return None
        kept: Value = self._kept[path][1]
        return kept


def read_standing(run: RunDirectory, config: Config, files: Files, worked_on: bool = False) -> Standing:
    """How a run stands that is to be done as ``config`` says.

    Args:
        run: Its directory. What its files hold may be anything.
        config: What is asked of it.
        files: What was read of it before, when the same was asked.
        worked_on: Whether it is known to be worked on; else its lock is asked.
    """
    record = files.read(run.record_file, read_json) or {}
    step = int(_number(_inside(record, "progress").get("step")) or 0)
    total = _number(record.get("total_steps"))
    timings = _inside(record, "timings")
    seconds = {part: value for part in PARTS if (value := _number(timings.get(f"{part}_seconds"))) is not None}
    there = Standing("waiting", step, None if total is None else int(total), seconds=seconds)
    busy = worked_on or is_held(run.path)
    if record.get("status") == "finished":
        return _measured(run, config, files, there, busy, record.get("error"))
    if busy:
        newest = files.read(run.metrics_file, _newest) or {}
        step = max(step, int(newest.get("step", 0)))
        return replace(
            there, stage="training", step=step, loss=newest.get("loss"), speed=newest.get("images_per_second")
        )
    if record.get("status") == "failed" or record.get("error") is not None:
        return replace(there, stage="failed", error=str(record.get("error") or "it failed"))
    return there


def _measured(run: RunDirectory, config: Config, files: Files, there: Standing, busy: bool, error: Any) -> Standing:
    """How far the probes and spectra of a trained run are."""

    def probe(file: Path) -> dict[str, Any] | None:
        asked = evaluation_question(config.evaluation)
        del asked["settings"]["probes"]  # those of earlier are kept, and each asked for has its protocol
        return _last_row(read_json(file), there.step, asked)

    def is_analyzed(file: Path) -> bool:
        return _last_row(read_json(file), there.step, analysis_question(config.analysis)) is not None

    last, analyzed = files.read(run.evaluation_file, probe), files.read(run.spectrum_file, is_analyzed)
    there = replace(there, linear=None if last is None else _number(last.get("linear_top1")))
    if last is not None and analyzed and error is None:
        return replace(there, stage="finished")
    if busy:
        return replace(there, stage="probing" if last is None else "analyzing")
    return there if error is None else replace(there, stage="failed", error=str(error))


def _last_row(content: dict[str, Any], step: int, asked: Mapping[str, Any]) -> dict[str, Any] | None:
    """The row of a run's last step in a file of measurements, if those answer what is asked."""
    if not _covers(content, asked):
        return None
    rows = content.get("snapshots")
    last = rows[-1] if isinstance(rows, list) and rows else None
    return last if isinstance(last, dict) and last.get("step") == step else None


def _covers(stored: Any, asked: Any) -> bool:
    """Whether stored settings are those asked for, or more."""
    if isinstance(asked, Mapping):
        return isinstance(stored, dict) and all(_covers(stored.get(key), value) for key, value in asked.items())
    return bool(stored == asked)


def _newest(file: Path) -> dict[str, float]:
    """The newest value of each metric, and its step; a line that is cut off is left out."""
    with file.open("rb") as handle:
        handle.seek(max(os.fstat(handle.fileno()).st_size - TAIL, 0))
        lines = handle.read().splitlines()
    found: dict[str, float] = {}
    for line in lines:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            step, value = _number(row.get("step")), _number(row.get("value"))
            found |= {} if value is None else {str(row.get("name")): value}
            found |= {} if step is None else {"step": step}
    return found


def _inside(record: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = record.get(key)
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float | None:
    """A number that may be shown and reckoned with."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if plain and abs(value) < 1e15 and math.isfinite(value) else None
