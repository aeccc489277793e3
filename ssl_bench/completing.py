"""Doing one run to the end: pretrain, evaluate and analyze it as its config.yaml says."""

from __future__ import annotations

import contextlib
from pathlib import Path

from ssl_bench import processes
from ssl_bench.errors import UserError
from ssl_bench.evaluation.evaluator import evaluation_question
from ssl_bench.measuring import analysis_question, analyze, evaluate, is_measured
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.runs.lock import RunIsHeld
from ssl_bench.shelf import Shelf
from ssl_bench.training.failure import TrainingFailed
from ssl_bench.training.pretraining import pretrain


def complete(path: str | Path, shelf: Shelf | None = None) -> RunDirectory:
    """Do what is left of one run: finished parts are kept, and it goes on where it was interrupted.

    Args:
        path: The directory of a run that was planned or begun.
        shelf: Where its dataset and bench may be already.

    Raises:
        RunIsHeld: Another process does it.
        UserError: It is no run, or cannot be done. If it is one, run.json says why.
        TrainingFailed: The loss is no longer finite; run.json says so too.
    """
    processes.join()
    run, shelf = RunDirectory(Path(path)), shelf or Shelf()
    config = run.config()
    try:
        data = shelf.data(config.dataset)
        pretrain(config, run.path, data)
        if not processes.by_first(lambda: _evaluated(run)):
            evaluate(run.path, config.evaluation, data)
        if not processes.by_first(lambda: _analyzed(run)):
            analyze(run.path, config.analysis, data, shelf.bench(config.dataset, config.analysis))
    except RunIsHeld:
        raise
    except (TrainingFailed, UserError) as error:
        _note(run, str(error))
        raise
    _note(run, None)
    return run


@processes.first_only
def _note(run: RunDirectory, error: str | None) -> None:
    """Say in run.json what went wrong, unless somebody else writes it by now."""
    if run.record().get("error") != error:
        with contextlib.suppress(RunIsHeld), run.held():
            run.update(error=error)


def is_complete(run: RunDirectory) -> bool:
    """Whether nothing is left to do of a run."""
    try:
        done = run.finished and run.record().get("error") is None
        return done and run.damage() is None and _evaluated(run) and _analyzed(run)
    except UserError:  # a broken file: whoever completes the run says which
        return False


def _evaluated(run: RunDirectory) -> bool:
    """Whether its evaluation answers what is asked now."""
    settings = run.config().evaluation
    return is_measured(run, run.evaluation_file, evaluation_question(settings), settings.snapshot)


def _analyzed(run: RunDirectory) -> bool:
    """Whether its analysis answers what is asked now."""
    settings = run.config().analysis
    return is_measured(run, run.spectrum_file, analysis_question(settings), settings.snapshot)
