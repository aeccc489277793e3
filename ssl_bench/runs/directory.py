"""One run's directory: its paths, its record, its metrics."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ssl_bench.config import Config, decides, flatten, identity, to_yaml, validate
from ssl_bench.errors import NotWritten, UserError, warn
from ssl_bench.files import read_json, write_json, write_text
from ssl_bench.processes import by_first, first_only
from ssl_bench.runs import evidence, lock
from ssl_bench.runs.environment import describe_environment
from ssl_bench.yaml_files import read_yaml_file

State = Literal["waiting", "running", "dead", "stopped", "finished", "failed"]
SNAPSHOT = re.compile(r"step_(\d+)\.safetensors")


@dataclass(frozen=True)
class RunDirectory:
    """Paths and records of one run. Nothing here trains or measures.

    Of several processes that do one run together the first alone writes.
    """

    path: Path

    @property
    def record_file(self) -> Path:
        """run.json: identity, status, versions, hardware, timings."""
        return self.path / "run.json"

    @property
    def metrics_file(self) -> Path:
        """metrics.jsonl: one JSON object a line."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoint_folder(self) -> Path:
        """The newest resumable state, and the one before."""
        return self.path / "checkpoint"

    @property
    def evaluation_file(self) -> Path:
        """evaluation.json: probes."""
        return self.path / "evaluation.json"

    @property
    def spectrum_file(self) -> Path:
        """spectrum.json: band curves."""
        return self.path / "spectrum.json"

    @property
    def arrays_file(self) -> Path:
        """spectrum.safetensors: heat maps and example images."""
        return self.path / "spectrum.safetensors"

    @property
    def cache(self) -> Path:
        """Frozen features; may be deleted at any time."""
        return self.path / "cache"

    def snapshot_file(self, step: int) -> Path:
        """Weights after ``step`` updates."""
        return self.path / "snapshots" / f"step_{step:08d}.safetensors"

    def snapshots(self) -> dict[int, Path]:
        """The snapshots there are, by step, ascending."""
        folder = self.path / "snapshots"
        found = {int(match[1]): file for file in folder.glob("*") if (match := SNAPSHOT.fullmatch(file.name))}
        return dict(sorted(found.items()))

    def record(self) -> dict[str, Any]:
        """run.json.

        Raises: UserError if it is not there (then this is no run directory) or broken.
        """
        if not self.record_file.exists():
            raise UserError(f"{self.path} is no run directory (it has no run.json): give the --out of pretrain")
        return read_json(self.record_file)

    def config(self) -> Config:
        """The resolved configuration of this run.

        Raises: UserError if it is not there or broken.
        """
        self.record()
        return self._stored_config()

    def _stored_config(self) -> Config:
        file = self.path / "config.yaml"
        raw = read_yaml_file(file)
        return validate(Config, raw if isinstance(raw, dict) else {}, str(file))

    @first_only
    def update(self, **entries: Any) -> None:
        """Merge entries into run.json (mappings one level deep), atomically."""
        record = read_json(self.record_file) if self.record_file.exists() else {}
        for key, value in entries.items():
            both = isinstance(value, dict) and isinstance(record.get(key), dict)
            record[key] = {**record[key], **value} if both else value
        write_json(self.record_file, record, sealed=True)

    @property
    def finished(self) -> bool:
        """Whether the run is there and complete."""
        return self.record_file.exists() and self.record().get("status") == "finished"

    def written(self, step: int) -> dict[str, Any]:
        """Which snapshots there are until a step, and what was logged; see :meth:`damage`."""
        return evidence.written([file for at, file in self.snapshots().items() if at <= step], self.metrics_file)

    def damage(self, said: Mapping[str, Any] | None = None) -> str | None:
        """What is lost of what was written, in words; ``None`` if nothing is, or nobody said what there was.

        Args:
            said: What :meth:`written` said then; by default what the record of a finished run holds of it.
        """
        said = self.record() if said is None else said
        written = said.get("written")
        return None if written is None else evidence.damage(written, self.path / "snapshots", self.metrics_file)

    @first_only
    def add_session(self, **how: Any) -> None:
        """Note in run.json with what, and how, this session goes on: a resumed run may be made by several."""
        self.update(sessions=[*self.record().get("sessions", []), {**describe_environment(), **how}], **how)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the one process that writes here, while inside; see :func:`ssl_bench.runs.lock.held`.

        Of several processes that do this run together, the first is.

        Raises: UserError if this is no place for a run; RunIsHeld if another process writes here.
        """
        with ExitStack() as stack:

            def hold() -> None:
                self._refuse_strangers()
                stack.enter_context(lock.held(self.path))
                self._sweep()

            by_first(hold)
            yield

    def state(self) -> State:
        """How the run stands: what run.json says, but for who wrote ``running`` and is not there any more.

        ``waiting`` is planned and not started, ``dead`` was cut off, ``stopped`` saved what it had when asked to.
        """
        try:
            status = self.record().get("status") if self.record_file.exists() else "waiting"
        except UserError:
            status = None  # damaged: whoever goes on with the run makes it anew
        if status == "finished":
            return "finished"
        if lock.is_held(self.path):
            return "running"
        ended: dict[str, State] = {"waiting": "waiting", "stopped": "stopped", "failed": "failed"}
        return ended.get(str(status), "dead")

    def claim(self, config: Config) -> None:
        """Make this directory that configuration's, or find that it is already.

        Raises: UserError if it belongs to another configuration, or holds something else.
        """
        self._refuse_strangers()
        if not self._is_recorded(config):
            with self.held():
                if not self._is_recorded(config):
                    self._keep_config(config)
                    about = {"schema": 1, "id": identity(config), "status": "waiting", **describe_environment()}
                    write_json(self.record_file, about, sealed=True)
        if self.record().get("id") != identity(config):
            raise UserError(
                f"{self.path} belongs to another configuration{_difference(self.config(), config)}: "
                "choose another --out, or delete it"
            )
        if not self._says(config):
            with self.held():
                self._keep_config(config)

    def refuse_if_held(self) -> None:
        """Leave a run alone that another process writes.

        Raises: RunIsHeld.
        """
        if lock.is_held(self.path):
            raise lock.RunIsHeld(lock.refusal(self.path))

    def _is_recorded(self, config: Config) -> bool:
        """Whether run.json is there and whole. Without it the run begins anew, from the checkpoints there are.

        Raises: UserError if it is damaged, and nothing else says that this is the run of that configuration.
        """
        if not self.record_file.exists():
            return False
        try:
            self.record()
        except UserError as error:
            if not self.path.name.endswith(identity(config)) and self._known_identity() != identity(config):
                raise
            warn(f"{error}; it is made anew, and the run goes on from its newest checkpoint")
            return False
        return True

    def _known_identity(self) -> str | None:
        """The identity of what config.yaml says; ``None`` where it is not there, or is damaged too."""
        try:
            return identity(self._stored_config())
        except UserError:
            return None

    def _refuse_strangers(self) -> None:
        """Leave alone what is a file, or a folder of something else."""
        if self.path.exists() and not self.path.is_dir():
            raise UserError(f"{self.path} is a file: choose another --out")
        if not self.path.exists() or self.record_file.exists():
            return
        # What a kill left of a file that was being written, or of this claim itself, is no stranger's.
        own = ("config.yaml", lock.LOCK, lock.HEARTBEAT)
        strangers = [item.name for item in self.path.iterdir() if item.name not in own and item.suffix != ".part"]
        if strangers:
            raise UserError(f"{self.path} is not empty and no run ({strangers[0]} is there): choose another --out")

    def _keep_config(self, config: Config) -> None:
        """Write config.yaml if it says something else: what is asked of a run may change, what it is may not."""
        if not self._says(config):
            write_text(self.path / "config.yaml", to_yaml(config))

    def _says(self, config: Config) -> bool:
        """Whether config.yaml is that configuration, to the letter."""
        file = self.path / "config.yaml"
        return file.exists() and file.read_bytes() == to_yaml(config).encode()

    def _sweep(self) -> None:
        """Remove what a kill left of files that were being written. For the one process that writes."""
        for part in self.path.rglob(".*.part"):
            part.unlink(missing_ok=True)

    @property
    def last_step(self) -> int:
        """The newest step run.json knows of; the last one of a finished run."""
        return int(self.record().get("progress", {}).get("step", 0))

    @first_only
    def append_metrics(self, rows: Iterable[dict[str, Any]]) -> None:
        """Add lines to metrics.jsonl."""
        try:
            with self.metrics_file.open("a", encoding="utf-8") as handle:
                handle.writelines(json.dumps(row) + "\n" for row in rows)
        except OSError as error:
            raise NotWritten(self.metrics_file, error) from error

    def metrics(self) -> list[dict[str, Any]]:
        """All whole lines of metrics.jsonl; a line cut off by a kill is left out."""
        if not self.metrics_file.exists():
            return []
        rows = []
        for line in self.metrics_file.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict) and "step" in row:
                rows.append(row)
        return rows

    @first_only
    def cut_metrics(self, size: int) -> None:
        """Forget all but the first ``size`` bytes of metrics.jsonl: what came later will be logged again."""
        content = self.metrics_file.read_bytes() if self.metrics_file.exists() else b""
        write_text(self.metrics_file, content[:size].decode("utf-8"))


def _difference(old: Config, new: Config) -> str:
    """The first setting that decides, and in which two configurations differ, in words."""
    before, after = flatten(old.model_dump(mode="json")), flatten(new.model_dump(mode="json"))
    for key in sorted({*before, *after}):
        if decides(key) and before.get(key) != after.get(key):
            return f" ({key} is {before.get(key)!r} there, {after.get(key)!r} here)"
    return " (training.devices or training.nodes differ, and training.sync_batchnorm=false makes that another run)"
