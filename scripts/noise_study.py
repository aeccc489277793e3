"""The study behind reports/designed_noise: designed noises and targets against plain ones, trained and predicted.

Every configuration of the study is settled here, before anything is trained. See scripts/noise_study.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from safetensors.torch import load_file
from scipy.stats import spearmanr

from ssl_bench.aligning import Problem, make_problem, solve
from ssl_bench.comparison import compare
from ssl_bench.config import DesignConfig, validate
from ssl_bench.data.images import ImageData
from ssl_bench.data.load import load_dataset
from ssl_bench.designing import propose
from ssl_bench.files import read_json, write_json, write_text
from ssl_bench.noise import make_noise
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.targets import make_target
from ssl_bench.theory.alignment import alignment, held_out, whitened
from ssl_bench.theory.solutions import joint_embedding

SEEDS = [0, 1, 2]
LATENT = 64
# Knowledge, and labels a class it may look at.
LABELS = {"labels": 10, "nonlinear": 100, "invariance": 2, "flat": 2}
Design = tuple[str, str, str]
DESIGNS: tuple[Design, ...] = (
    *(("labels", side, "pca") for side in ("input", "target", "both")),
    *(("nonlinear", side, "pca") for side in ("input", "target", "both")),
    ("invariance", "input", "pca"),
    ("flat", "input", "pca"),
    ("flat", "target", "pca"),
)
# Added after the first results on spectral, which suggested that a network learns by frequency, not by variance.
BY_FREQUENCY: tuple[Design, ...] = (("labels", "target", "spectrum"),)
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
    designs: tuple[Design, ...] = DESIGNS


STUDIES = {
    "spectral": Study(
        dataset={"name": "spectral", "signal": "template", "classes": 8, "share": 0.02, "samples": 4000},
        training={"epochs": 10, "batch_size": 128, "snapshots": 6},
        # A template is a fixed pattern: views must not move, mirror or blur it.
        views={"recipe": "simclr", "crop_scale": [1, 1], "flip": 0, "blur": 0},
        designs=DESIGNS + BY_FREQUENCY,
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
    data = load_dataset(validate(DesignConfig, {"dataset": study.dataset}).dataset)
    rows = with_predictions(collect(out), data, out / "predictions.json")
    write_json(out / "study.json", {"name": arguments.name, "latent_dim": LATENT, "rows": rows})
    write_text(out / "study.md", page(arguments.name, rows, designs))


def make_designs(study: Study, file: Path) -> list[dict[str, Any]]:
    """The designs, from each knowledge on each side; made once and kept, so that a study that goes on has the same."""
    designs: list[dict[str, Any]] = read_json(file)["designs"] if file.exists() else []
    made = {(one["knowledge"], one["side"], one.setdefault("family", "pca")) for one in designs}
    first = validate(DesignConfig, {"dataset": study.dataset, "views": study.views})
    data: ImageData = load_dataset(first.dataset)
    for design in study.designs:
        if design in made:
            continue
        knowledge, side, family = design
        chosen = {"knowledge": knowledge, "side": side, "family": family, "labels": LABELS[knowledge]}
        merged = {**first.model_dump(mode="json"), **chosen, "latent_dim": LATENT}
        found = propose(validate(DesignConfig, merged), data)
        worth = {"worth": found.worth, "worth_without": found.worth_without, "power": found.power}
        bands = [round(value, 4) for value in found.relevance.worth.tolist()]
        designs.append({**chosen, "noise": found.noise, "target": found.target, "relevance": bands, **worth})
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
    in_views = [
        design["noise"]
        for design in designs
        if design["knowledge"] in IN_VIEWS and (design["side"], design["family"]) == ("input", "pca")
    ]
    found: dict[str, dict[str, Any]] = {
        "targets": {"objective": "autoencoder", "target": [None, *study.targets, *by_target]},
        "noises": {"objective": "denoising", "noise": [*study.noises, *by_noise]},
        "views": {"objective": "simclr", "views": {**study.views, "noise": [None, *filter(None, in_views)]}},
    }
    found["targets"]["baselines"] = ["supervised", "random"]
    for design in designs:
        if design["noise"] and design["target"]:
            pair = {"objective": "denoising", "noise": design["noise"], "target": design["target"]}
            beside = "" if design["family"] == "pca" else f"_{design['family']}"
            found[f"both_{design['knowledge']}{beside}"] = pair
    return {name: {**common, **raw} for name, raw in found.items()}


def collect(out: Path) -> list[dict[str, Any]]:
    """One row a configuration: what it is, and its probes at every snapshot, seed by seed."""
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for file in sorted(out.glob("*/runs/*/evaluation.json")):
        config = RunDirectory(file.parent).config()
        name = config.objective.name
        key = name, str(config.noise), str(config.target), str(config.views.noise)
        row = rows.setdefault(
            key,
            {
                "objective": name,
                "noise": config.noise,
                "target": config.target,
                "views_noise": config.views.noise,
                "curves": {},
            },
        )
        run = RunDirectory(file.parent)
        row.setdefault("moved", {})[config.seed] = moved(list(run.snapshots().values()))
        probes = read_json(file)["snapshots"]
        row["curves"][config.seed] = [
            [
                probe["samples_seen"],
                probe["linear_top1"],
                half_width(probe["linear_interval"]),
            ]
            for probe in probes
        ]
    for row in rows.values():
        finals = [curve[-1][1] for curve in row["curves"].values()]
        row["probe"], row["sd"] = mean(finals), stdev(finals) if len(finals) > 1 else None
        times = [found for curve in row["curves"].values() if (found := reach(curve)) is not None]
        row["speed"], row["rose"] = (mean(times) if times else None), len(times)
    return sorted(rows.values(), key=lambda row: -row["probe"])


def moved(snapshots: list[Path]) -> dict[str, float] | None:
    """How far the backbone's weights are from their start at the second and the last snapshot, relative to its norm.

    ``spread``: the mean running variance of the first batch norm at the second snapshot. ``None`` for an untrained one.
    """
    if len(snapshots) < 2:
        return None
    start, early, late = (load_file(snapshots[at]) for at in (0, 1, -1))
    weights = [key for key in start if key.startswith("backbone.") and start[key].dim() > 1]

    def distance(other: dict[str, Any]) -> float:
        squares = sum(float((other[key] - start[key]).square().sum()) for key in weights)
        return float((squares / sum(float(start[key].square().sum()) for key in weights)) ** 0.5)

    spread = next(float(early[key].mean()) for key in start if key.endswith("running_var"))
    return {"early": distance(early), "late": distance(late), "spread": spread}


def half_width(interval: list[float]) -> float:
    """Of an interval's two ends."""
    return (interval[1] - interval[0]) / 2


