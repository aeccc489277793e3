"""Fill in what depends on the dataset, the backbone and the objective, and refuse what cannot be."""

from __future__ import annotations

import torch
from torch import nn

from ssl_bench.backbones import make_backbone
from ssl_bench.backbones.base import Backbone
from ssl_bench.backbones.feature_point import FeaturePoint
from ssl_bench.backbones.outline import outline_backbone
from ssl_bench.config import (
    DEFAULT_RATES,
    BackboneConfig,
    Config,
    ObjectiveConfig,
    TrainingConfig,
    ViewsConfig,
    section_options,
)
from ssl_bench.data.images import ImageData
from ssl_bench.data.views import resolve_recipe
from ssl_bench.errors import UserError
from ssl_bench.memory import available_memory
from ssl_bench.noise import canonical
from ssl_bench.objectives import OBJECTIVES
from ssl_bench.objectives.base import Given, Objective
from ssl_bench.targets import canonical_target


def drop_unused(config: Config) -> Config:
    """Without the settings the objective does not use: how one matrix serves objectives that differ in what they take.

    ``noise`` is for objectives that corrupt their input, ``target`` for those that reconstruct, ``views`` for those
    that train on augmented views, ``training`` for those that train.
    """
    objective = OBJECTIVES.get(config.objective.name)
    changes: dict[str, object] = {}
    if objective.default_noise is None:
        changes["noise"] = None
    if not objective.takes_target:
        changes["target"] = None
    if objective.views.recipe == "none":
        changes["views"] = ViewsConfig()
    if not objective.trains:
        kept = {"accelerator", "devices", "nodes"}
        changes["training"] = TrainingConfig(**config.training.model_dump(include=kept))
    return config.model_copy(update=changes)


def resolve(config: Config, data: ImageData, gpu: bool | None = None) -> Config:
    """The complete configuration of a run on a dataset. Resolving it again changes nothing.

    Args:
        config: What was asked for.
        data: The dataset, or an outline of it.
        gpu: Whether there is a GPU where the run will be done; by default, whether there is one here.

    Raises: UserError for an unknown name or option, a setting the objective does not take, or an impossible pair.
    """
    objective = OBJECTIVES.get(config.objective.name)
    name = config.objective.name
    on_gpu = config.training.accelerator != "cpu" and (torch.cuda.is_available() if gpu is None else gpu)
    options = section_options(config.objective, objective.options_model, "objective")
    if config.noise is not None and objective.default_noise is None:
        raise UserError(
            f"objective {name!r} takes no noise: give noise=null, or use objective=denoising, or views.noise"
        )
    if config.target is not None and not objective.takes_target:
        raise UserError(
            f"objective {name!r} reconstructs nothing and takes no target: give target=null, "
            "or use objective=autoencoder, denoising or mae"
        )
    if config.views != ViewsConfig() and objective.views.recipe == "none":
        raise UserError(
            f"objective {name!r} trains on the images themselves and takes no views settings: leave them out"
        )
    noise = config.noise or objective.default_noise
    views_noise = config.views.noise
    resolve_recipe(config.views, objective.views.recipe, data.image_size)
    if objective.trains:
        _check_training(config, data, objective.views.count, on_gpu)
    rate = config.training.learning_rate or DEFAULT_RATES[config.training.optimizer]
    return config.model_copy(
        update={
            "objective": ObjectiveConfig.model_validate({"name": name, **options.model_dump(mode="json")}),
            "noise": canonical(noise) if noise else None,
            "target": canonical_target(config.target) if config.target else None,
            "views": config.views.model_copy(update={"noise": canonical(views_noise) if views_noise else None}),
            "backbone": _resolve_backbone(config, data, objective, here=gpu is None),
            "training": config.training.model_copy(
                update={"learning_rate": rate, "precision": _precision(config, on_gpu)}
            ),
        }
    )


def check_evaluation(config: Config, data: ImageData) -> None:
    """Whether what is asked of a run after its training can be answered, before it is trained.

    Raises: UserError for a feature point its backbone does not have, or more labels a class than there are.
    """
    asked = config.evaluation
    if asked.layer is not None or asked.feature_point != "embedding":
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            backbone = make_backbone(config.backbone, data.image_size, data.channels).eval()
            backbone.read(data.standardised(data.train.images[:1]), FeaturePoint(asked.feature_point, asked.layer))
    smallest = int(torch.bincount(data.train.labels, minlength=data.classes).min())
    if "few_shot" in asked.probes and max(asked.shots) > smallest:
        raise UserError(f"evaluation.shots={max(asked.shots)}: the smallest class has {smallest} training images")


