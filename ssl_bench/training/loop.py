"""The training loop, on Lightning Fabric."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Generator, Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from ssl_bench.config import Config
from ssl_bench.data.images import ImageData
from ssl_bench.data.views import make_views, resolve_recipe
from ssl_bench.files import save_tensors
from ssl_bench.noise import make_noise
from ssl_bench.objectives.base import Batch, Objective
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.seeds import derive_seed, make_generator
from ssl_bench.training.batches import BatchOrder
from ssl_bench.training.checkpoint import State, load_checkpoint, save_checkpoint
from ssl_bench.training.observers import TrainingProgress, WandbMirror
from ssl_bench.training.optimizers import make_optimizer
from ssl_bench.training.schedule import learning_rate_factor, snapshot_steps


class TrainingFailed(RuntimeError):
    """The run cannot go on; the message says why, in one line."""


class ViewMaker:
    """The views a configuration asks for, made on the device."""

    def __init__(self, config: Config, objective: Objective, data: ImageData, device: torch.device) -> None:
        self.count = objective.views.count
        self.recipe = resolve_recipe(config.views, objective.views.recipe, data.image_size)
        self.noise = make_noise(config.views.noise).prepare(data) if config.views.noise else None
        self.statistics = data.statistics
        self.images = data.train.images.to(device)
        self.labels = data.train.labels.to(device)

    def batch(self, index: Tensor, progress: float, generator: Generator) -> Batch:
        """The batch of the chosen images, at a point of training from 0 to 1. Shapes: index ``(B,)``."""
        index = index.to(self.images.device)
        noise = self.noise.at(progress) if self.noise is not None else None
        views = make_views(self.images[index], self.count, self.recipe, self.statistics, noise, generator)
        return Batch(views, self.labels[index], progress)


@dataclass
class Meter:
    """Metrics of the steps since the last report, kept on the device until then."""

    values: dict[str, list[Tensor]] = field(default_factory=dict)
    images: int = 0
    since: float = field(default_factory=time.perf_counter)

    def add(self, metrics: dict[str, Tensor], images: int) -> None:
        """Remember one step."""
        for name, value in metrics.items():
            self.values.setdefault(name, []).append(value)
        self.images += images

    def take(self) -> dict[str, float]:
        """Means since the last call, and images per second; the one place that waits for the device."""
        means = {name: float(torch.stack(values).float().mean()) for name, values in self.values.items()}
        now = time.perf_counter()
        means["images_per_second"] = self.images / max(now - self.since, 1e-9)
        self.values, self.images, self.since = {}, 0, now
        return means


class Trainer:
    """One run of one objective, from its checkpoint (or the start) to the end."""

    def __init__(
        self, config: Config, data: ImageData, objective: Objective, run: RunDirectory, fabric: Fabric
    ) -> None:
        self.config, self.run, self.fabric = config, run, fabric
        self.order = BatchOrder(len(data.train), config.training.batch_size, config.seed)
        self.total = config.training.epochs * self.order.steps_per_epoch
        self.snapshot_steps = set(snapshot_steps(self.total, config.training.snapshots))
        self.objective = objective
        self.optimizer = make_optimizer(objective, config.training)
        self.module, self.wrapped_optimizer = fabric.setup(objective, self.optimizer)
        # After the weights moved to the device: an optimizer's state is brought to where its weights are.
        self.state = load_checkpoint(run.checkpoint_file, objective, self.optimizer)
        self.module.mark_forward_method("step")
        self.rates = [group["lr"] for group in make_optimizer(objective, config.training).param_groups]
        self.views = ViewMaker(config, objective, data, fabric.device)
        self.norms = [module for module in objective.modules() if isinstance(module, _BatchNorm) and module.momentum]
        self.momenta = [module.momentum for module in self.norms]
        self.saved_at = time.monotonic()

    def train(self, progress: TrainingProgress, mirror: WandbMirror) -> State:
        """Run all steps that are left.

        Raises: TrainingFailed if the loss is no longer finite.
        """
        self.run.drop_metrics_after(self.state.step)
        if self.state.step == 0:
            self._snapshot()
        meter = Meter()
        started, before = time.perf_counter(), self.state.seconds
        self.module.train()
        while self.state.step < self.total:
            meter.add(self._step(self.state.step), self.config.training.batch_size)
            self.state.step += 1
            if self._reports():
                self.state.seconds = before + time.perf_counter() - started
                self._report(meter.take(), progress, mirror)
                self._keep()
        return self.state

    def _step(self, step: int) -> dict[str, Tensor]:
        """One update from the images of one step; returns its metrics, still on the device."""
        settings = self.config.training
        factor = learning_rate_factor(step, self.total, settings.warmup)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        for norm, momentum in zip(self.norms, self.momenta, strict=True):
            # Running statistics lag in the first steps, just where the order of learning is read off: average exactly.
            norm.momentum = max(momentum or 0.0, 1 / (step + 1))
        torch.manual_seed(derive_seed(self.config.seed, "step", step))
        generator = make_generator(self.config.seed, "views", step, self.fabric.device)
        metrics: dict[str, Tensor] = {}
        for part in self.order.indices(step).chunk(settings.accumulate):
            share = len(part) / settings.batch_size
            output = self.module.step(self.views.batch(part, step / self.total, generator), generator)
            self.fabric.backward(output.loss * share)
            for name, value in {"loss": output.loss.detach(), **output.metrics}.items():
                metrics[name] = metrics.get(name, torch.zeros_like(value)) + value * share
        if settings.clip_norm is not None:
            self.fabric.clip_gradients(
                self.module, self.wrapped_optimizer, max_norm=settings.clip_norm, error_if_nonfinite=False
            )
        self.wrapped_optimizer.step()
        self.wrapped_optimizer.zero_grad(set_to_none=True)
        return metrics

    def _reports(self) -> bool:
        step = self.state.step
        return step % self.config.training.log_every == 0 or step in self.snapshot_steps or step == self.total

    def _report(self, means: dict[str, float], progress: TrainingProgress, mirror: WandbMirror) -> None:
        if not math.isfinite(means["loss"]):
            raise TrainingFailed(
                f"the loss became {means['loss']} by step {self.state.step} of {self.total}: "
                "lower training.learning_rate, or set training.clip_norm"
            )
        means["learning_rate"] = self.optimizer.param_groups[0]["lr"]
        rows = [self._row(name, value) for name, value in means.items()]
        self.run.append_metrics(rows)
        mirror.log(rows)
        progress.update(self.state.step, means["loss"], means["images_per_second"])

    def _row(self, name: str, value: float) -> dict[str, Any]:
        step = self.state.step
        samples = step * self.config.training.batch_size
        epoch = step / self.order.steps_per_epoch
        return {"step": step, "samples_seen": samples, "epoch": round(epoch, 4), "name": name, "value": value}

    def _keep(self) -> None:
        """Snapshot and checkpoint where due, of finite weights only.

        Raises: TrainingFailed if a weight is not finite: the loss of a step is from before its update.
        """
        step = self.state.step
        due = time.monotonic() - self.saved_at >= self.config.training.checkpoint_seconds
        if step not in self.snapshot_steps and not due:
            return
        if not all(bool(torch.isfinite(parameter).all()) for parameter in self.objective.parameters()):
            raise TrainingFailed(f"weights are not finite after step {step}: lower training.learning_rate")
        if step in self.snapshot_steps:
            self._snapshot()
        save_checkpoint(self.run.checkpoint_file, self.state, self.objective, self.optimizer)
        self.run.update(progress={"step": step, "samples_seen": step * self.config.training.batch_size})
        self.saved_at = time.monotonic()

    def _snapshot(self) -> None:
        save_snapshot(self.run, self.state.step, self.objective)


def save_snapshot(run: RunDirectory, step: int, objective: Objective) -> None:
    """Keep the weights of backbone and heads after ``step`` updates."""
    save_tensors(run.snapshot_file(step), objective.state_dict())
