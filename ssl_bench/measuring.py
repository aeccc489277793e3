"""The verbs ``evaluate`` and ``analyze``: of a run's snapshots, or of an encoder from elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from ssl_bench import processes, terminal
from ssl_bench.clock import Clock
from ssl_bench.config import AnalysisConfig, Config, DatasetConfig, EncoderConfig, EvaluationConfig
from ssl_bench.data.images import ImageData
from ssl_bench.data.load import load_dataset
from ssl_bench.encoders import is_encoder, open_encoder
from ssl_bench.errors import UserError, warn
from ssl_bench.evaluation.evaluator import evaluation_question, probe
from ssl_bench.evaluation.precision import full_precision
from ssl_bench.evaluation.subject import Subject
from ssl_bench.files import cache_folder, load_tensors, read_json, read_tensors, save_tensors, write_json
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.spectrum import ANALYZERS
from ssl_bench.spectrum.bench import Bench, make_bench
from ssl_bench.spectrum.curves import PROTOCOL as SPECTRUM_PROTOCOL
from ssl_bench.spectrum.curves import examples, measure
from ssl_bench.spectrum.summary import summarise
from ssl_bench.subjects import chosen_steps, load_subject, open_run, weights_name


@full_precision()
def evaluate(
    target: str | Path,
    settings: EvaluationConfig | None = None,
    data: ImageData | None = None,
    encoder: EncoderConfig | None = None,
    dataset: DatasetConfig | None = None,
) -> dict[str, Any]:
    """Probes of a run's snapshots, or of an encoder from elsewhere, on clean images.

    Those of a run are entered in evaluation.json, each as soon as it is there; entries made already, with the same
    settings and protocols, are kept, with further probes if they have any. Those made with other settings are kept
    aside, in evaluation.previous.json.

    Args:
        target: A run directory, or ``timm:NAME``, ``torchvision:NAME``, ``module:callable``.
        settings: How to probe, and which snapshots; by default as the run's configuration says.
        data: The dataset, if it is in memory already.
        encoder: Weights and preprocessing of an encoder from elsewhere.
        dataset: The dataset of an encoder from elsewhere, where ``data`` is not given.

    Returns: The entry of the last snapshot asked for, with ``target``, ``dataset`` and ``protocol`` beside it.

    Raises: UserError if the target is no run and no encoder, lacks the snapshot, or its dataset has changed.
    """
    processes.join()
    if is_encoder(str(target)):
        settings = settings or EvaluationConfig()
        subject, data = _elsewhere(str(target), encoder, dataset, data)
        with Console(stderr=True).status(f"probes of {target}"):
            entry = probe(subject, data, settings, cache_folder() / "features")
        return {"target": str(target), **_evaluated(data, settings), **entry, "encoder": subject.details}
    run, config, data = open_run(target, data)
    given = settings or config.evaluation
    settings = processes.by_first(lambda: _with_probes_there(run, given))
    question, steps = evaluation_question(settings), chosen_steps(run, settings.snapshot)
    if not processes.by_first(lambda: is_measured(run, run.evaluation_file, question, given.snapshot)):
        with run.held():
            _probe_left(run, config, data, settings)
    rows = processes.by_first(lambda: _stored(run, run.evaluation_file, question))
    asked = next(row for row in rows if row["step"] == steps[-1])
    return {"target": str(target), **_evaluated(data, settings), **asked}


def _probe_left(run: RunDirectory, config: Config, data: ImageData, settings: EvaluationConfig) -> None:
    """Enter in evaluation.json what it does not hold of what is asked for."""
    entries = processes.by_first(lambda: _stored(run, run.evaluation_file, evaluation_question(settings)))
    for step in _left(chosen_steps(run, settings.snapshot), entries, f"probes of {run.path.name}"):
        entry = probe(load_subject(run, config, data, step), data, settings, run.cache)
        _keep_other(run, run.evaluation_file, entries)
        entries = _merged(entries, entry)
        processes.first_only(write_json)(
            run.evaluation_file, {**_evaluated(data, settings), "snapshots": entries}, sealed=True
        )
        run.update(timings=_timings("evaluate", entries))


@full_precision()
def analyze(
    target: str | Path,
    settings: AnalysisConfig | None = None,
    data: ImageData | None = None,
    bench: Bench | None = None,
    encoder: EncoderConfig | None = None,
    dataset: DatasetConfig | None = None,
) -> dict[str, Any]:
    """Spectra of a run over its snapshots, or of an encoder from elsewhere: which bands it holds, and when it got them.

    Those of a run are entered in spectrum.json, each snapshot as soon as it is there, its heat map and example
    images beside it; what is there already, made with the same settings, is kept. Half-times are over all
    snapshots there are.

    Args:
        target: As for :func:`evaluate`.
        settings: How many bands and images, and which snapshots; by default as the run's configuration says.
        data: The dataset, if it is in memory already.
        bench: The images and bases, if they were made already with the same settings.
        encoder: Weights and preprocessing of an encoder from elsewhere.
        dataset: The dataset of an encoder from elsewhere, where ``data`` is not given.

    Returns: The bands at the last snapshot asked for, with half-times over all until then, and the curves.

    Raises: UserError as :func:`evaluate` does.
    """
    processes.join()
    if is_encoder(str(target)):
        settings = settings or AnalysisConfig()
        subject, data = _elsewhere(str(target), encoder, dataset, data)
        with Console(stderr=True).status(f"spectra of {target}"):
            bench = bench or make_bench(data, settings)
            measured = measure(bench, subject, cache_folder() / "features", last=True)
        answer = {**_analyzed(data, settings), **summarise(bench, [measured.row]), "snapshots": [measured.row]}
        heat = {name: values.tolist() for name, values in vars(measured.heat).items()}
        return {"target": str(target), **answer, "heat_map": heat, "encoder": subject.details}
    run, config, data = open_run(target, data)
    wanted = settings or config.analysis
    question, steps = analysis_question(wanted), chosen_steps(run, wanted.snapshot)
    clock = Clock()
    with clock.part("bases"):
        bench = bench or make_bench(data, wanted)
    if not processes.by_first(lambda: is_measured(run, run.spectrum_file, question, wanted.snapshot)):
        with run.held():
            _analyze_left(run, config, data, wanted, bench, clock)
    rows = processes.by_first(lambda: _stored(run, run.spectrum_file, question))
    until = [row for row in rows if row["step"] <= steps[-1]]
    return {"target": str(target), **_analyzed(data, wanted), **summarise(bench, until), "snapshots": until}


def _analyze_left(
    run: RunDirectory, config: Config, data: ImageData, settings: AnalysisConfig, bench: Bench, clock: Clock
) -> None:
    """Enter in spectrum.json what it does not hold of what is asked for."""
    rows = processes.by_first(lambda: _stored(run, run.spectrum_file, analysis_question(settings)))
    arrays = load_tensors(run.arrays_file) if rows else {}
    for step in _left(chosen_steps(run, settings.snapshot), rows, f"spectra of {run.path.name}"):
        with clock.part("loading"):
            subject = load_subject(run, config, data, step)
        last = step == processes.agreed(list(run.snapshots()))[-1]
        measured = measure(bench, subject, run.cache, last=last)
        arrays |= {f"heat_{name}/{step}": values for name, values in vars(measured.heat).items()}
        with clock.part("examples"):
            arrays |= examples(bench, subject, last=last)
        _keep_other(run, run.spectrum_file, rows)
        # Before the row: what has a row has all that stands beside it.
        processes.first_only(save_tensors)(run.arrays_file, arrays)
        measured.row["seconds"] |= clock.taken()
        rows = _merged(rows, measured.row)
        found = {**_analyzed(data, settings), **summarise(bench, rows), "snapshots": rows}
        processes.first_only(write_json)(run.spectrum_file, found, sealed=True)
        run.update(timings=_timings("analyze", rows))


def analysis_question(settings: AnalysisConfig) -> dict[str, Any]:
    """What decides a row of spectrum.json beside the snapshot."""
    how = settings.model_dump(mode="json", exclude={"snapshot"})
    return {"protocol": SPECTRUM_PROTOCOL, "analyzers": sorted(ANALYZERS), "settings": how}


def is_measured(run: RunDirectory, file: Path, question: dict[str, Any], which: str | int) -> bool:
    """Whether a file of measurements answers a question for the snapshots asked for."""
    return set(chosen_steps(run, which)) <= {row["step"] for row in _stored(run, file, question)}


def _elsewhere(
    target: str, encoder: EncoderConfig | None, dataset: DatasetConfig | None, data: ImageData | None
) -> tuple[Subject, ImageData]:
    data = data if data is not None else load_dataset(dataset or DatasetConfig())
    return open_encoder(target, encoder or EncoderConfig(), data), data


def _evaluated(data: ImageData, settings: EvaluationConfig) -> dict[str, Any]:
    return {"schema": 1, "dataset": data.name, "chance": data.chance, **evaluation_question(settings)}


def _analyzed(data: ImageData, settings: AnalysisConfig) -> dict[str, Any]:
    return {"schema": 1, "dataset": data.name, "chance": data.chance, **analysis_question(settings)}


def _left(steps: Sequence[int], rows: Sequence[dict[str, Any]], title: str) -> Iterator[int]:
    """The steps that have no row yet, behind a progress bar on a terminal."""
    there = {row["step"] for row in rows}
    left = [step for step in steps if step not in there]
    quiet = not (terminal.shows_bars() and processes.is_first())
    yield from track(left, title, transient=True, disable=quiet, console=terminal.console())


def _stored(run: RunDirectory, file: Path, question: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a file of measurements, if they answer the same question, of the snapshots as they are now."""
    if not file.exists() or _damage(run, file) is not None:
        return []
    content = read_json(file)
    if any(content.get(key) != value for key, value in question.items()):
        return []
    weights = {step: weights_name(snapshot) for step, snapshot in run.snapshots().items()}
    return [row for row in content["snapshots"] if row.get("weights") in (None, weights.get(row["step"]))]


