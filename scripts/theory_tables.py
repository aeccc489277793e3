"""Tables of reports/theory: what closed forms predict of noises and targets on a dataset. Trains nothing.

    .venv/bin/python scripts/theory_tables.py cifar10 --out reports/theory

writes cifar10.json, cifar10.md and cifar10.png. About three minutes for CIFAR-10 on two cores; SSL_BENCH_DATA says
where the images are.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ssl_bench.aligning import Problem, align, make_problem
from ssl_bench.config import DesignConfig, validate
from ssl_bench.data.images import ImageData
from ssl_bench.data.load import load_dataset
from ssl_bench.designing import propose
from ssl_bench.drawing.alignment import draw
from ssl_bench.files import replace_file, write_json, write_text
from ssl_bench.noise import make_noise
from ssl_bench.theory.alignment import alignment

LADDER = (8, 16, 32, 64, 128, 256, 512)
COLOURS = {
    "white": "gaussian(sigma=1)",
    "pink": "power_law(alpha=1, sigma=1)",
    "brown": "power_law(alpha=2, sigma=1)",
    "blue": "power_law(alpha=-1, sigma=1)",
    "steep red": "power_law(alpha=5, sigma=3)",
}
MASKS = [f"mask(ratio={ratio}, patch={patch})" for patch in (1, 2, 4, 8) for ratio in (0.25, 0.5, 0.75, 0.9)]
FREQUENCY = [f"frequency_mask(cutoff=0.1, keep={keep})" for keep in ("low", "high", "either")]
TARGETS = ["bottom(share=0.5)", "bottom(share=0.2)", "bottom(share=0.05)"]
# The five sources of knowledge, with the labels a class they look at.
KNOWLEDGE: dict[str, dict[str, Any]] = {
    "(a) labels": {"knowledge": "labels", "labels": 10},
    "(b) bands": {"knowledge": "bands", "worth": [0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0]},
    "(c) invariance": {"knowledge": "invariance"},
    "(d) flat": {"knowledge": "flat"},
    "(e) nonlinear": {"knowledge": "nonlinear", "labels": 100},
}
LATENT = 64
DRAWN = (*COLOURS.values(), "mask(ratio=0.75, patch=4)")


def main() -> None:
    """Design, align, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--out", type=Path, default=Path("reports/theory"))
    arguments = parser.parse_args()
    settings = validate(DesignConfig, {"dataset": {"name": arguments.dataset}})
    data = load_dataset(settings.dataset)
    ladder = [k for k in LADDER if k < data.train.images[0].numel()]
    designs = make_designs(data, settings)
    handmade = align(data, noise=[*COLOURS.values(), *MASKS, *FREQUENCY], k=ladder)
    targets = align(data, target=TARGETS, k=ladder)["noises"]
    designed = [_designed(data, design, ladder) for design in designs]
    result = {
        **handmade,
        "targets": targets,
        "designs": [{**design, "predicted": found} for design, found in zip(designs, designed, strict=True)],
        "diagonal_part": diagonal_parts(make_problem(data), ladder),
    }
    write_json(arguments.out / f"{arguments.dataset}.json", result)
    write_text(arguments.out / f"{arguments.dataset}.md", page(arguments.dataset, result))
    some = [entry for entry in handmade["noises"] if entry["noise"] in DRAWN]
    labelled = [
        {**found, "label": f"designed: {design['name']}, {design['side']}"}
        for design, found in zip(designs, designed, strict=True)
        if found is not None
    ]
    figure = draw({**handmade, "noises": [*some, *labelled]})
    replace_file(arguments.out / f"{arguments.dataset}.png", lambda path: figure.savefig(path, format="png", dpi=100))


def make_designs(data: ImageData, settings: DesignConfig) -> list[dict[str, Any]]:
    """A noise and a target from each source of knowledge."""
    designs = []
    for name, chosen in KNOWLEDGE.items():
        for side in ("input", "target"):
            merged = {**settings.model_dump(mode="json"), **chosen, "side": side, "latent_dim": LATENT}
            found = propose(validate(DesignConfig, merged), data)
            relevance = [round(value, 4) for value in found.relevance.worth.tolist()]
            designs.append(
                {"name": name, "side": side, "noise": found.noise, "target": found.target, "relevance": relevance}
            )
    return designs


def _designed(data: ImageData, design: dict[str, Any], ladder: list[int]) -> dict[str, Any] | None:
    """What is predicted of a design; ``None`` where nothing was designed."""
    if design["noise"] is None and design["target"] is None:
        return None
    return align(data, noise=design["noise"], target=design["target"], k=ladder)


