"""ResNet-9: the small residual network of fast CIFAR-10 training."""

from __future__ import annotations

from torch import Tensor, nn

from ssl_bench.backbones.base import Backbone
from ssl_bench.backbones.cnn import CNNBackbone
from ssl_bench.config import BackboneConfig
from ssl_bench.errors import UserError

# Three times halved, a smaller image has no pixel left.
LEAST_IMAGE = 8


class Residual(nn.Module):
    """The input plus two convolutions of it. Shapes: ``(B, width, h, w)`` to the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(_convolution(width, width), _convolution(width, width))

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        out: Tensor = images + self.branch(images)
        return out


def build_resnet9(config: BackboneConfig, image_size: int, channels: int) -> Backbone:
    """Eight 3 x 3 convolutions of 64 to 512 channels, two residual pairs among them; the ninth layer is a classifier's.

    Every convolution is followed by batch normalisation and ReLU, inside the residual branches too; the image is halved
    three times. The usual network ends in a global maximum; here the embedding pools, as for every other backbone.

    Raises: UserError for images below 8 px.
    """
    if image_size < LEAST_IMAGE:
        raise UserError(f"backbone 'resnet9' halves an image three times: {image_size} px are too few, use mlp")
    body = nn.Sequential(
        _convolution(channels, 64),
        _halving(64, 128),
        Residual(128),
        _halving(128, 256),
        _halving(256, 512),
        Residual(512),
    )
    adaptation = {"stem": "3x3 convolution, stride 1", "final_max_pool": "none: the embedding pools"}
    return CNNBackbone(body, config, image_size, channels, adaptation)


def _convolution(width: int, wider: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width, wider, 3, padding=1, bias=False), nn.BatchNorm2d(wider), nn.ReLU(inplace=True)
    )


def _halving(width: int, wider: int) -> nn.Sequential:
    return nn.Sequential(*_convolution(width, wider), nn.MaxPool2d(2))
