"""From folders to stored runs: everything a report says is read here, and nothing is computed anew."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssl_bench.config import AnalysisConfig, Config, EvaluationConfig, decides, flatten, validate
from ssl_bench.errors import UserError
from ssl_bench.files import read_json
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.runs.summary import summarise_run

# What counts as a reference line where no summary.json says so.
REFERENCES = ("supervised", "random", "pixels")
# Objectives that train nothing.
UNTRAINED = ("random", "pixels")
# Settings of an evaluation that touch neither the linear probe nor k-NN.
OF_FURTHER_PROBES = ("probes", "shots", "draws", "finetune_epochs")
# Parts of an entry of evaluation.json that are shares in 0..1.
ACCURACIES = ("linear_top1", "knn_top1", "head_top1", "held_out_top1")


@dataclass(frozen=True)
class Run:
    """One run as it lies on disk.

    ``record`` is run.json, ``summary`` the row of summary.json; ``evaluation`` and ``spectrum`` are ``None`` until
    measured. ``reference`` marks a reference line (supervised, random, pixels).
    """

    directory: RunDirectory
    record: dict[str, Any]
    config: Config
    summary: dict[str, Any]
    evaluation: dict[str, Any] | None
    spectrum: dict[str, Any] | None
    reference: bool

    @property
    def name(self) -> str:
        """The run directory's name."""
        return self.directory.path.name

    @property
    def status(self) -> str:
        """running, finished or failed."""
        return str(self.record["status"])

    @property
    def finished(self) -> bool:
        """Whether pretraining is complete."""
        return self.status == "finished"

    @property
    def fingerprint(self) -> str | None:
        """Hash of the images and labels it was trained on; ``None`` if it stopped before they were loaded."""
        value = self.record.get("dataset", {}).get("fingerprint")
        return None if value is None else str(value)

    @property
    def probe(self) -> dict[str, Any] | None:
        """Its probe at the last snapshot; ``None`` for a run that is not finished, whatever was measured of it."""
        probe: dict[str, Any] | None = self.summary["probe"]
        return probe if self.finished else None

    def losses(self) -> list[tuple[int, float]]:
        """(samples seen, loss), as logged."""
        rows = [row for row in self.directory.metrics() if row.get("name") == "loss"]
        return [(row["samples_seen"], row["value"]) for row in rows if math.isfinite(row["value"])]


@dataclass(frozen=True)
class Notice:
    """Something that is not in the tables, and why."""

    what: str
    reason: str


@dataclass(frozen=True)
class Collection:
    """All that was found: runs, the cells a comparison skipped, and what could not be read."""

    runs: tuple[Run, ...]
    skipped: tuple[Notice, ...]
    left_out: tuple[Notice, ...]


def collect(directories: Sequence[Path]) -> Collection:
    """Read comparison directories, folders of runs and single runs, in the order given, each run once.

    Raises: UserError if a directory is not there, or none of them holds a finished run.
    """
    runs: dict[Path, Run] = {}
    skipped: dict[Notice, None] = {}
    left_out: dict[Notice, None] = {}
    for directory in directories:
        if not directory.is_dir():
            raise UserError(
                f"nothing to report: {directory} is no directory; give the --out of ssl-bench compare or pretrain"
            )
        for path, reference, notices in _find(directory):
            skipped.update(dict.fromkeys(notices))
            if path is None or path.resolve() in runs:
                continue
            try:
                runs[path.resolve()] = _read(path, reference)
            except UserError as error:
                left_out[Notice(path.name, str(error))] = None
            except Exception as error:  # records may hold anything
                left_out[Notice(path.name, f"its records are not of this version's form ({error!r})")] = None
    check_any(list(runs.values()), list(left_out), ", ".join(map(str, directories)) or "an empty list of directories")
    return Collection(tuple(runs.values()), tuple(skipped), tuple(left_out))


def check_any(runs: Sequence[Run], left_out: Sequence[Notice], places: str) -> None:
    """Raises: UserError if no run is finished, with the first reason why one was left out."""
    if not any(run.finished for run in runs):
        why = "".join(f"; {notice.what}: {notice.reason}" for notice in left_out[:1])
        raise UserError(f"nothing to report: no finished run in {places}{why}")