def reach(curve: list[list[float]]) -> float | None:
    """Samples seen when the probe first was nine tenths of the way from its start to its best, on straight lines.

    ``None`` if it never rose by more than the half width of its interval.
    """
    first, best = curve[0][1], max(point[1] for point in curve)
    if best - first <= max(point[2] for point in curve):
        return None
    level = first + 0.9 * (best - first)
    for (before, low, _), (after, high, _) in pairwise(curve):
        if high >= level > low:
            return before + (after - before) * (level - low) / (high - low)
    return curve[0][0]


def with_predictions(rows: list[dict[str, Any]], data: ImageData, file: Path) -> list[dict[str, Any]]:
    """Rows with alignment and held-out R^2 that theory predicts of each, in the latent dimension trained."""
    known: dict[str, Any] = read_json(file) if file.exists() else {}
    problem: Problem | None = None
    for row in rows:
        kind = "denoising" if row["objective"] == "autoencoder" else row["objective"]
        key = json.dumps([kind, row["noise"] or row["views_noise"], row["target"]])
        if key not in known:
            problem = problem or make_problem(data)
            known[key] = predict(row, problem)
            write_json(file, known)
        row["predicted"] = known[key]
    return rows


def predict(row: dict[str, Any], problem: Problem) -> dict[str, float] | None:
    """Of reconstruction the denoising solution, of SimCLR the joint embedding; ``None`` where there is no theory."""
    spec = row["noise"] or row["views_noise"]
    noise = make_noise(spec).prepare(problem.data) if spec else None
    if row["objective"] in ("autoencoder", "denoising"):
        target = make_target(row["target"]).prepare(problem.data) if row["target"] else None
        basis = solve(problem, noise, target, LATENT)
    elif row["objective"] == "simclr" and noise is not None:
        solution = joint_embedding(problem.train.second, noise, problem.shape)[1][:, :LATENT]
        basis = whitened(solution, problem.train.second)
    else:
        return None
    found = alignment(basis, problem.train, total=problem.energy["official"])[-1]
    return {"alignment": float(found), "held_out": float(held_out(basis, problem.train, problem.test)[-1])}


