"""A multi-layer perceptron on flattened pixels: an encoder that knows of no neighbourhood."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from ssl_bench.backbones.base import Backbone, BackboneInfo, Features
from ssl_bench.backbones.linear import with_onednn
from ssl_bench.config import BackboneConfig
from ssl_bench.errors import UserError

WIDTH = 512


class MLPBackbone(Backbone):
    """Four linear layers with ReLU between them; the embedding is what the last one gives, ``latent_dim`` numbers.

    Under a linear classifier it is a four-layer classifier, its last layer split in two.
    """

    def __init__(self, config: BackboneConfig, image_size: int, channels: int) -> None:
        super().__init__()
        if config.embedding not in (None, "latent"):
            raise UserError(f"backbone {config.name!r} has no places to pool: use backbone.embedding=latent")
        if config.patch_size is not None:
            raise UserError(f"backbone.patch_size is for ViTs; {config.name!r} sees all pixels at once")
        widths = [channels * image_size**2, WIDTH, WIDTH, WIDTH]
        layers: list[nn.Module] = []
        for width, wider in pairwise(widths):
            layers += [nn.Linear(width, wider), nn.ReLU(inplace=True)]
        self.layers = with_onednn(nn.Sequential(*layers, nn.Linear(WIDTH, config.latent_dim)))
        dim = config.latent_dim
        # Its map is the embedding itself, at one place: nothing else may reach a decoder.
        self.info = BackboneInfo(config.name, "latent", dim, image_size, channels, "map", dim, (1, 1))

    def forward(self, images: Tensor) -> Features:
        """See :meth:`Backbone.forward`."""
        embedding: Tensor = self.layers(images.flatten(1))
        return Features(embedding, embedding[:, :, None, None])


def build_mlp(config: BackboneConfig, image_size: int, channels: int) -> Backbone:
    """See :class:`MLPBackbone`."""
    return MLPBackbone(config, image_size, channels)
