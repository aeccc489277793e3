"""Baselines that train nothing: the backbone as initialised, and the pixels without any backbone."""

from __future__ import annotations

from typing import Self

from torch import Generator, Tensor

from ssl_bench.backbones.base import Backbone
from ssl_bench.backbones.pixels import PixelBackbone
from ssl_bench.config import Options
from ssl_bench.data.images import ImageData
from ssl_bench.data.moments import eigenbasis
from ssl_bench.objectives.base import Batch, Given, Objective, StepOutput


class Untrained(Objective):
    """The backbone as it was initialised."""

    trains = False

    @classmethod
    def build(cls, backbone: Backbone, options: Options, given: Given) -> Self:
        """See :meth:`Objective.build`."""
        return cls(backbone)

    def step(self, batch: Batch, generator: Generator) -> StepOutput:
        """Never called.

        Raises: TypeError.
        """
        raise TypeError("a baseline trains nothing")


class Pixels(Untrained):
    """Principal components of the pixels: the best linear reconstruction of that many dimensions."""

    fixed_backbone = "pixels"

    def prepare(self, data: ImageData) -> None:
        """Compute the components of the training images; where they span fewer dimensions, the rest stay zero."""
        assert isinstance(self.backbone, PixelBackbone)
        basis = eigenbasis(data)
        found = basis.components[:, : self.backbone.info.dim]
        self.backbone.mean.copy_(basis.mean)
        self.backbone.components[: found.shape[1]] = found.T.float()

    def reconstruct(self, images: Tensor) -> Tensor:
        """See :meth:`Objective.reconstruct`."""
        assert isinstance(self.backbone, PixelBackbone)
        return self.backbone.reconstruct(self.backbone(images).embedding)
