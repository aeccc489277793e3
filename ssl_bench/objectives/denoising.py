"""Denoising autoencoder: rebuild the clean image from a noised copy of it."""

from __future__ import annotations

from typing import Self

from torch import Generator, Tensor, nn

from ssl_bench.backbones.base import Backbone
from ssl_bench.config import Options
from ssl_bench.noise.base import Noise
from ssl_bench.objectives.autoencoder import Autoencoder


class Denoising(Autoencoder):
    """Noise the input, never the target (Vincent et al. 2008). With a mask noise, masking on any backbone."""

    default_noise = "gaussian(sigma=0.5)"

    def __init__(self, backbone: Backbone, decoder: nn.Module, noise: Noise) -> None:
        super().__init__(backbone, decoder)
        self.noise = noise

    @classmethod
    def build(cls, backbone: Backbone, options: Options, noise: Noise | None, classes: int) -> Self:
        """See :meth:`Objective.build`."""
        assert noise is not None
        plain = Autoencoder.build(backbone, options, None, classes)
        return cls(backbone, plain.decoder, noise)

    def corrupt(self, images: Tensor, progress: float, generator: Generator) -> Tensor:
        """A noised copy of the images."""
        return self.noise.at(progress).sample(images, generator)
