"""Every step of a run as the one at which it is cut off: what goes on must end as what was never disturbed, to the bit.

``python -m campaigns.resume`` tries all steps for every objective and optimizer, and writes
reports/reliability/resume.{json,md}.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from ssl_bench.config import Config, validate
from ssl_bench.data.images import ImageData
from ssl_bench.data.load import load_dataset
from ssl_bench.files import write_json, write_text
from ssl_bench.overrides import load_config
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.runs.environment import describe_environment
from ssl_bench.training.loop import Trainer
from ssl_bench.training.pretraining import pretrain

SMALL = [
    *("dataset=digits", "dataset.limit=200", "training.epochs=3", "training.batch_size=50", "training.snapshots=4"),
    *("training.accelerator=cpu", "training.deterministic=true", "backbone.latent_dim=16"),
    *("training.checkpoint_seconds=0", "training.log_every=2"),
]
CASES = {
    "autoencoder, adamw": ["objective=autoencoder"],
    "autoencoder, sgd": ["objective=autoencoder", "training.optimizer=sgd"],
    "autoencoder, lars": ["objective=autoencoder", "training.optimizer=lars"],
    "denoising, adamw": ["objective=denoising", "noise=gaussian(sigma=[0.2, 0.8])"],
    "mae, adamw": ["objective=mae", "backbone=vit_micro"],
    "simclr, adamw": ["objective=simclr", "views.noise=gaussian(sigma=0.3)"],
    "simclr, two parts": ["objective=simclr", "training.accumulate=2"],
    "supervised, adamw": ["objective=supervised"],
}


ABOUT = """# Resume at every step

`python -m campaigns.resume`: a run is cut off when a step is about to be made, and started again; all weights of all
snapshots, and all that was logged, must be those of the undisturbed run, to the bit. One thread of a CPU.
"""


class CutOff(BaseException):
    """Stands for a kill: nothing in the harness may catch it."""


def config_of(case: str) -> Config:
    """The configuration of a case."""
    return validate(Config, load_config(None, [*SMALL, *CASES[case]]))


def compare(case: str, folder: Path) -> tuple[int, list[int]]:
    """How many steps a run of a case has, and those after which it did not end as if undisturbed."""
    config = config_of(case)
    data = load_dataset(config.dataset)
    undisturbed = pretrain(config, folder / "undisturbed", data)
    wanted = outcome(undisturbed)
    steps = undisturbed.last_step
    different = [step for step in range(steps) if cut_off(config, data, folder / str(step), step) != wanted]
    return steps, different


def cut_off(config: Config, data: ImageData, out: Path, at: int) -> Outcome:
    """What a run comes to that is cut off when a step is about to be made, and started again."""
    original = Trainer.step

    def step(self: Trainer, number: int) -> dict[str, Tensor]:
        if number == at:
            raise CutOff
        return original(self, number)

    Trainer.step = step  # type: ignore[method-assign, assignment]
    try:
        pretrain(config, out, data)
    except CutOff:
        pass
    else:
        raise AssertionError(f"the run was not cut off at step {at}")
    finally:
        Trainer.step = original  # type: ignore[method-assign]
    return outcome(pretrain(config, out, data))


# Bytes of all weights by snapshot and name, and what was logged, without what it took.
Outcome = tuple[dict[int, dict[str, bytes]], list[tuple[int, str, float]]]


def outcome(run: RunDirectory) -> Outcome:
    """What must be the same."""
    weights = {
        step: {name: value.numpy().tobytes() for name, value in load_file(file).items()}
        for step, file in run.snapshots().items()
    }
    rows = [(row["step"], row["name"], row["value"]) for row in run.metrics() if row["name"] != "images_per_second"]
    return weights, rows


def main() -> None:
    """See the module."""
    torch.set_num_threads(1)
    found: dict[str, dict[str, object]] = {}
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            steps, different = compare(case, Path(folder))
        found[case] = {"steps": steps, "different": different}
        print(f"{case}: {steps} steps, different after {different or 'none'}", flush=True)
    reports = Path(__file__).parent.parent / "reports" / "reliability"
    about = {"command": "python -m campaigns.resume", **describe_environment()}
    write_json(reports / "resume.json", {**about, "found": found})
    write_text(reports / "resume.md", page(found))


def page(found: dict[str, dict[str, object]]) -> str:
    """The table of the report."""
    versions = describe_environment()["versions"].items()
    lines = [
        ABOUT,
        "| case | steps at which it was cut off | ended otherwise |",
        "| --- | ---: | ---: |",
        *(f"| {case} | {row['steps']} | {_listed(row['different'])} |" for case, row in found.items()),
        "",
        f"Versions: {', '.join(f'{key} {value}' for key, value in versions if value)}.",
    ]
    return "\n".join(lines) + "\n"


def _listed(steps: object) -> str:
    return ", ".join(map(str, steps)) if isinstance(steps, list) and steps else "none"


if __name__ == "__main__":
    main()
