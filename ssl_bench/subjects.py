"""What can be measured: a run's snapshots as subjects."""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn

from ssl_bench.backbones.base import Backbone
from ssl_bench.config import Config
from ssl_bench.data.images import ImageData
from ssl_bench.data.load import load_dataset
from ssl_bench.errors import UserError
from ssl_bench.evaluation.subject import Corrupt, Subject
from ssl_bench.files import read_tensors, seal_of_tensors
from ssl_bench.memory import keep_freed_memory
from ssl_bench.noise import make_noise
from ssl_bench.objectives.base import Objective
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.training.pretraining import build_objective, check_same_images

# A schedule goes evenly from one noise to another: half-way, images get either as often as over all of training.
HALF_WAY = 0.5


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
    weights = read_tensors(file)
    try:
        objective.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(f"snapshot {file} cannot be loaded: {str(error).splitlines()[0]}") from error
    objective.eval().requires_grad_(False)
    device = torch.device("cuda" if torch.cuda.is_available() and config.training.accelerator != "cpu" else "cpu")
    objective.to(device)
    if device.type == "cpu":
        keep_freed_memory()
    return Subject(
        name=run.path.name,
        read=lambda images, point: objective.backbone.read(images.to(device), point),
        device=device,
        weights=weights_name(file),
        step=step,
        samples_seen=step * config.training.batch_size,
        trained=step > 0,
        reconstruct=_if_any(objective, objective.reconstruct, data, device),
        classify=_if_any(objective, objective.classify, data, device),
        corrupt=_corruption(objective, config, data),
        trainable=lambda: _Embedding(copy.deepcopy(objective.backbone)),
    )


def _corruption(objective: Objective, config: Config, data: ImageData) -> Corrupt | None:
    """The noise of the views, then that of the objective; a scheduled noise as it is on average over training."""
    views = make_noise(config.views.noise).prepare(data).at(HALF_WAY) if config.views.noise else None
    itself = data.standardised(data.test.images[:1])
    if views is None and objective.corrupt(itself, HALF_WAY, Generator().manual_seed(0)) is itself:
        return None

    def corrupt(images: Tensor, generator: Generator) -> Tensor:
        noisy = images if views is None else views.sample(images, generator)
        return objective.corrupt(noisy, HALF_WAY, generator)

    return corrupt


def weights_name(file: Path) -> str:
    """Tells the weights of one snapshot from those of another."""
    return (seal_of_tensors(file) or hashlib.sha256(file.read_bytes()).hexdigest())[:16]


class _Embedding(nn.Module):
    """A backbone's embedding as a module of its own, to be trained further."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone.requires_grad_(True)

    def forward(self, images: Tensor) -> Tensor:
        """Shapes: ``(B, C, H, W)`` -> ``(B, D)``."""
        embedding: Tensor = self.backbone(images).embedding
        return embedding


def _if_any(objective: Objective, function: Any, data: ImageData, device: torch.device) -> Any:
    """What an objective makes of images, or ``None`` if it makes none (asked with one image)."""
    with torch.no_grad():
        made = function(data.standardised(data.test.images[:1]).to(device))
    return None if made is None else lambda images: function(images.to(device))
