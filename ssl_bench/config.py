"""Every setting, typed and strict, with "did you mean" for unknown keys; what decides a run's identity.

Sections whose meaning depends on a name (``objective``, ``dataset``) carry that thing's own options beside the common
keys; the registered thing validates them (:func:`section_options`). This module imports no torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from ssl_bench.errors import UserError, did_you_mean
from ssl_bench.explaining import explain

# What does not decide a run's result: where data lie, how it is shown and mirrored, what is asked of it afterwards, how
# its steps are made fast.
OUTSIDE_IDENTITY = (
    "evaluation",
    "analysis",
    "wandb",
    "dataset.root",
    "dataset.download",
    "training.log_every",
    "training.checkpoint_seconds",
    "training.accelerator",
    "training.compile",
    "training.channels_last",
    "training.resident",
    "training.devices",
    "training.nodes",
    "training.strategy",
    "training.deterministic",
)

# Settings that are younger than some finished runs, with the value that says what those runs did: at that value they
# are left out of the identity, so that such runs stay what they are.
YOUNGER = {
    "dataset.subspace": None,
    "dataset.grey": False,
    "dataset.crop": None,
    "dataset.skip_broken": False,
    "objective.loss": "cross_entropy",
    "training.sync_batchnorm": True,
}

# More than anybody means of epochs or dimensions, and the largest side of an image in pixels: what is above is a slip.
MOST = 1_000_000
LARGEST_IMAGE = 4096

# Peak learning rates for a batch of 256, used when none is given.
DEFAULT_RATES = {"adamw": 1e-3, "sgd": 0.06, "lars": 0.3}


class Options(BaseModel):
    """Base of every settings model: unknown keys are errors, values do not change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        field = cls.model_fields.get(str(info.field_name))
        if isinstance(value, bool) and field is not None and "bool" not in str(field.annotation):
            raise ValueError("true and false are for switches; this is none")
        return value


class ObjectiveConfig(Options):
    """Which objective; further keys are the objective's own options."""

    model_config = ConfigDict(extra="allow")
    name: str = "autoencoder"


class BackboneConfig(Options):
    """Which encoder, and its one embedding. ``None`` leaves the choice to the stated small-image rule."""

    name: str = "resnet_micro"
    embedding: Literal["latent", "mean", "cls"] | None = None
    latent_dim: int = Field(64, ge=1, le=MOST)
    patch_size: int | None = Field(None, ge=1)


class DatasetConfig(Options):
    """Which images; further keys are the source's own options.

    ``grey`` takes the colour away, ``crop`` all but the centre, of so many pixels a side. ``subspace`` then projects
    all of them on some principal components of the training images: ``top(share=0.9)``.
    """

    model_config = ConfigDict(extra="allow")
    name: str = "digits"
    root: str | None = None
    download: bool = False
    limit: int | None = Field(None, ge=2)
    test_limit: int | None = Field(None, ge=1)
    grey: bool = False
    crop: int | None = Field(None, ge=2, le=LARGEST_IMAGE)
    subspace: str | None = None

    @field_validator("subspace")
    @classmethod
    def _in_one_form(cls, text: str | None) -> str | None:
        # Here and not where the images are loaded: two ways to write one subspace must not make two runs.
        from ssl_bench.data.subspace_specs import canonical_subspace

        return None if text is None else canonical_subspace(text)


class ViewsConfig(Options):
    """The views an objective trains on. ``None`` keeps what the recipe says; ``recipe: null`` is the objective's own.

    Probabilities are a view's; ``jitter_strength`` is SimCLR's *s* (brightness, contrast, saturation 0.8 s, hue 0.2 s).
    """

    recipe: Literal["none", "crop", "simclr"] | None = None
    crop_scale: tuple[float, float] | None = None
    shift: int | None = Field(None, ge=0)
    flip: float | None = Field(None, ge=0, le=1)
    jitter: float | None = Field(None, ge=0, le=1)
    jitter_strength: float | None = Field(None, ge=0)
    grayscale: float | None = Field(None, ge=0, le=1)
    blur: float | None = Field(None, ge=0, le=1)
    solarize: float | None = Field(None, ge=0, le=1)
    noise: str | None = None


