"""What ``evaluate`` and ``analyze`` take and print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssl_bench.config import AnalysisConfig, DatasetConfig, EncoderConfig, EvaluationConfig, validate
from ssl_bench.data import DATASETS
from ssl_bench.encoders import is_encoder
from ssl_bench.errors import UserError, did_you_mean
from ssl_bench.overrides import load_config

SECTIONS: dict[str, type[EvaluationConfig] | type[AnalysisConfig]] = {
    "evaluation": EvaluationConfig,
    "analysis": AnalysisConfig,
}


@dataclass(frozen=True)
class Asked:
    """What is asked of a target; ``encoder`` and ``dataset`` for one from elsewhere alone."""

    section: Any
    encoder: EncoderConfig | None = None
    dataset: DatasetConfig | None = None


def measured_target(target: str, section: str, overrides: Sequence[str] | None) -> Asked:
    """Settings of a measurement: ``KEY`` and ``SECTION.KEY`` mean the same; a run's own are where it starts from.

    Raises: UserError for an unknown key, or the dataset or weights of a run.
    """
    given = load_config(None, [word.removeprefix(f"{section}.") for word in overrides or []])
    dataset = given.pop("dataset", None)
    encoder = {key: given.pop(key) for key in EncoderConfig.model_fields if key in given}
    if is_encoder(target):
        if "snapshot" in given:
            raise UserError(f"snapshot= is for run directories: {target} has no snapshots; leave it out")
        known = {*SECTIONS[section].model_fields, *EncoderConfig.model_fields, "dataset"}
        for key in given:
            if key not in known:
                raise UserError(f"unknown key '{key}'; {did_you_mean(key, known)}")
        wanted = validate(DatasetConfig, dataset or {}, "dataset")
        DATASETS.check(wanted.name)
        model = SECTIONS[section]
        return Asked(validate(model, given, section), validate(EncoderConfig, encoder, "encoder"), wanted)
    own = sorted([*encoder, *(["dataset"] if dataset is not None else [])])
    if own:
        raise UserError(
            f"{own[0]}= is for an encoder from elsewhere, such as timm:resnet18; "
            f"{target} is taken for a run directory, which has its own"
        )
    from ssl_bench.runs.directory import RunDirectory

    current = getattr(RunDirectory(Path(target)).config(), section)
    settings = {**current.model_dump(mode="json"), "snapshot": "last", **given}
    return Asked(validate(type(current), settings, section))


def evaluation_lines(result: dict[str, Any]) -> list[str]:
    """An evaluation for people: one line a probe."""
    lines = _about_weights(result)
    for name, found in result["probes"].items():
        low, high = found["interval"]
        chosen = ", ".join(f"{key} {_plain(value)}" for key, value in found.get("chosen", {}).items())
        chosen += "" if found["feature_point"] == result["feature_point"] else f"  ({found['feature_point']})"
        lines.append(
            f"{name:>9} ({found['protocol']}): {found['top1']:.4f}  [{low:.4f}, {high:.4f}]"
            + (f"  {chosen}" if chosen else "")
        )
        lines += [
            f"{'':>9} {row['shots']} a class: {row['mean']:.4f} ± {row['sd']:.4f} over {row['draws']} draws"
            for row in found.get("shots", [])
        ]
    where = f"{result['test_samples']:,} test images of {result['dataset']}"
    return [*lines, f"chance: {result['chance']:.4f}; {where}; {result['feature_point']}; step {result['step']}"]


def analysis_lines(result: dict[str, Any]) -> list[str]:
    """Bands for people: one table a basis, then the embedding as a whole."""
    lines = _about_weights(result)
    for basis in ("pca", "patch_pca", "radial", "dct"):
        lines.append(
            f"{basis:>9} {'variance':>8} {'error':>7} {'half-time':>10} {'decoded':>8} {'half-time':>10} {'chance':>7}"
        )
        for band in result[basis]:
            where = f"{band['low']:g}-{band['high']:g}" if "pca" in basis else f"{band['low']:.2f}-{band['high']:.2f}"
            keys = ("relative_error", "half_time", "decodability", "decodability_half_time", "decodability_chance")
            error, half, decoded, decoded_half, chance = (_short(band[key]) for key in keys)
            lines.append(
                f"{where:>9} {band['variance_fraction']:8.4f} {error:>7} {half:>10} {decoded:>8} {decoded_half:>10} "
                f"{chance:>7}"
            )
    lines.append(f"{'radial':>9} {'moves':>8} {'its error':>10} {'alone':>7} {'low-pass':>9} {'high-pass':>10}")
    for band in result["radial"]:
        keys = ("sensitivity", "sensitivity_error", "accuracy_band", "accuracy_low", "accuracy_high")
        moves, wrong, alone, low, high = (_short(band[key]) for key in keys)
        lines.append(f"{band['low']:.2f}-{band['high']:.2f} {moves:>8} {wrong:>10} {alone:>7} {low:>9} {high:>10}")
    gap = result["r2_gap"]
    lines.append(f"R^2 gap, top less bottom components: {_short(None if gap is None else gap['gap'])}")
    lines += [f"{name}: {_short(value)}" for name, value in result["embedding"].items()]
    return lines


def _about_weights(result: dict[str, Any]) -> list[str]:
    """What a reader has to know of the weights before any number."""
    lines, loaded = [], result.get("encoder", {})
    if not result["trained"]:
        lines.append(
            f"UNTRAINED: {result['target']} has no weights but its random first ones; give weights=FILE, or a snapshot"
        )
    misfits = {key: loaded[key] for key in ("missing", "mismatched", "unexpected") if loaded.get(key)}
    if misfits:
        counts = ", ".join(f"{len(keys)} {key} (such as {next(iter(keys))})" for key, keys in misfits.items())
        lines.append(f"PARTIAL: {loaded['matched']} keys of {loaded['weights_file']} were loaded; {counts}")
    if loaded.get("others"):
        lines.append(f"not taken from {loaded['weights_file']}: {', '.join(map(str, loaded['others']))}")
    return lines


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).lower()


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
