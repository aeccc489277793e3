"""What a comparison is to run: its cells, checked before anything is run, each with a directory that waits for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from ssl_bench import processes
from ssl_bench.completing import is_complete
from ssl_bench.config import Config, DatasetConfig, Options, identity, validate
from ssl_bench.data.images import ImageData, Split, Statistics
from ssl_bench.data.subspace import check_subspace
from ssl_bench.errors import UserError
from ssl_bench.evaluation.evaluator import asked_probes
from ssl_bench.launching.settings import Launcher, LauncherConfig
from ssl_bench.matrix import BASELINES, Skipped, axes, baseline_cells, cells, dataset_key, resolve_cells
from ssl_bench.objectives import OBJECTIVES
from ssl_bench.overrides import expand_short_forms
from ssl_bench.resolve import check_evaluation
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.shelf import Shelf


class CompareConfig(Options):
    """What a comparison has beside the settings of its runs."""

    baselines: tuple[str, ...] = BASELINES
    launcher: LauncherConfig = LauncherConfig()


@dataclass(frozen=True)
class Plan:
    """The runs of a comparison: ``swept`` are the dotted keys that span the matrix, ``chance`` the first dataset's."""

    out: Path
    main: list[Config]
    baselines: list[Config]
    skipped: list[Skipped]
    swept: tuple[str, ...]
    chance: float
    launcher: LauncherConfig

    def run(self, config: Config) -> RunDirectory:
        """Where a cell is run."""
        return RunDirectory(run_path(self.out, config))

    def every(self) -> list[Config]:
        """All cells, dataset by dataset, in the order in which the datasets are first met."""
        keys = [dataset_key(config) for config in [*self.main, *self.baselines]]
        order = {key: position for position, key in enumerate(dict.fromkeys(keys))}
        return sorted([*self.main, *self.baselines], key=lambda config: order[dataset_key(config)])

    def missing(self) -> list[Config]:
        """The cells that are not pretrained, evaluated and analyzed as asked yet, dataset by dataset."""
        return [config for config in self.every() if not is_complete(self.run(config))]


class Outline(ImageData):
    """The sizes and labels of a dataset; one image stands for all of them. Enough to refuse what cannot be."""

    @cached_property
    def statistics(self) -> Statistics:
        """None: what is refused does not depend on them."""
        return Statistics((0.0,) * self.channels, 1.0)


def make_plan(raw: Mapping[str, Any], out: Path, shelf: Shelf, launcher: Launcher = "local") -> Plan:
    """The runs of a comparison, with a directory each, which holds its configuration and waits unless there was one.

    Args:
        raw: Nested settings (see ``load_config``); a list where one value is wanted spans the matrix.
        out: The directory of the comparison; runs lie in ``runs/`` there.
        shelf: Where datasets are loaded.
        launcher: Who will do the runs.

    Raises: UserError before anything is written, if any cell is impossible.
    """
    raw = expand_short_forms(raw)
    own = validate(CompareConfig, {key: raw[key] for key in CompareConfig.model_fields if key in raw})
    for name in own.baselines:
        OBJECTIVES.get(name)
    settings = {key: value for key, value in raw.items() if key not in CompareConfig.model_fields}
    wanted = cells(settings)
    for config in wanted:
        if isinstance(config.evaluation.snapshot, int) or isinstance(config.analysis.snapshot, int):
            raise UserError("a comparison measures the last snapshot or all of them: use snapshot=last or all")
        asked_probes(config.evaluation)
    references = baseline_cells(wanted, own.baselines)
    # All datasets at once may be too much for memory: what is kept of each is an outline.
    data: dict[str, ImageData] = {}
    for config in wanted:
        if dataset_key(config) not in data:
            data[dataset_key(config)] = _outline(config.dataset, shelf)
    gpu = _gpu_there(launcher, own.launcher)
    main, skipped = resolve_cells(wanted, data, gpu)
    baselines, _ = resolve_cells(references, data, gpu)
    for config in main:
        check_evaluation(config, data[dataset_key(config)])
    chance = data[dataset_key(wanted[0])].chance
    plan = Plan(_claim(out), main, baselines, skipped, tuple(axes(settings)), chance, own.launcher)
    for config in plan.every():
        processes.by_first(partial(plan.run(config).claim, config))
    return plan


def run_path(out: Path, config: Config) -> Path:
    """Where a run of a comparison lies: a readable name, made unique by its identity."""
    words = [config.objective.name, config.noise or config.views.noise or "", config.backbone.name, config.dataset.name]
    words += [config.dataset.subspace or ""]
    readable = re.sub(r"[^a-z0-9.]+", "_", "_".join(word for word in words if word).lower()).strip("_.")[:80]
    return out / "runs" / f"{readable}_seed{config.seed}_{identity(config)}"


def _gpu_there(launcher: Launcher, settings: LauncherConfig) -> bool | None:
    """Whether runs will see a GPU: a job has those it asks for, whatever there is where it is sent from."""
    if launcher == "slurm":
        return settings.gpus > 0
    return True if launcher == "commands" and settings.gpus else None


def _outline(config: DatasetConfig, shelf: Shelf) -> ImageData:
    """A dataset without its images. Its projection, if it has one, is checked and not made: that takes a while.

    Raises: UserError as :func:`load_dataset` does.
    """
    whole = shelf.data(config.model_copy(update={"subspace": None}))
    if config.subspace is not None:
        check_subspace(whole, config.subspace)
    train, test = (
        Split(split.images[:1].clone().expand(len(split), -1, -1, -1), split.labels)
        for split in (whole.train, whole.test)
    )
    return Outline(whole.name, train, test, whole.classes)


def _claim(out: Path) -> Path:
    """The directory of a comparison, made if need be.

    Raises: UserError if it is a file, holds a single run, or holds something else.
    """
    if out.is_file() or (out / "run.json").exists():
        raise UserError(f"{out} is {'a file' if out.is_file() else 'one run, not a comparison'}: choose another --out")
    if out.is_dir() and any(out.iterdir()) and not (out / "runs").is_dir():
        raise UserError(f"{out} is not empty and no comparison (it has no runs/): choose another --out")
    (out / "runs").mkdir(parents=True, exist_ok=True)
    return out
