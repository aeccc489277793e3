"""The verbs ``evaluate`` and ``analyze`` on a run directory: from snapshots to evaluation.json and spectrum.json."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress
from safetensors import SafetensorError
from safetensors.torch import load_file

from ssl_bench.config import AnalysisConfig, Config, EvaluationConfig
from ssl_bench.data.images import ImageData
from ssl_bench.data.load import load_dataset
from ssl_bench.errors import UserError
from ssl_bench.evaluation import knn, linear
from ssl_bench.evaluation.features import embed
from ssl_bench.evaluation.subject import Subject
from ssl_bench.files import read_json, save_tensors, write_json
from ssl_bench.objectives.base import Objective
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.spectrum.curves import Bench, examples, make_bench, measure_all, summarise
from ssl_bench.training.pretraining import build_objective

FEATURE_POINT = "embedding"


def evaluate(
    target: str | Path, settings: EvaluationConfig | None = None, data: ImageData | None = None
) -> dict[str, Any]:
    """Linear probe and k-NN of a run's snapshots, on clean images; writes evaluation.json.

    Args:
        target: A run directory.
        settings: How to probe, and which snapshots; by default as the run's configuration says.
        data: The run's dataset, if it is in memory already.

    Returns: The entry of the last snapshot asked for, with ``target``, ``dataset`` and ``protocol`` beside it.

    Raises: UserError if the target is no run, or lacks the snapshot, or its dataset has changed.
    """
    run, config, data = open_run(target, data)
    settings = settings or config.evaluation
    started = time.perf_counter()
    subjects = load_subjects(run, config, data, settings.snapshot)
    entries = [probe(subject, data, settings, run.cache) for subject in subjects]
    common = {
        "schema": 1,
        "dataset": data.name,
        "feature_point": FEATURE_POINT,
        "protocol": linear.PROTOCOL,
        "knn_protocol": knn.PROTOCOL,
        "chance": data.chance,
    }
    write_json(run.evaluation_file, {**common, "settings": settings.model_dump(mode="json"), "snapshots": entries})
    run.update(timings={"evaluate_seconds": round(time.perf_counter() - started, 3)})
    return {"target": str(target), **common, **entries[-1]}


def analyze(
    target: str | Path,
    settings: AnalysisConfig | None = None,
    data: ImageData | None = None,
    bench: Bench | None = None,
) -> dict[str, Any]:
    """Band curves of a run over its snapshots; writes spectrum.json and a few example images beside it.

    Args:
        target: A run directory.
        settings: How many bands and images, and which snapshots; by default as the run's configuration says.
        data: The run's dataset, if it is in memory already.
        bench: The images and bases, if they were made already with the same settings.

    Returns: The bands at the last snapshot with half-times over all, and the curves.

    Raises: UserError as :func:`evaluate` does.
    """
    run, config, data = open_run(target, data)
    settings = settings or config.analysis
    started = time.perf_counter()
    bench = bench or make_bench(data, settings)
    subjects = load_subjects(run, config, data, settings.snapshot)
    with Progress(
        console=Console(stderr=True), transient=True, disable=not Console(stderr=True).is_terminal
    ) as progress:
        task = progress.add_task(f"bands of {run.path.name}", total=len(subjects))
        rows = measure_all(bench, subjects, run.cache, lambda: progress.advance(task))
    summary = summarise(bench, rows)
    common = {"schema": 1, "dataset": data.name, "trained": subjects[-1].trained}
    written = {**common, "settings": settings.model_dump(mode="json"), **summary, "snapshots": rows}
    save_tensors(run.spectrum_file.with_suffix(".safetensors"), examples(bench, subjects[-1]))
    write_json(run.spectrum_file, written)
    run.update(timings={"analyze_seconds": round(time.perf_counter() - started, 3)})
    return {"target": str(target), **written}


def probe(subject: Subject, data: ImageData, settings: EvaluationConfig, cache: Path | None) -> dict[str, Any]:
    """Linear probe and k-NN of one subject: an entry of evaluation.json."""
    train, test = embed(subject, data, data.train, cache), embed(subject, data, data.test, cache)
    labels = data.train.labels, data.test.labels
    result = linear.linear_probe(train, labels[0], test, labels[1], data.classes, settings)
    return {
        "step": subject.step,
        "samples_seen": subject.samples_seen,
        "weights": subject.weights,
        "trained": subject.trained,
        "linear_top1": result.linear_top1,
        "linear_interval": list(result.linear_interval),
        "held_out_top1": result.held_out_top1,
        "selected_lr": result.selected_lr,
        "knn_top1": knn.knn_accuracy(train, labels[0], test, labels[1], data.classes, settings.knn_k),
        "train_samples": result.train_samples,
        "held_out_samples": result.held_out_samples,
        "test_samples": result.test_samples,
    }


def open_run(target: str | Path, data: ImageData | None) -> tuple[RunDirectory, Config, ImageData]:
    """A run directory with its configuration and its dataset.

    Raises: UserError if it is no run, or the dataset is not the one it was trained on.
    """
    run = RunDirectory(Path(target))
    if not run.record_file.exists():
        raise UserError(f"{target} is no run directory (it has no run.json): give the --out of ssl-bench pretrain")
    config = run.config()
    data = data if data is not None else load_dataset(config.dataset)
    known = run.record().get("dataset", {}).get("fingerprint")
    if known is not None and known != data.fingerprint:
        raise UserError(
            f"{target} was trained on other images than {data.name!r} holds now: give the dataset it had back"
        )
    return run, config, data


def load_subjects(run: RunDirectory, config: Config, data: ImageData, which: str | int) -> list[Subject]:
    """The snapshots asked for (``last``, ``all`` or a step), in order.

    Raises: UserError if there is none, or none of that step.
    """
    there = run.snapshots()
    if not there:
        raise UserError(f"{run.path} holds no snapshot: run ssl-bench pretrain first")
    steps = list(there) if which == "all" else [max(there)] if which == "last" else [int(which)]
    for step in steps:
        if step not in there:
            raise UserError(f"{run.path} holds no snapshot of step {step}; there are {', '.join(map(str, there))}")
    return [load_subject(run, config, data, there[step], step) for step in steps]


def load_subject(run: RunDirectory, config: Config, data: ImageData, file: Path, step: int) -> Subject:
    """One snapshot as something to measure. Every weight must be there and fit.

    Raises: UserError if the file is damaged or holds other weights.
    """
    objective = build_objective(config, data)
    try:
        objective.load_state_dict(load_file(file))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise UserError(f"snapshot {file} cannot be loaded: {str(error).splitlines()[0]}") from error
    objective.eval().requires_grad_(False)
    device = torch.device("cuda" if torch.cuda.is_available() and config.training.accelerator != "cpu" else "cpu")
    objective.to(device)
    return Subject(
        name=run.path.name,
        encode=lambda images: objective.backbone(images.to(device)).embedding,
        reconstruct=_reconstruct(objective, device, data),
        weights=hashlib.sha256(file.read_bytes()).hexdigest()[:16],
        step=step,
        samples_seen=step * config.training.batch_size,
        trained=step > 0,
    )


def _reconstruct(objective: Objective, device: torch.device, data: ImageData) -> Any:
    """The objective's reconstruction, or ``None`` if it makes none (asked with one image)."""
    with torch.no_grad():
        made = objective.reconstruct(data.standardised(data.test.images[:1]).to(device))
    return None if made is None else lambda images: objective.reconstruct(images.to(device))


def measured_with(file: Path, settings: EvaluationConfig | AnalysisConfig, last_step: int) -> dict[str, Any] | None:
    """What a file of measurements holds, if it was made with these settings and up to that snapshot; else ``None``."""
    if not file.exists():
        return None
    content = read_json(file)
    snapshots: Sequence[dict[str, Any]] = content.get("snapshots") or [{}]
    same = content.get("settings") == settings.model_dump(mode="json") and snapshots[-1].get("step") == last_step
    return content if same else None