def _find(folder: Path, seen: set[Path] | None = None) -> Iterator[tuple[Path | None, bool | None, list[Notice]]]:
    """Run directories at any depth with whether they are reference lines (``None``: not said), and skipped cells."""
    seen = set() if seen is None else seen
    if folder.resolve() in seen:
        return  # a link to a folder above, or to one that was looked into
    seen.add(folder.resolve())
    if (folder / "run.json").exists():
        yield folder, None, []
        return
    if (folder / "summary.json").exists():
        summary = read_json(folder / "summary.json")
        if isinstance(summary.get("runs"), list):
            yield from _listed(folder, summary)
            return
    for inner in sorted(item for item in folder.iterdir() if item.is_dir() and not item.name.startswith(".")):
        yield from _find(inner, seen)


def _listed(folder: Path, summary: dict[str, Any]) -> list[tuple[Path | None, bool | None, list[Notice]]]:
    """What a comparison's summary.json lists; its runs lie in ``runs/``, whatever it says.

    Raises: UserError if it is not of this form.
    """
    try:
        runs: list[tuple[Path | None, bool | None, list[Notice]]] = [
            (folder / "runs" / Path(row["directory"]).name, key == "baselines", [])
            for key in ("runs", "baselines")
            for row in summary.get(key) or []
        ]
        return [*runs, (None, None, [_skipped(cell) for cell in summary.get("skipped") or []])]
    except (KeyError, TypeError) as error:
        raise UserError(f"{folder / 'summary.json'} is not of this version's form ({error!r})") from error


def _skipped(cell: dict[str, Any]) -> Notice:
    return Notice(f"{cell['objective']} on {cell['backbone']}", str(cell["reason"]))


def _read(path: Path, reference: bool | None) -> Run:
    directory = RunDirectory(path)
    evaluation, spectrum = _optional(directory.evaluation_file), _optional(directory.spectrum_file)
    _check_accuracies(directory.evaluation_file, evaluation)
    config = _as_measured(directory.config(), evaluation, spectrum)
    return Run(
        directory=directory,
        record=directory.record(),
        config=config,
        summary=summarise_run(directory),
        evaluation=evaluation,
        spectrum=spectrum,
        reference=config.objective.name in REFERENCES if reference is None else reference,
    )


def _check_accuracies(file: Path, evaluation: dict[str, Any] | None) -> None:
    """Raises: UserError if an accuracy is not a share in 0..1; a mean of such numbers would look like any other."""
    for entry in [] if evaluation is None else evaluation["snapshots"]:
        found = {key: entry[key] for key in ACCURACIES if entry.get(key) is not None}
        found |= {name: one["top1"] for name, one in entry.get("probes", {}).items()}
        for name, value in found.items():
            if not 0 <= value <= 1:
                raise UserError(f"{file}: {name} is {value}, which is no share in 0..1")


def _as_measured(config: Config, evaluation: dict[str, Any] | None, spectrum: dict[str, Any] | None) -> Config:
    """The configuration with the settings the run was measured with: they may have been overridden after training."""
    asked: dict[str, Any] = {}
    if evaluation is not None:
        asked["evaluation"] = validate(EvaluationConfig, evaluation["settings"])
    if spectrum is not None:
        asked["analysis"] = validate(AnalysisConfig, spectrum["settings"])
    return config.model_copy(update=asked)


def _optional(file: Path) -> dict[str, Any] | None:
    return read_json(file) if file.exists() else None


def flat_settings(run: Run) -> dict[str, str]:
    """Every setting that decides a run's numbers, by dotted key, as JSON text; without seed, places and mirrors.

    Nor with what further probes were asked for: that decides no number by which configurations are compared.
    """
    nested = run.config.model_dump(mode="json", exclude={"seed", "wandb"})
    for key in ("snapshot", *OF_FURTHER_PROBES):
        nested["evaluation"].pop(key)
    nested["analysis"].pop("snapshot")
    asked = ("evaluation.", "analysis.")
    return {key: json.dumps(value) for key, value in flatten(nested).items() if decides(key) or key.startswith(asked)}
