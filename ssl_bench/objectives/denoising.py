"""Denoising autoencoder: rebuild the clean image from a noised copy of it."""

from __future__ import annotations

from typing import Self

from torch import Generator, Tensor, nn

from ssl_bench.backbones.base import Backbone
from ssl_bench.config import Options
from ssl_bench.noise.base import Noise
from ssl_bench.objectives.autoencoder import Autoencoder
from ssl_bench.objectives.base import Given
from ssl_bench.processes import share
from ssl_bench.targets.base import Target


class Denoising(Autoencoder):
    """Noise the input, never the target (Vincent et al. 2008). With a mask noise, masking on any backbone."""

    default_noise = "gaussian(sigma=0.5)"

    def __init__(self, backbone: Backbone, decoder: nn.Module, noise: Noise, target: Target | None = None) -> None:
        super().__init__(backbone, decoder, target)
        self.noise = noise

    @classmethod
    def build(cls, backbone: Backbone, options: Options, given: Given) -> Self:
        """See :meth:`Objective.build`."""
        assert given.noise is not None
        plain = Autoencoder.build(backbone, options, given)
        return cls(backbone, plain.decoder, given.noise, given.target)

    def corrupt(self, images: Tensor, progress: float, generator: Generator) -> Tensor:
        """See :meth:`Objective.corrupt`: a noised copy."""
        return self.noise.at(progress).sample_share(images, generator, share())
