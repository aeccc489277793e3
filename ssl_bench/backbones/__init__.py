"""Encoders behind one protocol, with stated rules for small images. Importing this package imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ssl_bench.errors import UserError, did_you_mean
from ssl_bench.registry import Entry, Registry

if TYPE_CHECKING:
    from ssl_bench.backbones.base import Backbone
    from ssl_bench.config import BackboneConfig

Builder = Callable[["BackboneConfig", int, int], "Backbone"]

BACKBONES: Registry[Builder] = Registry(
    "backbone",
    {
        "mlp": Entry("ssl_bench.backbones.mlp:build_mlp", "4 linear layers of width 512, no notion of place"),
        "pixels": Entry("ssl_bench.backbones.pixels:build_pixels", "no network: principal components of the pixels"),
        "resnet_micro": Entry(
            "ssl_bench.backbones.micro:build_resnet_micro", "3 residual blocks, 0.3 M weights: two CPU cores"
        ),
        "vit_micro": Entry(
            "ssl_bench.backbones.micro:build_vit_micro", "3 transformer blocks of width 96: two CPU cores"
        ),
        "resnet9": Entry(
            "ssl_bench.backbones.resnet9:build_resnet9", "8 convolutions, 6.6 M weights: small images, one GPU"
        ),
        "resnet18": Entry("ssl_bench.backbones.timm_models:build_timm", "timm resnet18"),
        "resnet50": Entry("ssl_bench.backbones.timm_models:build_timm", "timm resnet50"),
        "vit_tiny": Entry("ssl_bench.backbones.timm_models:build_timm", "timm vit_tiny_patch16_224, patch by the rule"),
        "vit_small": Entry(
            "ssl_bench.backbones.timm_models:build_timm", "timm vit_small_patch16_224, patch by the rule"
        ),
    },
)
TIMM_NOTE = "(and most CNNs and plain ViTs of timm, by their names there)"


def make_backbone(config: BackboneConfig, image_size: int, channels: int) -> Backbone:
    """The encoder a configuration names: a registered one, else timm's model of that name.

    Raises: UserError for an unknown name, or settings the model cannot have at this image size.
    """
    if config.name in BACKBONES:
        return BACKBONES.get(config.name)(config, image_size, channels)
    from ssl_bench.backbones.timm_models import build_timm, timm_names

    names = timm_names()
    if config.name not in names:
        raise UserError(f"unknown backbone {config.name!r}; {did_you_mean(config.name, {*BACKBONES, *names})}")
    return build_timm(config, image_size, channels)
