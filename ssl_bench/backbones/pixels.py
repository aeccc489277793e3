"""The baseline without a network: principal components of the pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_bench.backbones.base import Backbone, BackboneInfo, Features
from ssl_bench.config import BackboneConfig


class PixelBackbone(Backbone):
    """The first ``latent_dim`` principal components of standardised images: the best linear reconstruction there is.

    ``mean`` and ``components`` are set once from the training images and saved with the weights.
    """

    mean: Tensor
    components: Tensor

    def __init__(self, config: BackboneConfig, image_size: int, channels: int) -> None:
        super().__init__()
        dimension = channels * image_size**2
        dim = min(config.latent_dim, dimension)
        self.register_buffer("mean", torch.zeros(dimension))
        self.register_buffer("components", torch.zeros(dim, dimension))
        self.info = BackboneInfo(
            config.name, "latent", dim, image_size, channels, "map", channels, (image_size, image_size)
        )

    def forward(self, images: Tensor) -> Features:
        """See :meth:`Backbone.forward`."""
        return Features((images.flatten(1) - self.mean) @ self.components.T, images)

    def reconstruct(self, embedding: Tensor) -> Tensor:
        """The images the components span. Shapes: ``(B, K)`` -> ``(B, C, H, W)``."""
        flat = embedding @ self.components + self.mean
        return flat.view(-1, self.info.channels, self.info.image_size, self.info.image_size)


def build_pixels(config: BackboneConfig, image_size: int, channels: int) -> Backbone:
    """See :class:`PixelBackbone`."""
    return PixelBackbone(config, image_size, channels)
