"""CPU-sized backbones for tests, demos and quick questions: seconds a run on two cores."""

from __future__ import annotations

from timm.models.vision_transformer import VisionTransformer
from torch import nn
from torchvision.models.resnet import BasicBlock

from ssl_bench.backbones.base import Backbone
from ssl_bench.backbones.cnn import CNNBackbone
from ssl_bench.backbones.vit import ViTBackbone, check_patch, small_image_patch
from ssl_bench.config import BackboneConfig

WIDTHS = (32, 64, 128)
TINY_IMAGE = 16


def build_resnet_micro(config: BackboneConfig, image_size: int, channels: int) -> Backbone:
    """Three residual blocks of 32, 64 and 128 channels, 0.3 M weights.

    The stem has stride 2 above 16 px (two cores) and stride 1 up to 16 px. Batch normalisation, as in a ResNet: with
    group normalisation, channels of small variance drown beside those that low frequencies drive.
    """
    stride = 1 if image_size <= TINY_IMAGE else 2
    layers: list[nn.Module] = [
        nn.Conv2d(channels, WIDTHS[0], 3, stride=stride, padding=1, bias=False),
        _norm(WIDTHS[0]),
        nn.ReLU(inplace=True),
    ]
    width = WIDTHS[0]
    for index, wider in enumerate(WIDTHS):
        layers.append(_residual_block(width, wider, stride=1 if index == 0 else 2))
        width = wider
    body = nn.Sequential(*layers)
    for module in body.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    adaptation = {"stem": f"3x3 convolution, stride {stride}", "max_pool": "none"}
    return CNNBackbone(body, config, image_size, channels, adaptation)


def build_vit_micro(config: BackboneConfig, image_size: int, channels: int) -> Backbone:
    """Three transformer blocks of width 96 with 3 heads, 0.34 M weights; the patch by the small-image rule.

    Raises: UserError if ``backbone.patch_size`` does not divide the image size.
    """
    patch = config.patch_size or small_image_patch(image_size)
    check_patch(patch, image_size)
    vit = VisionTransformer(
        img_size=image_size, patch_size=patch, in_chans=channels, num_classes=0, embed_dim=96, depth=3, num_heads=3
    )
    rule = "given" if config.patch_size else "a grid of about 8 x 8"
    return ViTBackbone(vit, config, image_size, channels, {"patch_size": patch, "rule": rule})


def _norm(width: int) -> nn.Module:
    return nn.BatchNorm2d(width)


def _residual_block(width: int, wider: int, stride: int) -> nn.Module:
    shortcut = None
    if stride != 1 or width != wider:
        shortcut = nn.Sequential(nn.Conv2d(width, wider, 1, stride=stride, bias=False), _norm(wider))
    block: nn.Module = BasicBlock(width, wider, stride, shortcut, norm_layer=_norm)
    return block
