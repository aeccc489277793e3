"""The training loop, on Lightning Fabric."""

from __future__ import annotations

import math
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Generator, Tensor
from torch.distributed.tensor import DTensor

from ssl_bench import processes, stopping
from ssl_bench.config import Config
from ssl_bench.data.images import ImageData, Split
from ssl_bench.files import save_tensors
from ssl_bench.objectives.base import Objective
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.seeds import derive_seed, make_generator
from ssl_bench.training.checkpoint import State, load_checkpoint, save_checkpoint
from ssl_bench.training.compiling import compile_parts
from ssl_bench.training.distributed import synchronise_norms, whole
from ssl_bench.training.failure import TrainingFailed
from ssl_bench.training.feeding import make_feed
from ssl_bench.training.observers import TrainingProgress, WandbMirror
from ssl_bench.training.optimizers import make_optimizer
from ssl_bench.training.running_statistics import RunningStatistics
from ssl_bench.training.schedule import learning_rate_factor, snapshot_steps
from ssl_bench.training.speed import choose_speed, fast_arithmetic, same_every_time
from ssl_bench.training.view_maker import ViewMaker


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
        """Means since the last call, and images per second; waits for the device, once."""
        means = {}
        if self.values:
            own = torch.stack([torch.stack(values).float().mean() for values in self.values.values()])
            each = processes.mean_over_all(own)
            means = dict(zip(self.values, each.tolist(), strict=True))
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
        settings = config.training
        self.speed = choose_speed(settings, objective, data.train, fabric.device)
        self.feed = make_feed(data.train, settings, config.seed, fabric.device, self.speed.resident)
        self.steps_per_epoch = len(data.train) // settings.batch_size
        self.total = settings.epochs * self.steps_per_epoch
        self.snapshot_steps = set(snapshot_steps(self.total, settings.snapshots))
        self.objective = objective
        if processes.together() and settings.sync_batchnorm:
            synchronise_norms(objective, fabric.device)
        self.module = fabric.setup_module(objective)
        self.optimizer = make_optimizer(objective, settings)
        self.wrapped_optimizer: Any = fabric.setup_optimizers(self.optimizer)
        # After the weights moved to the device: an optimizer's state is brought to where its weights are.
        self.state = load_checkpoint(run, objective, self.optimizer)
        self.rates = [group["lr"] for group in make_optimizer(objective, settings).param_groups]
        self.views = ViewMaker(config, objective, data, self.speed.compile and fabric.device.type != "cpu")
        self.statistics = RunningStatistics(objective)
        self.compiled = not self.speed.compile
        self.saved_at = time.monotonic()

    def train(self, progress: TrainingProgress, mirror: WandbMirror) -> State:
        """Run all steps that are left.

        Raises: TrainingFailed if the loss is no longer finite; Stopped, with everything saved, if a signal asks for it.
        """
        self.run.cut_metrics(self.state.logged)
        if self.state.step == 0:
            self._snapshot()
        meter = Meter()
        exact = self.config.training.deterministic
        started, before = time.perf_counter(), self.state.seconds
        self.module.train()
        try:
            with stopping.deferred(), same_every_time(exact), fast_arithmetic(self.fabric.device, exact):
                while self.state.step < self.total:
                    meter.add(self.step(self.state.step), self.config.training.batch_size)
                    self.state.step += 1
                    if self._reports():
                        self.state.seconds = before + time.perf_counter() - started
                        self._report(meter.take(), progress, mirror)
                        self._keep()
        finally:
            self.feed.close()
        return self.state

    def step(self, step: int) -> dict[str, Tensor]:
        """One update from the images of one step; returns its metrics, still on the device.

        Nothing here waits for a GPU: while it works on this step, the host already sends it the views of the next.
        """
        self._prepare(step)
        generator = make_generator(self.config.seed, "views", step, self.fabric.device)
        metrics: dict[str, Tensor] = {}
        images = self.feed.batch(step)
        parts = self.config.training.accumulate
        size = len(images) // parts
        split = zip(torch.split(images.images, size), torch.split(images.labels, size), strict=True)
        for number, part in enumerate(split, start=1):
            with self._in_private() if number < parts else nullcontext():
                loss, others = self._forward(Split(*part), step, generator)
                self.fabric.backward(loss / parts)
            for name, value in {"loss": loss.detach(), **others}.items():
                metrics[name] = metrics[name] + value / parts if name in metrics else value / parts
        if self.config.training.clip_norm is not None:
            self.fabric.clip_gradients(
                self.module, self.wrapped_optimizer, max_norm=self.config.training.clip_norm, error_if_nonfinite=False
            )
        self.wrapped_optimizer.step()
        self.wrapped_optimizer.zero_grad(set_to_none=True)
        return metrics

    def _prepare(self, step: int) -> None:
        """Whatever depends on the step: rates, momenta, torch's own generators; compiling, once the momenta stay."""
        factor = learning_rate_factor(step, self.total, self.config.training.warmup)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        self.statistics.before(step)
        if not self.compiled and step >= self.statistics.settled:
            compile_parts(self.objective)
            self.compiled = True
        own = f"step/{processes.rank()}" if processes.rank() else "step"  # dropout must not be alike everywhere
        torch.manual_seed(derive_seed(self.config.seed, own, step))

    def _forward(self, images: Split, step: int, generator: Generator) -> tuple[Tensor, dict[str, Tensor]]:
        batch = self.views.batch(images, step / self.total, generator)
        try:
            made: tuple[Tensor, dict[str, Tensor]] = self.module(lambda: self.objective.step(batch, generator))
        except RuntimeError as error:
            if "finished reduction" not in str(error):
                raise
            raise TrainingFailed(
                f"objective {self.config.objective.name!r} has weights that its loss does not use, which several "
                "processes cannot share: let it use them, leave them out, or set their requires_grad to False"
            ) from error
        return made

    def _in_private(self) -> AbstractContextManager[None]:
        """Where gradients are added up and not yet shared: another part of the batch follows."""
        return self.fabric.no_backward_sync(self.module) if processes.together() else nullcontext()

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
        epoch = step / self.steps_per_epoch
        return {"step": step, "samples_seen": samples, "epoch": round(epoch, 4), "name": name, "value": value}

    def _keep(self) -> None:
        """Snapshot and checkpoint where due, of finite weights only; stop, if that is asked for.

        Raises: TrainingFailed if a weight is not finite: the loss of a step is from before its update. Stopped.
        """
        step = self.state.step
        late = time.monotonic() - self.saved_at >= self.config.training.checkpoint_seconds
        asked, late = processes.agreed((stopping.asked(), late))
        asked = asked if step < self.total else None  # what is finished is not stopped
        if step not in self.snapshot_steps and not late and asked is None:
            return
        if processes.anyone(not self._finite()):
            raise TrainingFailed(f"weights are not finite after step {step}: lower training.learning_rate")
        if step in self.snapshot_steps:
            self._snapshot()
        save_checkpoint(self.run, self.state, self.objective, self.optimizer)
        self.run.update(progress={"step": step, "samples_seen": step * self.config.training.batch_size})
        self.saved_at = time.monotonic()
        if asked is not None:
            self.run.update(status="stopped")
            raise stopping.Stopped(asked)

    def _finite(self) -> bool:
        """Whether all weights that lie here are."""
        own = [w.to_local() if isinstance(w, DTensor) else w for w in self.objective.parameters()]
        return bool(torch.stack([torch.isfinite(weight).all() for weight in own]).all())

    def _snapshot(self) -> None:
        save_snapshot(self.run, self.state.step, self.objective)


def save_snapshot(run: RunDirectory, step: int, objective: Objective) -> None:
    """Keep the weights of backbone and heads after ``step`` updates. All processes take part, the first writes."""
    weights = whole(objective.state_dict())
    processes.first_only(save_tensors)(run.snapshot_file(step), weights)
