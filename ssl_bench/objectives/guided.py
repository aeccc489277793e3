"""Guided autoencoder: rebuild the image, and say a little of its label, from one embedding."""

from __future__ import annotations

from typing import Self

from pydantic import Field
from torch import Generator, Tensor, nn
from torch.nn import functional

from ssl_bench.backbones.base import Backbone
from ssl_bench.config import Options
from ssl_bench.objectives.autoencoder import Autoencoder, DecoderOptions, reconstruction_mse
from ssl_bench.objectives.base import Batch, Given, StepOutput


class GuidedOptions(DecoderOptions):
    """``guidance`` is the weight of the cross-entropy beside the squared pixel error of standardised images."""

    guidance: float = Field(0.01, gt=0)


class Guided(Autoencoder):
    """Squared pixel error plus a small cross-entropy of a linear classifier on the embedding. It reads labels.

    The experiment of Balestriero and LeCun 2024 (arXiv 2402.11337) on equal reconstruction and different perception;
    theirs adds the loss of a nonlinear classifier too. Backbone and decoder start from the weights of
    ``objective=autoencoder`` with the same seed: what differs is the term alone.
    """

    options_model = GuidedOptions
    takes_target = False

    def __init__(self, backbone: Backbone, decoder: nn.Module, classes: int, guidance: float) -> None:
        super().__init__(backbone, decoder)
        self.classifier = nn.Linear(backbone.info.dim, classes)
        self.guidance = guidance

    @classmethod
    def build(cls, backbone: Backbone, options: Options, given: Given) -> Self:
        """See :meth:`Objective.build`."""
        assert isinstance(options, GuidedOptions)
        plain = Autoencoder.build(backbone, options, given)
        return cls(backbone, plain.decoder, given.classes, options.guidance)

    def step(self, batch: Batch, generator: Generator) -> StepOutput:
        """See :meth:`Objective.step`."""
        images = batch.views[0]
        features = self.backbone(images)
        error = reconstruction_mse(self.decoder(features), images)
        told = functional.cross_entropy(self.classifier(features.embedding).float(), batch.labels)
        loss = error + self.guidance * told
        return StepOutput(loss, {"reconstruction_error": error.detach(), "cross_entropy": told.detach()})

    def classify(self, images: Tensor) -> Tensor:
        """See :meth:`Objective.classify`."""
        scores: Tensor = self.classifier(self.backbone(images).embedding)
        return scores.float()
