"""The study behind reports/designed_noise: designed noises and targets against plain ones, trained and predicted.

Every configuration of the study is settled here, before anything is trained. See scripts/noise_study.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ssl_bench.comparison import compare
from ssl_bench.config import DesignConfig, validate
from ssl_bench.data.images import ImageData
from ssl_bench.data.load import load_dataset
from ssl_bench.designing import propose
from ssl_bench.files import read_json, write_json

SEEDS = [0, 1, 2]
LATENT = 64
# Knowledge, and labels a class it may look at.
LABELS = {"labels": 10, "nonlinear": 100, "invariance": 2, "flat": 2}
DESIGNS = (
    *(("labels", side) for side in ("input", "target", "both")),
    *(("nonlinear", side) for side in ("input", "target", "both")),
    ("invariance", "input"),
    ("flat", "input"),
    ("flat", "target"),
)
# The designed noises that SimCLR gets in its views too.
IN_VIEWS = ("labels", "nonlinear")


@dataclass(frozen=True)
class Study:
    """A dataset with its training settings, and the hand-made noises and targets beside the designed ones."""

    dataset: dict[str, Any]
    training: dict[str, Any]
    views: dict[str, Any]
    noises: list[str] = field(
        default_factory=lambda: [
            "gaussian(sigma=1)",
            "power_law(alpha=1, sigma=1)",
            "power_law(alpha=2, sigma=1)",
            "mask(ratio=0.75, patch=4)",
        ]
    )
    targets: list[str] = field(default_factory=lambda: ["bottom(share=0.2)"])


STUDIES = {
    "spectral": Study(
        dataset={"name": "spectral", "signal": "template", "classes": 8, "share": 0.02, "samples": 4000},
        training={"epochs": 10, "batch_size": 128, "snapshots": 6},
        # A template is a fixed pattern: views must not move, mirror or blur it.
        views={"recipe": "simclr", "crop_scale": [1, 1], "flip": 0, "blur": 0},
    ),
    "cifar10": Study(
        dataset={"name": "cifar10", "limit": 10000},
        training={"epochs": 5, "batch_size": 128, "snapshots": 6},
        views={"recipe": "simclr"},
    ),
}


def main() -> None:
    """Design, train, predict, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=STUDIES)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    study, out = STUDIES[arguments.name], arguments.out
    out.mkdir(parents=True, exist_ok=True)
    designs = make_designs(study, out / "designs.json")
    for name, raw in comparisons(study, designs).items():
        compare(raw, out / name)


def make_designs(study: Study, file: Path) -> list[dict[str, Any]]:
    """The designs, from each knowledge on each side; made once and kept, so that a study that goes on has the same."""
    if file.exists():
        kept: list[dict[str, Any]] = read_json(file)["designs"]
        return kept
    designs = []
    first = validate(DesignConfig, {"dataset": study.dataset, "views": study.views})
    data: ImageData = load_dataset(first.dataset)
    for knowledge, side in DESIGNS:
        chosen = {"knowledge": knowledge, "side": side, "labels": LABELS[knowledge], "latent_dim": LATENT}
        settings = validate(DesignConfig, {**first.model_dump(mode="json"), **chosen})
        found = propose(settings, data)
        worth = {"worth": found.worth, "worth_without": found.worth_without, "power": found.power}
        bands = [round(value, 4) for value in found.relevance.worth.tolist()]
        designs.append({**chosen, "noise": found.noise, "target": found.target, "relevance": bands, **worth})
        print(json.dumps(designs[-1]))
    write_json(file, {"designs": designs})
    return designs


def comparisons(study: Study, designs: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The comparisons of the study by folder: what is trained."""
    common = {
        "dataset": study.dataset,
        "training": study.training,
        "backbone": {"name": "resnet_micro", "embedding": "latent", "latent_dim": LATENT},
        "evaluation": {"snapshot": "all"},
        "analysis": {"snapshot": "last"},
        "seed": SEEDS,
        "baselines": [],
    }
    by_noise = [design["noise"] for design in designs if design["noise"] and not design["target"]]
    by_target = [design["target"] for design in designs if design["target"] and not design["noise"]]
    in_views = [design["noise"] for design in designs if design["knowledge"] in IN_VIEWS and design["side"] == "input"]
    found: dict[str, dict[str, Any]] = {
        "targets": {"objective": "autoencoder", "target": [None, *study.targets, *by_target]},
        "noises": {"objective": "denoising", "noise": [*study.noises, *by_noise]},
        "views": {"objective": "simclr", "views": {**study.views, "noise": [None, *filter(None, in_views)]}},
    }
    found["targets"]["baselines"] = ["supervised", "random"]
    for design in designs:
        if design["noise"] and design["target"]:
            pair = {"objective": "denoising", "noise": design["noise"], "target": design["target"]}
            found[f"both_{design['knowledge']}"] = pair
    return {name: {**common, **raw} for name, raw in found.items()}


if __name__ == "__main__":
    main()