class TrainingConfig(Options):
    """The loop.

    ``learning_rate`` holds for the batch size given (``None``: the optimizer's usual one); ``warmup`` is a share of all
    steps, then a cosine to zero. ``accumulate`` splits each batch in that many parts to save memory: a contrastive loss
    then sees the negatives of one part only. ``precision`` ``None`` is bf16 on a GPU, float32 on a CPU.

    What makes steps fast is decided by the rules of ``training/speed.py`` where it is ``None``, and changes nothing but
    the rounding: to ``compile`` what an objective is made of; ``channels_last``, the layout of maps in memory;
    ``resident``, whether the images stay on the device, or are sent to it batch by batch.

    ``batch_size`` is that of all processes together: one a device, ``devices`` on each of ``nodes`` hosts. By
    ``strategy`` every process holds all weights (``ddp``), or a share of them (``fsdp``). Batch norms see the images of
    all processes unless ``sync_batchnorm`` is false. ``deterministic`` refuses what may differ from run to run.
    """

    epochs: int = Field(20, ge=0, le=MOST)
    batch_size: int = Field(256, ge=2)
    optimizer: Literal["adamw", "sgd", "lars"] = "adamw"
    learning_rate: float | None = Field(None, gt=0)
    weight_decay: float = Field(1e-3, ge=0)
    warmup: float = Field(0.1, ge=0, lt=1)
    clip_norm: float | None = Field(1.0, gt=0)
    accumulate: int = Field(1, ge=1)
    precision: Literal["32-true", "bf16-mixed"] | None = None
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    compile: bool | None = None
    channels_last: bool | None = None
    resident: bool | None = None
    devices: int = Field(1, ge=1)
    nodes: int = Field(1, ge=1)
    strategy: Literal["ddp", "fsdp"] = "ddp"
    sync_batchnorm: bool = True
    deterministic: bool = False
    snapshots: int = Field(12, ge=3, le=10_000)
    log_every: int = Field(10, ge=1)
    checkpoint_seconds: float = Field(30.0, ge=0)


