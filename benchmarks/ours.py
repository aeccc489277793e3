"""ssl_bench as a contestant: the training step as the loop does it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric
from torch import Tensor

from benchmarks.cases import Case, TrainingSteps, config_of
from benchmarks.contest import Work
from benchmarks.made import made_images
from ssl_bench.config import Config
from ssl_bench.data.images import ImageData
from ssl_bench.memory import keep_freed_memory
from ssl_bench.resolve import resolve
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.training.loop import Trainer
from ssl_bench.training.pretraining import build_objective
from ssl_bench.training.speed import fast_arithmetic

__all__ = ["OurSteps", "config_of", "step", "trainer_of"]


def trainer_of(config: Config, data: ImageData, folder: Path) -> Trainer:
    """What ``pretrain`` trains with, on images in memory, in a run directory of its own."""
    config = resolve(config, data)
    run = RunDirectory(folder)
    run.claim(config)
    fabric = Fabric(accelerator=config.training.accelerator, devices=1, precision=config.training.precision)
    objective = build_objective(config, data)
    objective.prepare(data)
    trainer = Trainer(config, data, objective, run, fabric)
    trainer.module.train()
    return trainer


def step(case: Case, training: Mapping[str, Any] | None = None, keep_memory: bool = True) -> Work:
    """Training steps, data included, from uint8 images in memory.

    Args:
        case: What is trained.
        training: Settings of the section ``training``.
        keep_memory: Have the allocator keep freed memory, as ``pretrain`` does on a CPU.
    """
    if keep_memory and case.device == "cpu":
        keep_freed_memory()
    return OurSteps(case, config_of(case, training), made_images(case.images, size=case.image_size))


class OurSteps(TrainingSteps):
    """The trainer's own steps, one after another."""

    def __init__(self, case: Case, config: Config, data: ImageData) -> None:
        self.kept = contextlib.ExitStack()
        folder = self.kept.enter_context(tempfile.TemporaryDirectory())
        # What is compiled is compiled anew in every process, so that its cost is known.
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = f"{folder}/compiled"
        self.trainer = trainer_of(config, data, Path(folder) / "run")
        self.kept.enter_context(fast_arithmetic(self.trainer.fabric.device))
        # From here on all steps do the same; what is compiled is compiled in the first of them.
        self.number = self.trainer.statistics.settled
        super().__init__(self.next, case.batch, case.turn)

    def next(self) -> Tensor:
        """The next step of the run; its loss, on the device."""
        loss = self.trainer.step(self.number)["loss"]
        self.number += 1
        return loss
