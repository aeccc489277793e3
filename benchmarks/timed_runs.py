"""Whole runs from their command on: how good the weights were, and when. SimCLR on CIFAR-10, ours and lightly's."""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from benchmarks.rivals.lightly_run import BACKBONE
from ssl_bench.backbones import make_backbone
from ssl_bench.backbones.feature_point import FeaturePoint
from ssl_bench.config import EvaluationConfig
from ssl_bench.data.images import ImageData
from ssl_bench.evaluation.features import features
from ssl_bench.evaluation.probe import Task
from ssl_bench.evaluation.ridge import ridge
from ssl_bench.evaluation.subject import Subject
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.subjects import load_subject

# So many, log-spaced, that one lies near the end of each epoch.
SNAPSHOTS = 40
# Under which lightly trains.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Job:
    """What is trained: so many epochs of a batch size, with a number of threads."""

    epochs: int
    batch: int
    threads: int


@dataclass(frozen=True)
class Point:
    """How good a run's weights were, and when: seconds after its command was given."""

    seconds: float
    accuracy: float


def seconds_to(bar: float, curve: Sequence[Point]) -> float:
    """When an accuracy was first reached, interpolated between the points; infinity if it never was.

    Of the time before the first point nothing is known: there, the point's own time is taken.
    """
    for before, after in itertools.pairwise([None, *curve]):
        assert after is not None
        if after.accuracy >= bar:
            if before is None:
                return after.seconds
            share = (bar - before.accuracy) / (after.accuracy - before.accuracy)
            return before.seconds + share * (after.seconds - before.seconds)
    return math.inf


def our_run(job: Job, data: ImageData, seed: int) -> list[Point]:
    """``ssl-bench pretrain``; of its snapshots those nearest to the end of each epoch are probed."""
    settings = {
        "objective": "simclr",
        "backbone": BACKBONE.name,
        "dataset": "cifar10",
        "dataset.limit": len(data.train),
        "training.epochs": job.epochs,
        "training.batch_size": job.batch,
        "training.snapshots": SNAPSHOTS,
        "seed": seed,
    }
    with tempfile.TemporaryDirectory() as folder:
        run = RunDirectory(Path(folder) / "run")
        given = [f"{key}={value}" for key, value in settings.items()]
        started = _command(job, "ssl_bench", "pretrain", *given, "--out", str(run.path))
        files, per_epoch = run.snapshots(), len(data.train) // job.batch
        ends = [epoch * per_epoch for epoch in range(1, job.epochs + 1)]
        steps = sorted({min((abs(step - end), step) for step in files)[1] for end in ends})
        config = run.config()
        return [_point(files[step], started, load_subject(run, config, data, step), data) for step in steps]


def lightly_run(job: Job, data: ImageData, seed: int, workers: int) -> list[Point]:
    """The recipe of lightly; the weights of each epoch are probed under the normalisation they were trained under."""
    given = {"seed": seed, "epochs": job.epochs, "batch": job.batch, "limit": len(data.train), "workers": workers}
    with tempfile.TemporaryDirectory() as folder:
        options = [part for key, value in given.items() for part in (f"--{key}", str(value))]
        started = _command(job, "benchmarks.rivals.lightly_run", folder, *options)
        files = sorted(Path(folder).glob("*.safetensors"))
        return [_point(file, started, _subject(file, data), data) for file in files]


def _command(job: Job, *command: str) -> float:
    """Run a module of Python to its end in a process of its own; when it was started.

    Raises: RuntimeError if it fails, with the last line it said.
    """
    root = str(Path(__file__).resolve().parents[1])
    paths = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": str(job.threads)}
    started = time.time()
    done = subprocess.run([sys.executable, "-m", *command], env=environment, capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["nothing"]
        raise RuntimeError(f"{' '.join(command[:2])} failed: {said[-1]}")
    return started


def _subject(file: Path, data: ImageData) -> Subject:
    backbone = make_backbone(BACKBONE, data.image_size, data.channels)
    backbone.load_state_dict(load_file(file))
    backbone.eval().requires_grad_(False)
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (MEAN, STD))

    def read(images: Tensor, point: FeaturePoint) -> Tensor:
        return backbone.read((data.statistics.restore(images) - mean) / std, point)

    return Subject(file.stem, read, weights=file.stem)


def _point(file: Path, started: float, subject: Subject, data: ImageData) -> Point:
    """When a file of weights was written, and what a ridge probe makes of them."""
    train, test = features(subject, data, "train", None), features(subject, data, "test", None)
    predicted = ridge(Task(train, data.train.labels, test, data.classes, EvaluationConfig())).predicted
    return Point(file.stat().st_mtime - started, float((predicted == data.test.labels).double().mean()))