class EvaluationConfig(Options):
    """Probes on features of clean images. ``linear`` and ``knn`` are always there; ``probes`` names further ones.

    Features are read at ``feature_point``, after block ``layer`` if one is given, and standardised unless told not to.
    The first of ``knn_k`` gives ``knn_top1``. ``shots`` are labels a class, drawn ``draws`` times.
    """

    probes: tuple[str, ...] = ()
    feature_point: Literal["embedding", "mean", "cls"] = "embedding"
    layer: int | None = Field(None, ge=1)
    standardise: bool = True
    held_out: float = Field(0.1, gt=0, lt=1)
    probe_epochs: int = Field(50, ge=1, le=MOST)
    probe_batch_size: int = Field(256, ge=1)
    learning_rates: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0), min_length=1
    )
    weight_decays: tuple[Annotated[float, Field(ge=0)], ...] = Field((0.0, 1e-4, 1e-3, 1e-2, 1e-1), min_length=1)
    knn_k: tuple[Annotated[int, Field(ge=1)], ...] = Field((20, 1, 5, 200), min_length=1)
    shots: tuple[Annotated[int, Field(ge=1)], ...] = Field((1, 5, 10), min_length=1)
    draws: int = Field(20, ge=2)
    finetune_epochs: int = Field(10, ge=1, le=MOST)
    snapshot: Literal["last", "all"] | int = "last"
    seed: int = 0

    @field_validator("knn_k", "shots", "probes", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return value if isinstance(value, list | tuple) else (value,)


class AnalysisConfig(Options):
    """Which bands, on how many images. Training images fit the bases and the ridge; test images are measured on.

    ``patch`` is the side of the patches whose components make the basis ``patch_pca``. The waves and band noises whose
    effect on the embedding is measured have ``wave_norm`` of the norm of a standardised image (the square root of its
    number of pixels); each is added to ``wave_samples`` images. What has to encode altered images anew does so on
    ``altered_samples`` of them. ``views`` of each of ``view_samples`` images, drawn once for all runs, are what LiDAR,
    and alignment and uniformity, look at.
    """

    bands: int = Field(8, ge=2)
    fit_samples: int = Field(4000, ge=20)
    test_samples: int = Field(2000, ge=10)
    patch: int = Field(4, ge=2)
    wave_norm: float = Field(0.1, gt=0)
    wave_samples: int = Field(8, ge=1)
    altered_samples: int = Field(200, ge=10)
    view_samples: int = Field(1000, ge=10)
    views: int = Field(10, ge=2)
    snapshot: Literal["last", "all"] | int = "all"


class EncoderConfig(Options):
    """An encoder from elsewhere: its weights, and what becomes of an image before it sees it.

    ``weights`` is a local file (``None``: untrained); with ``partial`` keys that do not match are allowed, and listed.
    ``image_size``, ``mean`` and ``std`` (a channel, of images in 0..1) replace the encoder's own preprocessing.
    """

    weights: str | None = None
    partial: bool = False
    image_size: int | None = Field(None, ge=1, le=LARGEST_IMAGE)
    mean: tuple[float, ...] | None = None
    std: tuple[Annotated[float, Field(gt=0)], ...] | None = None


class AlignConfig(Options):
    """What ``align`` is asked: a dataset, noises and targets to compare with none, latent dimensions (default: all)."""

    dataset: DatasetConfig = DatasetConfig()
    noise: str | tuple[str | None, ...] | None = None
    target: str | tuple[str | None, ...] | None = None
    k: tuple[Annotated[int, Field(ge=1)], ...] | None = None


class ShowConfig(Options):
    """What ``noise show`` and ``noise preview`` are asked beside the noise; 64 dimensions, or as many as there are."""

    dataset: DatasetConfig = DatasetConfig()
    latent_dim: int | None = Field(None, ge=1)
    bands: int = Field(8, ge=2)


class DesignConfig(Options):
    """What ``noise design`` is asked: images, what is known of them, and what the design may be.

    ``labels`` a class are looked at by the knowledge ``labels`` and ``nonlinear``; ``worth`` is one number a band for
    the knowledge ``bands``; ``bands`` are 12 by default, or as many as there are; ``views`` are those of the knowledge
    ``invariance``. ``power`` limits the noise's variance a pixel, where the image's is 1. Family ``spectrum`` is
    stationary: a convolution, without components at run time.
    """

    dataset: DatasetConfig = DatasetConfig()
    views: ViewsConfig = ViewsConfig()
    knowledge: Literal["labels", "bands", "invariance", "flat", "nonlinear"] = "labels"
    latent_dim: int = Field(64, ge=1)
    side: Literal["input", "target", "both"] = "input"
    family: Literal["pca", "spectrum", "mask", "mixture", "color_mask"] = "pca"
    labels: int = Field(10, ge=2)
    worth: tuple[Annotated[float, Field(ge=0)], ...] | None = None
    bands: int | None = Field(None, ge=2)
    power: float = Field(30.0, gt=0)
    curve: Literal["free", "smooth", "monotone"] = "free"
    seed: int = Field(0, ge=0)


class WandbConfig(Options):
    """Mirror of the metrics at Weights & Biases; the files of the run directory stay the truth."""

    mode: Literal["disabled", "offline", "online"] = "disabled"
    project: str = "ssl_bench"


class Config(Options):
    """Everything one run needs. Two runs with equal :func:`identity` are the same run."""

    objective: ObjectiveConfig = ObjectiveConfig()
    noise: str | None = None
    target: str | None = None
    views: ViewsConfig = ViewsConfig()
    backbone: BackboneConfig = BackboneConfig()
    dataset: DatasetConfig = DatasetConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    analysis: AnalysisConfig = AnalysisConfig()
    wandb: WandbConfig = WandbConfig()
    seed: int = Field(0, ge=0)


ModelT = TypeVar("ModelT", bound=BaseModel)


def validate(model: type[ModelT], raw: Mapping[str, Any], where: str = "configuration") -> ModelT:
    """Check settings against a model.

    Raises: UserError that names the key and the place, with the nearest known key where one is unknown.
    """
    try:
        return model.model_validate(dict(raw))
    except ValidationError as error:
        raise UserError(f"{where}: {explain(model, error)}") from error


def section_options(section: BaseModel, model: type[ModelT], where: str) -> ModelT:
    """The extra keys of a section, validated by the options model of the thing it names.

    Raises: UserError for an unknown key, with the nearest one among the section's own and the options.
    """
    extra = section.model_extra or {}
    known = {*type(section).model_fields, *model.model_fields}
    for key in extra:
        if key not in model.model_fields:
            raise UserError(f"unknown key '{where}.{key}'; {did_you_mean(key, known)}")
    return validate(model, extra, where)


def identity(config: Config) -> str:
    """Hash of all settings that decide what a pretraining run computes: 12 hex digits."""
    flat = flatten(config.model_dump(mode="json"))
    as_before = YOUNGER.items()
    decisive = {key: value for key, value in flat.items() if decides(key) and (key, value) not in as_before}
    if not config.training.sync_batchnorm:  # then it matters how many share a batch
        decisive["processes"] = config.training.devices * config.training.nodes
    canonical = json.dumps(decisive, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def decides(key: str) -> bool:
    """Whether a dotted key is part of what a run is (see :func:`identity`)."""
    return not any(key == outside or key.startswith(f"{outside}.") for outside in OUTSIDE_IDENTITY)


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted key."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        flat.update(flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value})
    return flat


def to_yaml(config: BaseModel) -> str:
    """The configuration as YAML that ``load_config`` reads back."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
