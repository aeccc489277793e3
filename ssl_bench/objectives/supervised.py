"""Supervised training: the reference line the others are measured against."""

from __future__ import annotations

from typing import Self

from torch import Generator, nn
from torch.nn import functional

from ssl_bench.backbones.base import Backbone
from ssl_bench.config import Options
from ssl_bench.objectives.base import Batch, Given, Objective, StepOutput, Views


class Supervised(Objective):
    """Cross-entropy of a linear classifier on the embedding."""

    views = Views(count=1, recipe="crop")

    def __init__(self, backbone: Backbone, classes: int) -> None:
        super().__init__(backbone)
        self.classifier = nn.Linear(backbone.info.dim, classes)

    @classmethod
    def build(cls, backbone: Backbone, options: Options, given: Given) -> Self:
        """See :meth:`Objective.build`."""
        return cls(backbone, given.classes)

    def step(self, batch: Batch, generator: Generator) -> StepOutput:
        """See :meth:`Objective.step`."""
        scores = self.classifier(self.backbone(batch.views[0]).embedding).float()
        accuracy = (scores.argmax(1) == batch.labels).float().mean()
        return StepOutput(functional.cross_entropy(scores, batch.labels), {"train_top1": accuracy.detach()})
