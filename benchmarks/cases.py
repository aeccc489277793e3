"""What is trained in a case of the benchmark, and the work every contestant of it does: steps, for about a second."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from ssl_bench.config import Config, validate

Step = Callable[[], Tensor]

# So many that no turn comes near the end of the schedule.
EPOCHS = 10_000


@dataclass(frozen=True)
class Case:
    """One objective on one backbone.

    Attributes:
        objective, backbone: By their names in ssl_bench.
        image_size: Side of the images in pixels.
        images: How many there are, made from a seed.
        batch: Images a step.
        device: ``cpu`` or ``cuda``.
        workers: Numbers of loader processes among which a contestant with a loader takes what is fastest here.
        turn: Seconds that a turn is to take.
    """

    objective: str
    backbone: str
    image_size: int = 32
    images: int = 10_000
    batch: int = 256
    device: str = "cpu"
    workers: tuple[int, ...] = (0, 1, 2)
    turn: float = 1.5

    @property
    def patch_size(self) -> int | None:
        """Side of a patch of a transformer: 64 of them an image; None for a convolutional network."""
        return self.image_size // 8 if self.backbone.startswith("vit") else None


def config_of(case: Case, training: Mapping[str, Any] | None = None) -> Config:
    """The settings of a run: the defaults, but for the batch and what ``training`` sets."""
    backbone = {"name": case.backbone, "patch_size": case.patch_size}
    settings = {
        "batch_size": case.batch,
        "epochs": EPOCHS,
        "accelerator": "gpu" if case.device == "cuda" else "cpu",
        **(training or {}),
    }
    return validate(Config, {"objective": {"name": case.objective}, "backbone": backbone, "training": settings})


class Steps:
    """A step done over and over: once the first time, then as often as fills a turn.

    Args:
        step: Does one step; returns a scalar on the device, which is added up, as every training loop does, and never
            waited for.
        items: Images (or views) a step.
        turn: Seconds.
    """

    def __init__(self, step: Step, items: int, turn: float) -> None:
        self.step, self.items, self.turn = step, items, turn
        self.count = 1
        self.total = torch.zeros(())

    def __call__(self) -> int:
        """A turn; the number of items."""
        for _ in range(self.count):
            self.total = self.total + self.step()
        return self.count * self.items

    def tune(self) -> None:
        """Settle how many steps make a turn."""
        self.count = max(1, round(self.turn / self.seconds_a_step()))

    def seconds_a_step(self, share: float = 0.1) -> float:
        """Measured over a share of a turn, or one step if that takes longer."""
        _wait()
        started, done = time.perf_counter(), 0
        while not done or time.perf_counter() - started < share * self.turn:
            self.step()
            done += 1
            _wait()
        return (time.perf_counter() - started) / done

    def about(self) -> dict[str, Any]:
        """How many steps a turn has."""
        return {"steps_a_turn": self.count}


class TrainingSteps(Steps):
    """Steps that train, whose arithmetic is counted."""

    def about(self) -> dict[str, Any]:
        """And ``gflop_per_image``: multiplications and additions of matrix products and convolutions, both ways."""
        return {**super().about(), "gflop_per_image": count_flops(self.step) / self.items / 1e9}


def count_flops(work: Callable[[], object]) -> int:
    """Multiplications and additions of the matrix products and convolutions of some work, both ways."""
    onednn = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    known = {} if onednn is None else {onednn: _linear_flops}
    # What is compiled is hidden from the counter; it computes what the eager step does.
    with torch.compiler.set_stance("force_eager"), FlopCounterMode(display=False, custom_mapping=known) as counter:
        work()
    return int(counter.get_total_flops())


def _linear_flops(rows: torch.Size, weight: torch.Size, *others: object, **more: object) -> int:
    """Of oneDNN's linear layer, which the counter does not know. Shapes: ``(..., D)``, ``(E, D)``."""
    return 2 * math.prod(rows) * weight[0]


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
