"""The main job: a matrix of runs, each pretrained, evaluated and analyzed; a summary and a report of all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from ssl_bench.across_runs import label_free, order_of_runs
from ssl_bench.config import Config, Options, flatten, identity, validate
from ssl_bench.data.images import ImageData
from ssl_bench.data.load import load_dataset
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
    data: dict[str, ImageData] = {}
    for config in wanted:
        if dataset_key(config) not in data:
            data[dataset_key(config)] = load_dataset(config.dataset)
    main, skipped = resolve_cells(wanted, data)
    baselines, _ = resolve_cells(references, data)
    for config in main:
        check_evaluation(config, data[dataset_key(config)])
    out = _claim(Path(out))
    benches: dict[str, Bench] = {}
    console = Console(stderr=True, highlight=False)
    every = [*main, *baselines]
    for number, config in enumerate(every, start=1):
        console.print(f"[{number}/{len(every)}] {title(config)}", markup=False)
        _run_cell(config, run_path(out, config), data[dataset_key(config)], benches, console)
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


def _run_cell(config: Config, path: Path, data: ImageData, benches: dict[str, Bench], console: Console) -> None:
    """Pretrain, evaluate and analyze one cell, as far as it is not done. A failure is recorded, not raised."""
    try:
        run = pretrain(config, path, data)
        _measure(run, config, data, benches)
        if run.record().get("error") is not None:
            run.update(error=None)
    except (TrainingFailed, UserError) as error:
        if not RunDirectory(path).record_file.exists():
            raise
        console.print(f"  failed: {error}", markup=False, soft_wrap=True)
        RunDirectory(path).update(error=str(error))


def _measure(run: RunDirectory, config: Config, data: ImageData, benches: dict[str, Bench]) -> None:
    """Evaluate and analyze a run, unless its files answer the same questions already."""
    question = evaluation_question(config.evaluation)
    if not is_measured(run, run.evaluation_file, question, config.evaluation.snapshot):
        evaluate(run.path, config.evaluation, data)
    if not is_measured(run, run.spectrum_file, analysis_question(config.analysis), config.analysis.snapshot):
        key = f"{data.fingerprint} {config.analysis.model_dump_json(exclude={'snapshot'})}"
        if key not in benches:
            # A bench is as large as its images four times over: of many datasets only the last two are kept.
            for old in list(benches)[: len(benches) - 1]:
                del benches[old]
            benches[key] = make_bench(data, config.analysis)
        analyze(run.path, config.analysis, data, benches[key])


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
