"""SimCLR: two views of an image attract, views of different images repel."""

from __future__ import annotations

from typing import Self

from lightly.loss import NTXentLoss
from lightly.models.modules.heads import SimCLRProjectionHead
from pydantic import Field
from torch import Generator

from ssl_bench.backbones.base import Backbone
from ssl_bench.config import Options
from ssl_bench.objectives.base import Batch, Given, Objective, StepOutput, Views


class SimCLROptions(Options):
    """Temperature of the loss, and the projection head, which is thrown away after training."""

    temperature: float = Field(0.5, gt=0)
    hidden_dim: int = Field(256, ge=1)
    output_dim: int = Field(128, ge=1)


class SimCLR(Objective):
    """Chen et al., "A Simple Framework for Contrastive Learning" (arXiv 2002.05709).

    lightly's NT-Xent and projection head. Both views go through the backbone in one forward, so that batch
    statistics, where a backbone has them, are those of both. Negatives are gathered across processes.
    """

    options_model = SimCLROptions
    views = Views(count=2, recipe="simclr")

    def __init__(self, backbone: Backbone, options: SimCLROptions) -> None:
        super().__init__(backbone)
        self.head = SimCLRProjectionHead(backbone.info.dim, options.hidden_dim, options.output_dim)
        self.loss = NTXentLoss(options.temperature, gather_distributed=True)

    @classmethod
    def build(cls, backbone: Backbone, options: Options, given: Given) -> Self:
        """See :meth:`Objective.build`."""
        assert isinstance(options, SimCLROptions)
        return cls(backbone, options)

    def step(self, batch: Batch, generator: Generator) -> StepOutput:
        """See :meth:`Objective.step`."""
        first, second = self.head(self.backbone(batch.views.flatten(0, 1)).embedding).float().chunk(2)
        return StepOutput(self.loss(first, second))
