"""Any timm CNN or ViT, adapted to small images by one stated rule each."""

from __future__ import annotations

from typing import Any

import timm
from timm.models import is_model_in_modules
from timm.models.resnet import ResNet
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from ssl_bench.backbones.base import Backbone
from ssl_bench.backbones.cnn import CNNBackbone
from ssl_bench.backbones.vit import ViTBackbone, check_patch, small_image_patch
from ssl_bench.config import BackboneConfig
from ssl_bench.errors import UserError

SMALL_IMAGE = 64
ALIASES = {"vit_tiny": "vit_tiny_patch16_224", "vit_small": "vit_small_patch16_224", "vit_base": "vit_base_patch16_224"}


def timm_names() -> list[str]:
    """Every architecture timm knows."""
    names: list[str] = timm.list_models()
    return names


def build_timm(config: BackboneConfig, image_size: int, channels: int) -> Backbone:
    """Timm's model of that name, untrained, without its classifier.

    Small images (64 px and below): a ResNet's stem becomes a 3 x 3 convolution of stride 1 and its max-pool goes; a
    ViT's patch is chosen for a grid of about 8 x 8. Other CNNs stay as they are. What was done stands in
    ``info.adaptation``.

    Raises: UserError if the model can have no such image size, or gives no feature map.
    """
    name = ALIASES.get(config.name, config.name)
    if is_model_in_modules(name, ["vision_transformer", "deit"]):
        return _build_vit(name, config, image_size, channels)
    try:
        body = timm.create_model(name, pretrained=False, num_classes=0, global_pool="", in_chans=channels)
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(f"backbone {config.name!r} cannot be built as a plain encoder: {error}") from error
    if not hasattr(body, "forward_features"):
        raise UserError(f"backbone {config.name!r} gives no feature map: choose another timm model")
    adaptation = (
        adapt_resnet(body) if isinstance(body, ResNet) and image_size <= SMALL_IMAGE else {"stem": "as published"}
    )
    try:
        return CNNBackbone(body, config, image_size, channels, adaptation)
    except (AssertionError, AttributeError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(f"backbone {config.name!r} gives no feature map of {image_size} px images: {error}") from error


def adapt_resnet(model: ResNet) -> dict[str, Any]:
    """The small-image rule of ResNets, in place. Returns what was done."""
    first = model.conv1
    if isinstance(first, nn.Sequential):
        stem = first[0]
        assert isinstance(stem, nn.Conv2d)
        stem.stride = (1, 1)
        done = "deep stem with stride 1"
    else:
        model.conv1 = nn.Conv2d(first.in_channels, first.out_channels, 3, stride=1, padding=1, bias=False)
        nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
        done = "3x3 convolution, stride 1"
    model.maxpool = nn.Identity()
    return {"stem": done, "max_pool": "removed", "rule": f"image_size <= {SMALL_IMAGE}"}


def _build_vit(name: str, config: BackboneConfig, image_size: int, channels: int) -> Backbone:
    settings: dict[str, Any] = {"img_size": image_size}
    if config.patch_size is not None or image_size <= SMALL_IMAGE:
        settings["patch_size"] = config.patch_size or small_image_patch(image_size)
        check_patch(settings["patch_size"], image_size)
    try:
        vit = timm.create_model(name, pretrained=False, num_classes=0, in_chans=channels, **settings)
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(f"backbone {config.name!r} cannot be built for {image_size} px images: {error}") from error
    if not isinstance(vit, VisionTransformer):
        raise UserError(f"backbone {config.name!r} is no plain vision transformer: choose another timm model")
    rule = (
        "given" if config.patch_size else f"image_size <= {SMALL_IMAGE}" if "patch_size" in settings else "as published"
    )
    patch = int(vit.patch_embed.patch_size[0])
    return ViTBackbone(vit, config, image_size, channels, {"patch_size": patch, "rule": rule})