def diagonal_parts(problem: Problem, ladder: list[int]) -> list[dict[str, Any]]:
    """Alignment if each noise had no more than its diagonal in the principal components: what its scatter does alone.

    ``slope`` and ``scatter``: of ln nu against ln l, weighted alike over the leading 512 components.
    """
    rows = []
    for spec in COLOURS.values():
        covariance = make_noise(spec).second_map(torch.zeros_like(problem.train.second), problem.shape)
        components = problem.components[:, : problem.rank]
        inside = covariance @ components
        added = (components * inside).sum(0)
        order = _order(problem.variances[: problem.rank], added)
        basis = problem.components[:, order] / problem.variances[order].sqrt()
        found = alignment(basis, problem.train, total=problem.energy["official"])
        few = min(512, problem.rank)
        logs = problem.variances[:few].log(), added[:few].clamp(min=1e-12).log()
        slope = float(((logs[0] - logs[0].mean()) * logs[1]).sum() / (logs[0] - logs[0].mean()).square().sum())
        residual = logs[1] - slope * logs[0]
        beside = 1 - float(added.square().sum() / inside.square().sum())
        rows.append(
            {
                "noise": spec,
                "alignment": [float(found[k - 1]) for k in ladder],
                "slope": slope,
                "scatter": float((residual - residual.mean()).square().mean().sqrt()),
                "off_diagonal": beside,
            }
        )
    return rows


def _order(variances: Tensor, added: Tensor) -> Tensor:
    return (variances.square() / (variances + added)).sort(descending=True, stable=True).indices


def page(name: str, result: dict[str, Any]) -> str:
    """The tables as Markdown."""
    ladder = result["k"]
    head = [
        f"# Alignment on {result['dataset']}",
        "",
        f"`.venv/bin/python scripts/theory_tables.py {name} --out reports/theory` writes this page, {name}.json and "
        f"the picture. {result['samples']:,} training images of {result['dimension']:,} dimensions. Alignment(K) in "
        "percent (official definition, in sample), in brackets its change against no noise; below, R² on the test "
        "images and d(K), how far the latent subspace turned. What it says is in [README.md](README.md).",
        "",
        f"![alignment against K]({name}.png)",
        "",
    ]
    lines = _table("Colours, masks, frequency masks", ladder, [result, *result["noises"]], result["chance"])
    lines += _table("Targets", ladder, result["targets"], None)
    lines += [f"## Designed for K = {LATENT}", ""]
    lines += ["Relevance of the twelve PCA bands, largest variance first, as each source of knowledge has it:", ""]
    for design in result["designs"]:
        if design["side"] == "input":
            lines.append(f"- {design['name']}: {', '.join(f'{value:.3g}' for value in design['relevance'])}")
    lines.append("")
    found = []
    for design in result["designs"]:
        label = f"{design['name']}, {design['side']}"
        if design["predicted"] is None:
            lines.append(f"{label}: nothing to gain, nothing designed.")
            lines.append("")
        else:
            lines += [f"{label}: `{design['noise'] or design['target']}`", ""]
            found.append({**design["predicted"], "label": label})
    lines += _table("What is predicted of them", ladder, found, None)
    lines += _diagonal_table(ladder, result)
    return "\n".join([*head, *lines])


def _table(title: str, ladder: list[int], entries: list[dict[str, Any]], chance: list[float] | None) -> list[str]:
    lines = [f"## {title}", "", f"| | {' | '.join(f'K={k}' for k in ladder)} |", "|---|" + "---:|" * len(ladder)]
    if chance is not None:
        lines.append(_row("chance", [f"{value:.1f}" for value in chance]))
    for entry in entries:
        name = entry.get("label") or " ".join(
            filter(None, [entry["noise"], entry["target"] and f"target {entry['target']}"])
        )
        change = entry.get("change")
        cells = [f"{value:.1f}" for value in entry["alignment"]]
        if change is not None:
            cells = [f"{cell} ({value:+.1f} %)" for cell, value in zip(cells, change, strict=True)]
        lines.append(_row(name or "no noise", cells))
        lines.append(_row("… held-out R²", [f"{value:.3f}" for value in entry["held_out"]]))
        if change is not None:
            lines.append(_row("… d(K)", [f"{value:.2f}" for value in entry["subspace_distance"]]))
    return [*lines, ""]


def _diagonal_table(ladder: list[int], result: dict[str, Any]) -> list[str]:
    """Why coloured noise deviates: the diagonal alone against all of it."""
    lines = [
        "## Colours that commute, and that do not",
        "",
        "Change of alignment by the whole noise, and by its diagonal in the principal components alone. Slope and "
        "scatter are of ln(noise) against ln(variance) over the 512 leading components; off-diagonal is the share of "
        "the noise covariance's squared entries that is not on the diagonal.",
        "",
        f"| | slope | scatter | off-diagonal | {' | '.join(f'K={k}' for k in ladder)} |",
        "|---|" + "---:|" * (len(ladder) + 3),
    ]
    by_noise = {entry["noise"]: entry for entry in result["noises"]}
    for row in result["diagonal_part"]:
        whole = by_noise[row["noise"]]
        changes = [
            100 * (value / clean - 1) for value, clean in zip(row["alignment"], result["alignment"], strict=True)
        ]
        numbers = [f"{row['slope']:.2f}", f"{row['scatter']:.2f}", f"{row['off_diagonal']:.2f}"]
        lines.append(_row(row["noise"], [*numbers, *(f"{value:+.1f} %" for value in whole["change"])]))
        lines.append(_row("… diagonal alone", ["", "", "", *(f"{value:+.1f} %" for value in changes)]))
    return [*lines, ""]


def _row(name: str, cells: Sequence[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