def _with_probes_there(run: RunDirectory, settings: EvaluationConfig) -> EvaluationConfig:
    """The settings with the further probes that were made already, so that asking for less takes nothing away."""
    try:
        there = read_json(run.evaluation_file)["settings"]
        wider = settings.model_copy(update={"probes": tuple(dict.fromkeys([*there["probes"], *settings.probes]))})
    except (UserError, KeyError, TypeError):
        return settings  # there is none, or it is damaged or of an earlier version
    return wider if _stored(run, run.evaluation_file, evaluation_question(wider)) else settings


def _damage(run: RunDirectory, file: Path) -> str | None:
    """What is wrong with a file of measurements, or with the arrays beside it, in words."""
    try:
        read_json(file)
        if file == run.spectrum_file:
            read_tensors(run.arrays_file)
    except UserError as error:
        return str(error)
    return None


@processes.first_only
def _keep_other(run: RunDirectory, file: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Move measurements that answer another question aside, now that the first new one is there to take their place."""
    if not file.exists() or rows:
        return
    if (damage := _damage(run, file)) is not None:
        warn(f"{damage}; {run.path.name} is measured anew")
        return
    other = file.with_suffix(".previous.json")
    os.replace(file, other)
    terminal.console().print(f"{file} was made with other settings: kept as {other.name}", soft_wrap=True)


def _merged(rows: list[dict[str, Any]], row: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows by step, with one more."""
    by_step = {one["step"]: one for one in [*rows, row]}
    return [by_step[step] for step in sorted(by_step)]


def _timings(verb: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What run.json says of the cost: seconds in all, and by part, over all snapshots measured."""
    parts: dict[str, float] = {}
    for row in rows:
        for name, seconds in row["seconds"].items():
            parts[name] = round(parts.get(name, 0.0) + seconds, 3)
    return {f"{verb}_seconds": round(sum(parts.values()), 3), f"{verb}_parts": parts}
