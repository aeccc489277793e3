"""Supervised training: the reference line the others are measured against."""

from __future__ import annotations

from typing import Literal, Self

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from ssl_bench.backbones.base import Backbone
from ssl_bench.config import Options
from ssl_bench.objectives.base import Batch, Given, Objective, StepOutput, Views

Loss = Literal["cross_entropy", "mse"]


class SupervisedOptions(Options):
    """``loss``: cross-entropy, or the mean squared error of the scores to one-hot labels."""

    loss: Loss = "cross_entropy"


class Supervised(Objective):
    """A linear classifier on the embedding, trained together with the backbone."""

    options_model = SupervisedOptions
    views = Views(count=1, recipe="crop")

    def __init__(self, backbone: Backbone, classes: int, loss: Loss = "cross_entropy") -> None:
        super().__init__(backbone)
        self.classifier = nn.Linear(backbone.info.dim, classes)
        self.loss = loss

    @classmethod
    def build(cls, backbone: Backbone, options: Options, given: Given) -> Self:
        """See :meth:`Objective.build`."""
        assert isinstance(options, SupervisedOptions)
        return cls(backbone, given.classes, options.loss)

    def step(self, batch: Batch, generator: Generator) -> StepOutput:
        """See :meth:`Objective.step`."""
        scores = self.classify(batch.views[0])
        accuracy = (scores.argmax(1) == batch.labels).float().mean()
        return StepOutput(supervised_loss(scores, batch.labels, self.loss), {"train_top1": accuracy.detach()})

    def classify(self, images: Tensor) -> Tensor:
        """See :meth:`Objective.classify`."""
        scores: Tensor = self.classifier(self.backbone(images).embedding)
        return scores.float()


def supervised_loss(scores: Tensor, labels: Tensor, loss: Loss) -> Tensor:
    """Cross-entropy, or the squared error to one-hot labels, mean over images (and classes, as in a regression).

    Shapes: scores ``(B, K)``, labels int64 ``(B,)`` -> scalar.
    """
    if loss == "cross_entropy":
        return functional.cross_entropy(scores, labels)
    # Not one_hot, which asks a device whether the labels are small enough.
    wanted = labels[:, None] == torch.arange(scores.shape[1], device=scores.device)
    return functional.mse_loss(scores, wanted.to(scores.dtype))
