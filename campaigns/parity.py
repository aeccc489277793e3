"""One process against two: the same loss, gradients, weights and measurements, for every objective.

``python -m campaigns.parity`` measures and writes reports/reliability/parity.{json,md}. The two processes are started
by torchrun on this machine, and talk by gloo.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from ssl_bench import processes
from ssl_bench.config import Config, validate
from ssl_bench.data.images import Split
from ssl_bench.data.load import load_dataset
from ssl_bench.files import load_tensors, save_tensors
from ssl_bench.measuring import analyze, evaluate
from ssl_bench.objectives.base import Batch
from ssl_bench.overrides import load_config
from ssl_bench.resolve import resolve
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.training.distributed import make_fabric, whole
from ssl_bench.training.loop import Trainer
from ssl_bench.training.observers import TrainingProgress, WandbMirror
from ssl_bench.training.pretraining import build_objective

COUNT = 2
STEPS = 20
SMALL = [
    *("dataset=spectral", "dataset.size=16", "dataset.samples=320", "dataset.test_samples=200"),
    *("training.epochs=4", "training.batch_size=64", "training.snapshots=3", "training.optimizer=sgd"),
    *("training.accelerator=cpu", "backbone.latent_dim=16", "analysis.fit_samples=200", "analysis.test_samples=100"),
]
CASES = {
    "autoencoder": ["objective=autoencoder"],
    "denoising": ["objective=denoising", "noise=gaussian(sigma=[0.2, 0.8])"],
    "denoising, mask": ["objective=denoising", "backbone=vit_micro", "noise=mask(ratio=0.5, patch=4)"],
    "mae": ["objective=mae", "backbone=vit_micro"],
    "simclr": ["objective=simclr"],
    "simclr, noise views": ["objective=simclr", "views.noise=gaussian(sigma=0.3)"],
    "simclr, two parts": ["objective=simclr", "training.accumulate=2"],
    "supervised": ["objective=supervised"],
}
STRATEGIES = ("ddp", "fsdp")
DTYPES = {"float32": torch.float32, "float64": torch.float64}


def config_of(case: str, strategy: str, count: int) -> Config:
    """The configuration of a case, shared by a number of processes."""
    shared = [f"training.strategy={strategy}", f"training.devices={count}"]
    return validate(Config, load_config(None, [*SMALL, *CASES[case], *shared]))


def train(config: Config, out: Path, dtype: torch.dtype) -> dict[str, Tensor]:
    """Train a case, and keep what parity is about: loss and gradients of the first step, all weights after the last.

    In float32, sums in another order move some activations across the kink of a ReLU, which moves the gradient by more
    than rounding does; in float64 what is left is what is wrong.
    """
    data = load_dataset(config.dataset)
    config = resolve(config, data)
    run = RunDirectory(out)
    run.claim(config)
    objective = build_objective(config, data).to(dtype)
    trainer = Trainer(config, data, objective, run, make_fabric(config.training, trains=True))
    kept = {f"before/{name}": value.clone() for name, value in whole(objective.state_dict()).items()}
    update, as_float32 = trainer.wrapped_optimizer.step, trainer.views.batch

    def views(images: Split, progress: float, generator: Generator) -> Batch:
        batch = as_float32(images, progress, generator)
        return replace(batch, views=batch.views.to(dtype))

    def watched() -> None:
        if trainer.state.step == 0:
            gradients = ((name, weight.grad) for name, weight in objective.named_parameters())
            kept.update({f"gradient/{name}": whole(value.clone()) for name, value in gradients if value is not None})
        update()

    trainer.wrapped_optimizer.step = watched
    trainer.views.batch = views  # type: ignore[method-assign]
    original = trainer.step

    def step(number: int) -> dict[str, Tensor]:
        metrics = original(number)
        if number == 0:
            kept["loss"] = processes.mean_over_all(metrics["loss"])
        return metrics

    trainer.step = step  # type: ignore[method-assign]
    with TrainingProgress("parity", trainer.total, 0, shown=False) as progress:
        state = trainer.train(progress, WandbMirror(config.wandb, "parity", "parity", out, {}))
    assert state.step == STEPS
    return kept | {f"after/{name}": value for name, value in whole(objective.state_dict()).items()}


def differences(one: dict[str, Tensor], other: dict[str, Tensor]) -> dict[str, float]:
    """How far two trainings of a case are apart, relative to what each number is about.

    Loss: to the loss. Gradients: the largest difference to the largest gradient. Weights: to the way they went.
    """
    assert one.keys() == other.keys()

    def flat(kept: dict[str, Tensor], kind: str) -> Tensor:
        chosen = [value.double().flatten() for name, value in sorted(kept.items()) if name.startswith(kind)]
        return torch.cat(chosen)

    gradient, after = flat(one, "gradient/"), flat(one, "after/")
    return {
        "loss": float((one["loss"] - other["loss"]).abs() / one["loss"].abs()),
        "gradient": float((gradient - flat(other, "gradient/")).abs().max() / gradient.abs().max()),
        "weights": float((after - flat(other, "after/")).norm() / (after - flat(one, "before/")).norm()),
    }


def measured(config: Config, out: Path) -> dict[str, Any]:
    """What evaluation and analysis say of a finished run, without what it took."""
    evaluate(out, config.evaluation)
    analyze(out, config.analysis)
    run = RunDirectory(out)
    texts = [json.loads(file.read_text()) for file in (run.evaluation_file, run.spectrum_file)]
    for text in texts:
        for row in text["snapshots"]:
            row.pop("seconds", None)
    return {"evaluation": texts[0], "spectrum": texts[1]}


def as_one_of_two(folder: Path, cases: Sequence[str]) -> None:
    """What each of the processes does: all cases by all strategies, then measure a run that one process trained."""
    processes.join()
    for case, strategy, dtype in itertools.product(cases, STRATEGIES, DTYPES):
        name = name_of(case, strategy, dtype)
        kept = train(config_of(case, strategy, COUNT), folder / name, DTYPES[dtype])
        processes.first_only(save_tensors)(folder / f"{name}.safetensors", kept)
    if (folder / "measured").exists():
        measured(config_of("autoencoder", "ddp", 1), folder / "measured")


def in_two_processes(folder: Path, cases: Sequence[str]) -> None:
    """Run :func:`as_one_of_two` by torchrun."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={COUNT}"]
    words = ["-m", "campaigns.parity", "--rank-of", str(folder), *cases]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*launcher, *words], check=True, env=environment, cwd=Path(__file__).parent.parent)


def compare(folder: Path, cases: Sequence[str]) -> dict[str, dict[str, float]]:
    """Differences by case, strategy and kind of numbers."""
    in_two_processes(folder, cases)
    found = {}
    for case, dtype in itertools.product(cases, DTYPES):
        alone = train(config_of(case, "ddp", 1), folder / name_of(case, "alone", dtype), DTYPES[dtype])
        for strategy in STRATEGIES:
            name = name_of(case, strategy, dtype)
            found[name] = differences(alone, load_tensors(folder / f"{name}.safetensors"))
    return found


def name_of(case: str, strategy: str, dtype: str) -> str:
    """A case, how it was shared, and in which numbers."""
    return f"{case}, {strategy}, {dtype}"


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rank-of", type=Path)
    parser.add_argument("cases", nargs="*")
    asked = parser.parse_args()
    if asked.rank_of is not None:
        as_one_of_two(asked.rank_of, asked.cases)


if __name__ == "__main__":
    main()
