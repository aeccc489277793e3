"""The main job: a matrix of runs, each pretrained, evaluated and analyzed; a summary and a report of all."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from rich.console import Console

from ssl_bench.across_runs import label_free, order_of_runs
from ssl_bench.config import AnalysisConfig, Config, DatasetConfig, Options, flatten, identity, validate
from ssl_bench.data.images import ImageData, Split, Statistics
from ssl_bench.data.load import load_dataset
from ssl_bench.data.subspace import check_subspace
from ssl_bench.errors import UserError
from ssl_bench.evaluation.evaluator import asked_probes, evaluation_question
from ssl_bench.files import write_json
from ssl_bench.matrix import BASELINES, axes, baseline_cells, cells, dataset_key, resolve_cells
from ssl_bench.measuring import analysis_question, analyze, evaluate, is_measured
from ssl_bench.objectives import OBJECTIVES
from ssl_bench.overrides import expand_short_forms
from ssl_bench.resolve import check_evaluation
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.runs.summary import summarise_runs
from ssl_bench.spectrum.bench import Bench, make_bench
from ssl_bench.training.loop import TrainingFailed
from ssl_bench.training.pretraining import pretrain, title

MakeBench = Callable[[DatasetConfig, AnalysisConfig], Bench]


class Outline(ImageData):
    """The sizes and labels of a dataset; one image stands for all of them. Enough to refuse what cannot be."""

    @cached_property
    def statistics(self) -> Statistics:
        """None: what is refused does not depend on them."""
        return Statistics((0.0,) * self.channels, 1.0)


class CompareConfig(Options):
    """What a comparison has beside the settings of its runs."""

    baselines: tuple[str, ...] = BASELINES


def compare(raw: Mapping[str, Any], out: str | Path) -> dict[str, Any]:
    """Run the matrix, keep what is finished, and write summary.json and the report.

    Args:
        raw: Nested settings (see ``load_config``); a list where one value is wanted spans the matrix.
        out: The directory of the comparison; runs lie in ``runs/`` there.

    Returns: The summary.

    Raises: UserError before anything is run, if any cell is impossible.
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
    # All datasets at once may be too much for memory: one is kept, and what is left of the others is an outline.
    load = lru_cache(maxsize=1)(load_dataset)
    bench = lru_cache(maxsize=1)(lambda dataset, analysis: make_bench(load(dataset), analysis))
    data: dict[str, ImageData] = {}
    for config in wanted:
        if dataset_key(config) not in data:
            data[dataset_key(config)] = _outline(config.dataset, load)
    main, skipped = resolve_cells(wanted, data)
    baselines, _ = resolve_cells(references, data)
    for config in main:
        check_evaluation(config, data[dataset_key(config)])
    out = _claim(Path(out))
    console = Console(stderr=True, highlight=False)
    order = {key: position for position, key in enumerate(data)}
    every = sorted([*main, *baselines], key=lambda config: order[dataset_key(config)])
    for number, config in enumerate(every, start=1):
        console.print(f"[{number}/{len(every)}] {title(config)}", markup=False)
        if number > 1 and dataset_key(config) != dataset_key(every[number - 2]):
            bench.cache_clear()  # it holds the images of the one before
        _run_cell(config, run_path(out, config), load(config.dataset), bench, console)
    summary: dict[str, Any] = {
        "schema": 1,
        "chance": data[dataset_key(wanted[0])].chance,
        "runs": _rows(out, main, axes(settings)),
        "baselines": _rows(out, baselines, axes(settings)),
        "skipped": [cell.model_dump() for cell in skipped],
    }
    summary["order"] = order_of_runs([RunDirectory(run_path(out, config)) for config in main])
    summary["label_free"] = label_free(summary["runs"])
    write_json(out / "summary.json", summary)
    if any(RunDirectory(run_path(out, config)).finished for config in every):
        from ssl_bench.reporting import report

        report([out], out / "report.html")
    return summary


def run_path(out: Path, config: Config) -> Path:
    """Where a run of a comparison lies: a readable name, made unique by its identity."""
    words = [config.objective.name, config.noise or config.views.noise or "", config.backbone.name, config.dataset.name]
    words += [config.dataset.subspace or ""]
    readable = re.sub(r"[^a-z0-9.]+", "_", "_".join(word for word in words if word).lower()).strip("_.")[:80]
    return out / "runs" / f"{readable}_seed{config.seed}_{identity(config)}"


def _outline(config: DatasetConfig, load: Callable[[DatasetConfig], ImageData]) -> ImageData:
    """A dataset without its images. Its projection, if it has one, is checked and not made: that takes a while.

    Raises: UserError as :func:`load_dataset` does.
    """
    whole = load(config.model_copy(update={"subspace": None}))
    if config.subspace is not None:
        check_subspace(whole, config.subspace)
    train, test = (
        Split(split.images[:1].clone().expand(len(split), -1, -1, -1), split.labels)
        for split in (whole.train, whole.test)
    )
    return Outline(whole.name, train, test, whole.classes)


def _run_cell(config: Config, path: Path, data: ImageData, bench: MakeBench, console: Console) -> None:
    """Pretrain, evaluate and analyze one cell, as far as it is not done. A failure is recorded, not raised."""
    try:
        run = pretrain(config, path, data)
        _measure(run, config, data, bench)
        if run.record().get("error") is not None:
            run.update(error=None)
    except (TrainingFailed, UserError) as error:
        if not RunDirectory(path).record_file.exists():
            raise
        console.print(f"  failed: {error}", markup=False, soft_wrap=True)
        RunDirectory(path).update(error=str(error))


def _measure(run: RunDirectory, config: Config, data: ImageData, bench: MakeBench) -> None:
    """Evaluate and analyze a run, unless its files answer the same questions already."""
    question = evaluation_question(config.evaluation)
    if not is_measured(run, run.evaluation_file, question, config.evaluation.snapshot):
        evaluate(run.path, config.evaluation, data)
    if not is_measured(run, run.spectrum_file, analysis_question(config.analysis), config.analysis.snapshot):
        analyze(run.path, config.analysis, data, bench(config.dataset, config.analysis))


def _rows(out: Path, configs: list[Config], swept: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of summary.json, each with the values of the settings that span the matrix."""
    rows = summarise_runs([RunDirectory(run_path(out, config)) for config in configs])
    for row, config in zip(rows, configs, strict=True):
        flat = flatten(config.model_dump(mode="json"))
        row["settings"] = {key: flat.get(key) for key in swept}
    return rows


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
