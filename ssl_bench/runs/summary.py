"""Rows of summary.json, read back from run directories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ssl_bench.config import Config
from ssl_bench.files import read_json
from ssl_bench.runs.directory import RunDirectory

PROBE_KEYS = (
    "linear_top1",
    "linear_interval",
    "held_out_top1",
    "knn_top1",
    "head_top1",
    "selected_lr",
    "train_samples",
    "test_samples",
)


def summarise_runs(runs: Sequence[RunDirectory]) -> list[dict[str, Any]]:
    """One row a run, in the order given; parts a run does not have yet are ``None``."""
    return [summarise_run(run) for run in runs]


def summarise_run(run: RunDirectory) -> dict[str, Any]:
    """What one run came to: who it is, what it cost, its probe and its bands at the last snapshot."""
    record, config = run.record(), run.config()
    seen = record.get("progress", {}).get("samples_seen", 0)
    samples = record.get("dataset", {}).get("train_samples")
    per_epoch = samples // config.training.batch_size * config.training.batch_size if samples else 0
    epochs = seen / per_epoch if per_epoch else 0
    return {
        "id": record["id"],
        "directory": run.path.name,
        "objective": config.objective.name,
        "noise": config.noise,
        "target": config.target,
        "views_noise": config.views.noise,
        "backbone": config.backbone.name,
        "embedding": config.backbone.embedding,
        "dataset": config.dataset.name,
        "seed": config.seed,
        "epochs": int(epochs) if epochs == int(epochs) else round(epochs, 3),
        "samples_seen": seen,
        "seconds": record.get("timings", {}).get("train_seconds", 0.0),
        "flops": record.get("flops"),
        "train_flops": _train_flops(record, seen),
        "status": record["status"],
        "chance": record.get("dataset", {}).get("chance"),
        "subspace": record.get("dataset", {}).get("subspace"),
        "error": record.get("error"),
        "probe": _probe(run),
        "spectrum": _spectrum(run),
    }


def _train_flops(record: dict[str, Any], samples_seen: int) -> float | None:
    """Floating point operations of the training so far; ``None`` where they were not counted."""
    flops = record.get("flops")
    an_image = flops.get("train_image") if isinstance(flops, dict) else None
    return an_image * samples_seen if isinstance(an_image, int | float) else None


def _probe(run: RunDirectory) -> dict[str, Any] | None:
    if not run.evaluation_file.exists():
        return None
    content = read_json(run.evaluation_file)
    last = content["snapshots"][-1]
    if last["step"] != run.last_step:
        return None  # an earlier snapshot was probed, the trained encoder was not
    return {
        "protocol": content["protocol"],
        "feature_point": content.get("feature_point"),
        **{key: last.get(key) for key in PROBE_KEYS},
        "probes": {name: one["top1"] for name, one in last.get("probes", {}).items()},
    }


def _spectrum(run: RunDirectory) -> dict[str, Any] | None:
    if not run.spectrum_file.exists():
        return None
    content = read_json(run.spectrum_file)
    if content["snapshots"][-1]["step"] != run.last_step:
        return None
    keys = ("pca", "patch_pca", "radial", "dct", "order", "embedding", "accuracy", "r2_gap", "token_spectrum")
    return {key: content.get(key) for key in keys}  # files of earlier versions hold fewer


def configuration_name(config: Config) -> str:
    """A configuration in one line, without its seed."""
    inside = "".join(f" {spec}" for spec in (config.noise, config.target, config.views.noise) if spec)
    images = " ".join(word for word in (config.dataset.name, config.dataset.subspace) if word)
    return f"{config.objective.name}{inside} {config.backbone.name} {images}"
