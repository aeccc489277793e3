"""Contestants that make features of images by a frozen, untrained backbone."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import transforms

from benchmarks.cases import Case
from benchmarks.made import made_images
from benchmarks.ours import config_of
from benchmarks.rivals.loading import PilImages
from ssl_bench.config import EvaluationConfig
from ssl_bench.data.images import ImageData, Split
from ssl_bench.evaluation.evaluator import make_task
from ssl_bench.evaluation.subject import Subject
from ssl_bench.resolve import resolve
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.subjects import load_subject
from ssl_bench.training.loop import save_snapshot
from ssl_bench.training.pretraining import build_objective

BATCH = 256
# Images by which the number of workers is chosen.
TRIAL = 1000


class Ours:
    """ssl_bench: uint8 images in memory to features in memory, of both splits; an item is an image."""

    def __init__(self, backbone: str, train: int, test: int, size: int = 32, device: str = "cpu") -> None:
        self.data = made_images(train, test, size)
        self.folder = tempfile.TemporaryDirectory()
        self.device = device
        case = Case("simclr", backbone, image_size=size, batch=2, device=device)
        self.subject = untrained(case, self.data, Path(self.folder.name))

    def __call__(self) -> int:
        """All features, once."""
        task = make_task(self.subject, self.data, EvaluationConfig(), None)
        return len(task.train) + len(task.test)


class Loader(Ours):
    """The same backbone fed by a DataLoader of PIL images, with as many workers as is fastest here."""

    workers = 0

    def __call__(self) -> int:
        """All features, once."""
        return sum(len(self._features(split)) for split in (self.data.train, self.data.test))

    def tune(self) -> None:
        """Choose the number of workers."""
        seconds = {workers: self._trial(workers) for workers in (0, 2)}
        self.workers = min(seconds, key=seconds.__getitem__)

    def about(self) -> dict[str, Any]:
        """What was chosen."""
        return {"workers": self.workers}

    @torch.no_grad()
    def _features(self, split: Split) -> Tensor:
        deviation = [self.data.statistics.std] * self.data.channels
        normalise = transforms.Normalize(self.data.statistics.mean, deviation)
        images = PilImages(split, transforms.Compose([transforms.ToTensor(), normalise]))
        loader: DataLoader[Any] = DataLoader(images, BATCH, num_workers=self.workers)
        return torch.cat([self.subject.encode(batch.to(self.device)).cpu() for batch, _ in loader])

    def _trial(self, workers: int) -> float:
        self.workers = workers
        few = Split(self.data.train.images[:TRIAL], self.data.train.labels[:TRIAL])
        started = time.perf_counter()
        self._features(few)
        return time.perf_counter() - started


def untrained(case: Case, data: ImageData, folder: Path) -> Subject:
    """The first snapshot of a run, which is left in ``folder``."""
    config = resolve(config_of(case), data)
    run = RunDirectory(folder)
    run.claim(config)
    save_snapshot(run, 0, build_objective(config, data))
    return load_subject(run, config, data, 0)
