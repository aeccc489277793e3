"""``pretrain``: one configuration into one run directory."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from ssl_bench import processes
from ssl_bench.backbones import make_backbone
from ssl_bench.config import Config, WandbConfig, identity, section_options
from ssl_bench.data.images import ImageData
from ssl_bench.data.load import load_dataset
from ssl_bench.errors import UserError, warn
from ssl_bench.memory import keep_freed_memory
from ssl_bench.noise import make_noise
from ssl_bench.objectives import OBJECTIVES
from ssl_bench.objectives.base import Given, Objective
from ssl_bench.resolve import resolve
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.runs.environment import now
from ssl_bench.runs.summary import configuration_name
from ssl_bench.seeds import derive_seed
from ssl_bench.targets import make_target
from ssl_bench.training.checkpoint import State
from ssl_bench.training.compiling import check_compiler
from ssl_bench.training.distributed import make_fabric
from ssl_bench.training.failure import TrainingFailed
from ssl_bench.training.flops import count_flops
from ssl_bench.training.group import pretrain_together
from ssl_bench.training.loop import Trainer, save_snapshot
from ssl_bench.training.observers import TrainingProgress, WandbMirror
from ssl_bench.training.speed import channels_last, lay_out


def pretrain(config: Config, out: str | Path, data: ImageData | None = None) -> RunDirectory:
    """One pretraining run into one run directory; goes on where it was interrupted, does nothing if it is finished.

    On several devices of this host it starts a process for each; started by torchrun or ``srun``, it is one of them.

    Args:
        config: The settings; defaults that depend on the dataset or the objective are filled in first.
        out: The run directory.
        data: The dataset, if it is in memory already.

    Raises:
        UserError: An impossible setting, missing data, a directory that belongs to another configuration.
        RunIsHeld: Another process writes this run.
        TrainingFailed: The loss is no longer finite; run.json then says ``failed``.
    """
    processes.join()
    with processes.first_goes_first():
        data = data if data is not None else load_dataset(config.dataset)
    config = resolve(config, data)
    run = RunDirectory(Path(out))
    trains = OBJECTIVES.get(config.objective.name).trains
    if config.training.compile and trains and processes.by_first(run.state) != "finished":
        gpu = config.training.accelerator != "cpu" and torch.cuda.is_available()
        check_compiler(torch.device("cuda" if gpu else "cpu"))
    processes.by_first(lambda: run.claim(config))
    check_same_images(run, data)
    if processes.by_first(lambda: run.finished and run.damage() is None):
        return run
    if trains and processes.launched() == 1 and config.training.devices * config.training.nodes > 1:
        return pretrain_together(config, run)
    fabric = make_fabric(config.training, trains)
    with run.held():
        finished, damage = processes.by_first(lambda: (run.finished, run.damage()))
        if finished and damage is None:
            return run
        if finished and processes.is_first():
            warn(f"{damage}: {run.path.name} is trained again as far as is needed")
        return _pretrain(config, data, run, fabric)


def _pretrain(config: Config, data: ImageData, run: RunDirectory, fabric: Fabric) -> RunDirectory:
    """What is left of a run that is this process's to write."""
    started = time.perf_counter()
    if fabric.device.type == "cpu":
        keep_freed_memory()
    objective = build_objective(config, data)
    objective.prepare(data)
    known = processes.by_first(lambda: run.record().get("flops"))
    images = config.training.batch_size // config.training.accumulate
    flops = known if isinstance(known, dict) else count_flops(objective, data, images)
    trainer = Trainer(config, data, objective, run, fabric) if objective.trains else None
    run.add_session(**({} if trainer is None else {"speed": asdict(trainer.speed)}))
    total = 0 if trainer is None else trainer.total
    about = _describe(config, data, objective, fabric)
    run.update(status="running", error=None, total_steps=total, flops=flops, **about)
    setup = time.perf_counter() - started
    if trainer is None:
        save_snapshot(run, 0, objective)
    state = State() if trainer is None else _train(trainer, config, run)
    run.update(
        status="finished",
        written=run.written(state.step),
        finished=now(),
        progress={"step": state.step, "samples_seen": state.step * config.training.batch_size},
        timings={"setup_seconds": round(setup, 3), "train_seconds": round(state.seconds, 3)},
    )
    return run


def check_same_images(run: RunDirectory, data: ImageData) -> None:
    """A run belongs to the images it was trained on, wherever they lie.

    Raises: UserError if its dataset now holds others.
    """
    known = run.record().get("dataset", {}).get("fingerprint")
    if known is not None and known != data.fingerprint:
        raise UserError(
            f"{run.path} was trained on other images than {data.name!r} holds now: give it its dataset back, "
            "or choose another --out"
        )


def _train(trainer: Trainer, config: Config, run: RunDirectory) -> State:
    """Train to the end, watched; a failure is recorded before it is raised."""
    wandb = config.wandb if processes.is_first() else WandbConfig()
    mirror = WandbMirror(wandb, identity(config), run.path.name, run.path, config.model_dump(mode="json"))
    try:
        with TrainingProgress(title(config), trainer.total, trainer.state.step, processes.is_first()) as progress:
            return trainer.train(progress, mirror)
    except TrainingFailed as error:
        run.update(status="failed", error=str(error), finished=now())
        raise
    finally:
        mirror.close()


def build_objective(config: Config, data: ImageData) -> Objective:
    """The objective of a resolved configuration, freshly initialised from its seed.

    The backbone is drawn first, from a seed of its own: all objectives of a seed start from the same weights.
    """
    objective_class = OBJECTIVES.get(config.objective.name)
    options = section_options(config.objective, objective_class.options_model, "objective")
    torch.manual_seed(derive_seed(config.seed, "backbone"))
    backbone = make_backbone(config.backbone, data.image_size, data.channels)
    torch.manual_seed(derive_seed(config.seed, "heads"))
    noise = make_noise(config.noise).prepare(data) if config.noise is not None else None
    target = make_target(config.target).prepare(data) if config.target is not None else None
    objective = objective_class.build(backbone, options, Given(data.classes, noise, target))
    return lay_out(objective, channels_last(config.training))


def title(config: Config) -> str:
    """A run in one line, for progress and tables."""
    return f"{configuration_name(config)} seed {config.seed}"


def _describe(config: Config, data: ImageData, objective: Objective, fabric: Fabric) -> dict[str, Any]:
    """What run.json says of a run beside its configuration."""
    count = {
        name: sum(p.numel() for p in module.parameters())
        for name, module in (("backbone", objective.backbone), ("all", objective))
    }
    return {
        "objective": config.objective.name,
        "seed": config.seed,
        "backbone": asdict(objective.backbone.info),
        "dataset": {
            "name": data.name,
            "fingerprint": data.fingerprint,
            "train_samples": len(data.train),
            "test_samples": len(data.test),
            "classes": data.classes,
            "chance": data.chance,
            "mean": list(data.statistics.mean),
            "std": data.statistics.std,
            **data.details,
        },
        "weights": count,
        "device": str(fabric.device),
    }
