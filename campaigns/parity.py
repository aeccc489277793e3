"""One process against two: the same loss, gradients, weights and measurements, for every objective.

``python -m campaigns.parity`` measures and writes reports/reliability/parity.{json,md}. The two processes are started
by torchrun on this machine, and talk by gloo.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
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
from ssl_bench.files import load_tensors, read_json, save_tensors, write_json, write_text
from ssl_bench.measuring import analyze, evaluate
from ssl_bench.objectives.base import Batch
from ssl_bench.overrides import load_config
from ssl_bench.resolve import resolve
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.runs.environment import describe_environment
from ssl_bench.training.distributed import make_fabric, whole
from ssl_bench.training.loop import Trainer
from ssl_bench.training.observers import TrainingProgress, WandbMirror
from ssl_bench.training.pretraining import build_objective, pretrain

COUNT = 2
STEPS = 20
SMALL = [
    *("dataset=spectral", "dataset.size=8", "dataset.classes=2", "dataset.samples=160", "dataset.test_samples=200"),
    *("training.epochs=4", "training.batch_size=32", "training.snapshots=3", "training.optimizer=sgd"),
    *("training.accelerator=cpu", "backbone.latent_dim=16", "analysis.fit_samples=100", "analysis.test_samples=100"),
]
CASES = {
    "autoencoder": ["objective=autoencoder"],
    "denoising": ["objective=denoising", "noise=gaussian(sigma=[0.2, 0.8])"],
    "denoising, mask": ["objective=denoising", "backbone=vit_micro", "noise=mask(ratio=0.5, patch=4)"],
    "guided": ["objective=guided"],
    "mae": ["objective=mae", "backbone=vit_micro"],
    "simclr": ["objective=simclr"],
    "simclr, noise views": ["objective=simclr", "views.noise=gaussian(sigma=0.3)"],
    "simclr, two parts": ["objective=simclr", "training.accumulate=2"],
    "supervised": ["objective=supervised"],
}
STRATEGIES = ("ddp", "fsdp")
KEYS = ("loss", "gradient", "weights")
MEASURED = "evaluate and analyze"
ABOUT = f"""# One process against two

`python -m campaigns.parity`: {STEPS} steps of SGD, a batch of 32 in one process against two times 16 (gloo, one host).
Relative differences: of the loss of the first step; of its gradients, the largest to the largest gradient; of the
weights after {STEPS} steps, to the way they went. In float32, sums in another order carry some activations across the
kink of a ReLU, which moves gradients by more than rounding does, and batch norms and further steps multiply it. In
float64 what is left comes from the float32 arithmetic inside the losses.
"""
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

    trainer.step = step  # type: ignore[method-assign, assignment]
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


def measured(out: Path) -> dict[str, Any]:
    """What evaluation and analysis say of a finished run, without what it took."""
    run = RunDirectory(out)
    evaluate(out, run.config().evaluation)
    analyze(out, run.config().analysis)
    said = {}
    for file in (run.evaluation_file, run.spectrum_file):
        content = read_json(file)
        said[file.stem] = [
            {key: value for key, value in row.items() if key != "seconds"} for row in content["snapshots"]
        ]
    return said


def as_one_of_two(folder: Path, cases: Sequence[str], strategies: Sequence[str], kinds: Sequence[str]) -> None:
    """What each of the processes does: train all cases, then measure a run that one process trained."""
    processes.join()
    for case, strategy, kind in itertools.product(cases, strategies, kinds):
        name = name_of(case, strategy, kind)
        kept = train(config_of(case, strategy, COUNT), folder / name, DTYPES[kind])
        processes.first_only(save_tensors)(folder / f"{name}.safetensors", kept)
    measured(folder / "by two")


def compare(
    folder: Path, cases: Sequence[str], strategies: Sequence[str] = STRATEGIES, kinds: Sequence[str] = tuple(DTYPES)
) -> dict[str, dict[str, float]]:
    """Differences by case, strategy and kind of numbers; and whether measurements are the same to the last bit.

    Raises: CalledProcessError if one of the two processes failed.
    """
    pretrain(config_of("simclr", "ddp", 1), folder / "by one")
    shutil.copytree(folder / "by one", folder / "by two")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={COUNT}"]
    words = ["-m", "campaigns.parity", "--rank-of", json.dumps([str(folder), cases, strategies, kinds])]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*launcher, *words], check=True, env=environment, cwd=Path(__file__).parent.parent)
    found = {
        "evaluate and analyze": {"measurements": float(measured(folder / "by one") != measured(folder / "by two"))}
    }
    for case, kind in itertools.product(cases, kinds):
        alone = train(config_of(case, "ddp", 1), folder / name_of(case, "alone", kind), DTYPES[kind])
        for strategy in strategies:
            name = name_of(case, strategy, kind)
            found[name] = differences(alone, load_tensors(folder / f"{name}.safetensors"))
    return found


def name_of(case: str, strategy: str, kind: str) -> str:
    """A case, how it was shared, and in which numbers."""
    return f"{case}, {strategy}, {kind}"


def page(found: dict[str, dict[str, float]]) -> str:
    """The table of the report."""
    trained = {name: row for name, row in found.items() if "loss" in row}
    same = "the same to the last bit" if not found[MEASURED]["measurements"] else "**different**"
    versions = describe_environment()["versions"].items()
    lines = [
        ABOUT,
        "| case | loss | gradient | weights |",
        "| --- | ---: | ---: | ---: |",
        *(
            f"| {name} | {row['loss']:.1e} | {row['gradient']:.1e} | {row['weights']:.1e} |"
            for name, row in trained.items()
        ),
        "",
        f"Evaluation and analysis of one run by two processes: {same} as by one.",
        "",
        f"Versions: {', '.join(f'{key} {value}' for key, value in versions if value)}.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rank-of", type=json.loads, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.rank_of is not None:
        folder, cases, strategies, kinds = asked.rank_of
        as_one_of_two(Path(folder), cases, strategies, kinds)
        return
    with tempfile.TemporaryDirectory() as folder:
        found = compare(Path(folder), list(CASES))
    reports = Path(__file__).parent.parent / "reports" / "reliability"
    write_json(
        reports / "parity.json", {"command": "python -m campaigns.parity", **describe_environment(), "found": found}
    )
    write_text(reports / "parity.md", page(found))


if __name__ == "__main__":
    main()
