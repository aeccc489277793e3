"""From settings with lists to the cells of a comparison."""

from __future__ import annotations

import itertools
import types
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from ssl_bench.config import Config, Options, ViewsConfig, decides, flatten, identity, validate
from ssl_bench.data import DATASETS
from ssl_bench.data.images import ImageData
from ssl_bench.errors import UserError
from ssl_bench.objectives import OBJECTIVES
from ssl_bench.resolve import drop_unused, resolve

BASELINES = ("supervised", "random", "pixels")


class Skipped(Options):
    """A cell that cannot be: an objective on a backbone it does not support, where another backbone can."""

    objective: str
    backbone: str
    reason: str


def axes(raw: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The dotted keys that hold a list where a single value is wanted, with their values, in the order given.

    Raises: UserError for an empty list.
    """
    found: dict[str, list[Any]] = {}
    for key, value in flatten(raw).items():
        if not isinstance(value, list) or (_takes_list(raw, key) and not any(isinstance(item, list) for item in value)):
            continue
        if not value:
            raise UserError(f"'{key}' is an empty list: nothing to compare")
        if not decides(key):
            raise UserError(f"'{key}' does not change a run, so that a list of it spans no matrix: give one value")
        found[key] = value
    return found


def cells(raw: Mapping[str, Any]) -> list[Config]:
    """Every combination of the axes, without what an objective does not use, each once.

    Raises: UserError for a wrong or unknown setting.
    """
    lists = axes(raw)
    configs = []
    for values in itertools.product(*lists.values()):
        cell = _with(raw, dict(zip(lists, values, strict=True)))
        configs.append(drop_unused(validate(Config, _own_options(cell, raw))))
    return _unique(configs)


def baseline_cells(configs: list[Config], names: tuple[str, ...]) -> list[Config]:
    """The reference lines of a comparison: each baseline once a backbone, dataset and seed; ``pixels`` for one seed.

    ``supervised`` trains on the views the comparison asks for, without their noise.
    """
    asked = {config.objective.name for config in configs}
    made = []
    for name in [name for name in names if name not in asked]:
        for config in configs:
            seed = configs[0].seed if name == "pixels" else config.seed
            views = {**_views_beside(config, configs).model_dump(mode="json"), "noise": None}
            changed = {"objective": {"name": name}, "noise": None, "target": None, "views": views, "seed": seed}
            if name == "pixels":  # which has no blocks and no tokens to be read from
                asked_of = {**config.evaluation.model_dump(mode="json"), "layer": None, "feature_point": "embedding"}
                changed["evaluation"] = asked_of
            made.append(drop_unused(validate(Config, {**config.model_dump(mode="json"), **changed})))
    return _unique(made)


def resolve_cells(
    configs: list[Config], data: Mapping[str, ImageData], gpu: bool | None = None
) -> tuple[list[Config], list[Skipped]]:
    """Resolve every cell; an objective that none of the backbones suits is a mistake, one that some do not is skipped.

    Args:
        configs: The cells.
        data: The datasets, by :func:`dataset_key`.
        gpu: Whether there is a GPU where they will be run; by default, whether there is one here.

    Raises: UserError.
    """
    resolved: list[Config] = []
    skipped: list[Skipped] = []
    refused: dict[str, UserError] = {}
    for config in configs:
        try:
            resolved.append(resolve(config, data[dataset_key(config)], gpu))
        except UserError as error:
            reason = _unsupported(config, data[dataset_key(config)])
            if reason is None:
                raise
            refused.setdefault(config.objective.name, error)
            skipped.append(Skipped(objective=config.objective.name, backbone=config.backbone.name, reason=reason))
    for name, mistake in refused.items():
        if name not in {config.objective.name for config in resolved}:
            raise mistake
    return _unique(resolved), list(dict.fromkeys(skipped))


def dataset_key(config: Config) -> str:
    """What tells the datasets of a comparison apart."""
    return config.dataset.model_dump_json()


def _views_beside(config: Config, configs: list[Config]) -> ViewsConfig:
    """The views asked for on the same backbone and dataset, by the first cell that trains on views."""
    for other in configs:
        same = (other.backbone, other.dataset) == (config.backbone, config.dataset)
        if same and OBJECTIVES.get(other.objective.name).views.recipe != "none":
            return other.views
    return ViewsConfig()


def _unsupported(config: Config, data: ImageData) -> str | None:
    from ssl_bench.backbones.outline import outline_backbone

    return OBJECTIVES.get(config.objective.name).unsupported(
        outline_backbone(config.backbone, data.image_size, data.channels).info
    )


def _unique(configs: list[Config]) -> list[Config]:
    return list({identity(config): config for config in configs}.values())


def _own_options(cell: dict[str, Any], raw: Mapping[str, Any]) -> dict[str, Any]:
    """A cell without the options that belong to another objective or dataset of the same matrix.

    An option that none of those named has stays, and is refused when the cell is resolved.
    """
    for section, registry in (("objective", OBJECTIVES), ("dataset", DATASETS)):
        names = raw.get(section, {}).get("name")
        if not isinstance(names, list):
            continue
        models = {name: _options_model(registry.get(name)) for name in names}
        own = models[cell[section]["name"]].model_fields
        others = {key for model in models.values() for key in model.model_fields}
        kept = {key: value for key, value in cell[section].items() if key in own or key not in others}
        cell = {**cell, section: kept}
    return cell


def _options_model(thing: Any) -> type[BaseModel]:
    """The options of an objective, or a dataset source, which is its own options."""
    model: type[BaseModel] = getattr(thing, "options_model", thing)
    return model


def _with(raw: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with dotted keys replaced."""
    changed: dict[str, Any] = {}
    for key, value in raw.items():
        inner = {name.partition(".")[2]: given for name, given in values.items() if name.startswith(f"{key}.")}
        changed[key] = _with(value, inner) if isinstance(value, Mapping) else values.get(key, value)
    return changed


def _takes_list(raw: Mapping[str, Any], key: str) -> bool:
    """Whether a setting's own type is a list or tuple, so that a list is one value of it."""
    section, _, last = key.partition(".")
    model: type[BaseModel] = Config
    if last:
        field = Config.model_fields.get(section)
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return False
        model, section = field.annotation, last
    field = model.model_fields.get(section) or _option_field(raw, key)
    return field is not None and _is_sequence(field.annotation)


def _option_field(raw: Mapping[str, Any], key: str) -> Any:
    """The field of an objective's or a dataset's own option, from the first of those named that has it."""
    section, _, name = key.partition(".")
    names = raw.get(section, {}).get("name", []) if isinstance(raw.get(section), Mapping) else []
    registry: Any = {"objective": OBJECTIVES, "dataset": DATASETS}.get(section)
    for thing in names if isinstance(names, list) else [names]:
        model = _options_model(registry.get(thing)) if registry is not None else Options
        if name in model.model_fields:
            return model.model_fields[name]
    return None


def _is_sequence(annotation: Any) -> bool:
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return any(_is_sequence(part) for part in typing.get_args(annotation))
    return origin in (list, tuple) or annotation in (list, tuple)
