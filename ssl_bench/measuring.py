"""The verbs ``evaluate`` and ``analyze`` on a run directory: from snapshots to evaluation.json and spectrum.json."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
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
from ssl_bench.spectrum import ANALYZERS
from ssl_bench.spectrum.curves import PROTOCOL as SPECTRUM_PROTOCOL
from ssl_bench.spectrum.curves import Bench, examples, make_bench, measure, summarise
from ssl_bench.training.pretraining import build_objective, check_same_images

FEATURE_POINT = "embedding"


def evaluate(
    target: str | Path, settings: EvaluationConfig | None = None, data: ImageData | None = None
) -> dict[str, Any]:
    """Linear probe and k-NN of a run's snapshots, on clean images; entered in evaluation.json.

    Entries of other snapshots, made with the same settings and protocols, stay.

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
    entries = [
        probe(load_subject(run, config, data, step), data, settings, run.cache)
        for step in chosen_steps(run, settings.snapshot)
    ]
    common = {"schema": 1, "dataset": data.name, "feature_point": FEATURE_POINT, "chance": data.chance}
    question = evaluation_question(settings)
    merged = _merged(_stored(run.evaluation_file, question), entries)
    write_json(run.evaluation_file, {**common, **question, "snapshots": merged})
    run.update(timings={"evaluate_seconds": round(time.perf_counter() - started, 3)})
    return {"target": str(target), **common, **question, **entries[-1]}


def analyze(
    target: str | Path,
    settings: AnalysisConfig | None = None,
    data: ImageData | None = None,
    bench: Bench | None = None,
) -> dict[str, Any]:
    """Band curves of a run over its snapshots; entered in spectrum.json, with a few example images beside it.

    Curves of other snapshots, made with the same settings, stay; half-times are over all there are.

    Args:
        target: A run directory.
        settings: How many bands and images, and which snapshots; by default as the run's configuration says.
        data: The run's dataset, if it is in memory already.
        bench: The images and bases, if they were made already with the same settings.

    Returns: The bands at the last snapshot asked for, with half-times over all until then, and the curves.

    Raises: UserError as :func:`evaluate` does.
    """
    run, config, data = open_run(target, data)
    settings = settings or config.analysis
    started = time.perf_counter()
    bench = bench or make_bench(data, settings)
    rows = []
    quiet = not Console(stderr=True).is_terminal
    for step in track(chosen_steps(run, settings.snapshot), f"bands of {run.path.name}", transient=True, disable=quiet):
        subject = load_subject(run, config, data, step)
        rows.append(measure(bench, subject, run.cache))
    question = analysis_question(settings)
    merged = _merged(_stored(run.spectrum_file, question), rows)
    common = {"schema": 1, "dataset": data.name, **question}
    if merged[-1]["step"] == rows[-1]["step"]:
        save_tensors(run.spectrum_file.with_suffix(".safetensors"), examples(bench, subject))
    write_json(run.spectrum_file, {**common, **summarise(bench, merged), "snapshots": merged})
    run.update(timings={"analyze_seconds": round(time.perf_counter() - started, 3)})
    until = [row for row in merged if row["step"] <= rows[-1]["step"]]
    return {"target": str(target), **common, **summarise(bench, until), "snapshots": until}


def evaluation_question(settings: EvaluationConfig) -> dict[str, Any]:
    """What decides an entry of evaluation.json beside the snapshot."""
    how = settings.model_dump(mode="json", exclude={"snapshot"})
    return {"protocol": linear.PROTOCOL, "knn_protocol": knn.PROTOCOL, "settings": how}


def analysis_question(settings: AnalysisConfig) -> dict[str, Any]:
    """What decides a row of spectrum.json beside the snapshot."""
    how = settings.model_dump(mode="json", exclude={"snapshot"})
    return {"protocol": SPECTRUM_PROTOCOL, "analyzers": sorted(ANALYZERS), "settings": how}


def is_measured(run: RunDirectory, file: Path, question: dict[str, Any], which: str | int) -> bool:
    """Whether a file of measurements answers a question for the snapshots asked for."""
    return set(chosen_steps(run, which)) <= {row["step"] for row in _stored(file, question)}


def _stored(file: Path, question: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a file of measurements, if they answer the same question."""
    if not file.exists():
        return []
    try:
        content = read_json(file)
    except UserError:
        return []  # damaged: measured anew
    same = all(content.get(key) == value for key, value in question.items())
    return list(content["snapshots"]) if same else []


def _merged(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows by step, new ones in place of old ones."""
    by_step = {row["step"]: row for row in [*old, *new]}
    return [by_step[step] for step in sorted(by_step)]


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
    config = run.config()
    data = data if data is not None else load_dataset(config.dataset)
    check_same_images(run, data)
    return run, config, data


def chosen_steps(run: RunDirectory, which: str | int) -> list[int]:
    """The steps of the snapshots asked for (``last``, ``all`` or a step), ascending.

    Raises: UserError if there is none, or none of that step.
    """
    there = list(run.snapshots())
    if not there:
        raise UserError(f"{run.path} holds no snapshot: run ssl-bench pretrain first")
    if isinstance(which, int) and which not in there:
        raise UserError(f"{run.path} holds no snapshot of step {which}; there are {', '.join(map(str, there))}")
    return there if which == "all" else there[-1:] if which == "last" else [int(which)]


def load_subject(run: RunDirectory, config: Config, data: ImageData, step: int) -> Subject:
    """One snapshot as something to measure. Every weight must be there and fit.

    Raises: UserError if the file is damaged or holds other weights.
    """
    file = run.snapshot_file(step)
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