def _resolve_backbone(config: Config, data: ImageData, objective: type[Objective], here: bool) -> BackboneConfig:
    """The backbone with its embedding settled, after asking whether the objective can train it."""
    chosen = config.backbone
    if objective.fixed_backbone is not None:
        fixed = {"name": objective.fixed_backbone, "embedding": "latent", "patch_size": None}
        return chosen.model_copy(update=fixed)
    if chosen.name == "pixels":
        raise UserError("backbone 'pixels' trains nothing: use objective=pixels")
    outline = outline_backbone(chosen, data.image_size, data.channels)
    info = outline.info
    reason = objective.unsupported(info)
    if reason is not None:
        raise UserError(reason)
    if here:  # the memory of another machine is not known
        _check_weights(_count_weights(outline, config, data, objective), config, objective)
    return chosen.model_copy(update={"embedding": info.embedding})


def _count_weights(outline: Backbone, config: Config, data: ImageData, objective: type[Objective]) -> int:
    """How many weights a run has, its heads included."""
    whole: nn.Module = outline
    options = section_options(config.objective, objective.options_model, "objective")
    try:
        with torch.device("meta"), torch.random.fork_rng(devices=[]):
            whole = objective.build(outline, options, Given(data.classes))
    except UserError:
        raise
    except Exception:  # heads that cannot be outlined: without its noise, or by third-party code
        whole = outline
    return sum(weight.numel() for weight in whole.parameters())


def _check_weights(count: int, config: Config, objective: type[Objective]) -> None:
    """Refuse a network that this machine has no memory for, before it is built.

    Raises: UserError.
    """
    # In float32: the weights; when they are trained here, also their gradients and the two moments of AdamW.
    copies = 4 if objective.trains and (config.training.accelerator == "cpu" or not torch.cuda.is_available()) else 1
    free = available_memory()
    if free is not None and 4 * copies * count > free:
        raise UserError(
            f"backbone {config.backbone.name!r} with objective {config.objective.name!r} has {count:,} weights, which "
            f"take {4 * copies * count / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB of memory are free: use a smaller "
            "backbone, a smaller backbone.latent_dim, or smaller images"
        )


def _precision(config: Config, on_gpu: bool) -> str:
    """Float32 on a CPU, bf16 on a GPU, unless the user says otherwise; part of what a run is."""
    return config.training.precision or ("bf16-mixed" if on_gpu else "32-true")


def cpu_multiplies_bf16() -> bool:
    """Whether this processor has instructions for bf16 products: AVX512_BF16 or AMX. Others take 150 times as long."""
    # Torch's own queries; where a version of it has none, nothing is known in favour of the processor.
    queries = (getattr(torch.cpu, f"_is_{name}_supported", None) for name in ("avx512_bf16", "amx_tile"))
    return any(query() for query in queries if query is not None)


def _check_training(config: Config, data: ImageData, views: int, on_gpu: bool) -> None:
    settings = config.training
    if settings.batch_size > len(data.train):
        raise UserError(
            f"training.batch_size={settings.batch_size} is larger than the dataset: "
            f"with {len(data.train)} training images use training.batch_size={len(data.train)} or less"
        )
    count = settings.devices * settings.nodes
    if settings.batch_size % (settings.accumulate * count):
        raise UserError(
            f"training.batch_size={settings.batch_size}, of all processes together, cannot be shared equally by "
            f"training.accumulate={settings.accumulate} parts on {count} devices: use a multiple of "
            f"{settings.accumulate * count}"
            if count > 1
            else f"training.accumulate={settings.accumulate} does not divide training.batch_size={settings.batch_size}"
        )
    if count > 1 and settings.strategy == "fsdp" and settings.optimizer == "lars":
        raise UserError(
            "training.optimizer=lars needs whole weights, which training.strategy=fsdp spreads over the processes: "
            "use training.strategy=ddp, or training.optimizer=adamw"
        )
    if views > 1 and settings.batch_size // settings.accumulate < 2:
        raise UserError(
            f"training.accumulate={settings.accumulate} leaves {config.objective.name!r} one image at a time, "
            "and nothing to compare it with: use less"
        )
    if settings.accelerator == "gpu" and not on_gpu:
        raise UserError("training.accelerator=gpu, but torch sees no GPU here: use training.accelerator=auto")
    if settings.precision == "bf16-mixed" and not on_gpu and not cpu_multiplies_bf16():
        raise UserError(
            "training.precision=bf16-mixed, but this CPU has no instructions for bf16 and would be many times slower "
            "than in float32: use training.precision=32-true"
        )