def page(name: str, rows: list[dict[str, Any]], designs: list[dict[str, Any]]) -> str:
    """The study as Markdown: predicted and trained side by side, then over training."""
    samples = [int(point[0]) for point in next(iter(rows[0]["curves"].values()))]
    lines = [
        f"# Designed noises and targets on {name}: predicted and trained",
        "",
        f"`scripts/noise_study {name} --out DIR` makes this page. Small CNN, latent of {LATENT}, seeds {SEEDS}; linear "
        "probe on test images in percent, mean ± sd over seeds. Predicted: alignment (in sample, percent), R² on test "
        f"images of the optimal linear encoder of {LATENT} dimensions. Samples to 90 %: when the probe was nine tenths "
        "of the way from its start to its best. Designs were settled before training; nothing was tuned.",
        "",
        "| | noise or target | probe | min to max | samples to 90 % | predicted alignment | predicted R² |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        finals = [100 * curve[-1][1] for curve in row["curves"].values()]
        spread = f" ± {100 * row['sd']:.1f}" if row["sd"] is not None else ""
        found = row["predicted"]
        speed = "never rose" if row["speed"] is None else f"{row['speed']:,.0f} ({row['rose']} of {len(finals)} rose)"
        numbers = ("", "") if found is None else (f"{found['alignment']:.1f}", f"{found['held_out']:.3f}")
        lines.append(
            f"| {row['objective']} | {describe(row, designs)} | {100 * row['probe']:.1f}{spread} | "
            f"{min(finals):.1f} to {max(finals):.1f} | {speed} | {numbers[0]} | {numbers[1]} |"
        )
    lines += ["", *agreement(rows), "", "## Over training", "", "Mean probe over seeds, by samples seen.", ""]
    lines += [f"| | | {' | '.join(f'{seen:,}' for seen in samples)} |", "|---|---|" + "---:|" * len(samples)]
    for row in rows:
        curves = list(row["curves"].values())
        means = [mean(curve[at][1] for curve in curves) if len(curves[0]) > at else None for at in range(len(samples))]
        cells = " | ".join("" if value is None else f"{100 * value:.1f}" for value in means)
        lines.append(f"| {row['objective']} | {describe(row, designs)} | {cells} |")
    lines += ["", "## How far the weights moved", ""]
    lines += [
        f"Distance of the backbone's weights from their start, relative to their norm, after {samples[1]:,} images and "
        "at the end, and the mean running variance of the first batch norm at the former (mean over seeds).",
        "",
        f"| | | after {samples[1]:,} | at the end | variance |",
        "|---|---|---:|---:|---:|",
    ]
    for row in rows:
        known = [found for found in row["moved"].values() if found is not None]
        if known:
            cells = (mean(found[key] for found in known) for key in ("early", "late", "spread"))
            early, late, spread = cells
            lines.append(f"| {row['objective']} | {describe(row, designs)} | {early:.2%} | {late:.1%} | {spread:.3f} |")
    lines += ["", "## The designs", ""]
    for design in designs:
        found = " ".join(filter(None, [design["noise"], design["target"] and f"target {design['target']}"]))
        lines.append(
            f"- {design['knowledge']}, {design['side']}, {design['family']}: "
            f"`{found or 'nothing designed'}`; worth by its own knowledge {design['worth']:.2f}, "
            f"without {design['worth_without']:.2f}; relevance {design['relevance']}"
        )
    return "\n".join([*lines, ""])


def describe(row: dict[str, Any], designs: list[dict[str, Any]]) -> str:
    """A design by its knowledge and side, anything else by its spec."""
    for design in designs:
        same = (row["noise"] or row["views_noise"], row["target"]) == (design["noise"], design["target"])
        if same and (design["noise"] or design["target"]):
            bands = " (rings)" if design["family"] == "spectrum" else ""
            return f"**designed: {design['knowledge']}, {design['side']}{bands}**"
    words = [row["noise"], row["target"] and f"target {row['target']}", row["views_noise"]]
    return " ".join(f"`{word}`" for word in words if word)


def agreement(rows: list[dict[str, Any]]) -> list[str]:
    """Rank correlation of prediction and probe over the reconstructions."""
    known = [row for row in rows if row["predicted"] is not None and row["objective"] != "simclr"]
    lines = []
    for key, name in (("alignment", "alignment"), ("held_out", "held-out R²")):
        value = spearmanr([row["predicted"][key] for row in known], [row["probe"] for row in known])
        lines.append(f"Rank correlation of predicted {name} with the probe, {len(known)} reconstructions: ")
        lines[-1] += f"{float(value.statistic):+.2f} (p = {float(value.pvalue):.2g})."
    return lines


if __name__ == "__main__":
    main()
