"""Autoencoder: rebuild the image from its embedding."""

from __future__ import annotations

from typing import Self

from pydantic import Field
from torch import Generator, Tensor, nn

from ssl_bench.backbones.base import Backbone
from ssl_bench.backbones.decoders import DEEPEST, WIDEST, DecoderKind, DecoderSource, make_decoder
from ssl_bench.config import Options
from ssl_bench.objectives.base import Batch, Given, Objective, StepOutput
from ssl_bench.targets.base import Target


class DecoderOptions(Options):
    """The decoder of a reconstructing objective.

    ``source=spatial`` lets the decoder read the spatial features instead of the embedding; the embedding that is
    probed is then not what was trained to hold the image, unless it pools those features.
    """

    decoder: DecoderKind = "convolution"
    source: DecoderSource = "embedding"
    decoder_width: int = Field(64, ge=32, le=WIDEST, multiple_of=32)
    decoder_depth: int = Field(2, ge=1, le=DEEPEST)


def reconstruction_mse(reconstruction: Tensor, clean: Tensor) -> Tensor:
    """Mean squared pixel error of standardised images, accumulated in float32.

    Shapes: both ``(B, C, H, W)`` -> scalar.

    Raises: ValueError if the shapes differ; broadcasting would give a plausible wrong loss.
    """
    if reconstruction.shape != clean.shape:
        raise ValueError(f"reconstruction is {tuple(reconstruction.shape)} but the image {tuple(clean.shape)}")
    return (reconstruction.float() - clean.float()).square().mean()


class Autoencoder(Objective):
    """Squared pixel error through the one embedding; with a target, weighted band by band."""

    options_model = DecoderOptions
    takes_target = True

    def __init__(self, backbone: Backbone, decoder: nn.Module, target: Target | None = None) -> None:
        super().__init__(backbone)
        self.decoder = decoder
        self.target = target

    @classmethod
    def build(cls, backbone: Backbone, options: Options, given: Given) -> Self:
        """See :meth:`Objective.build`."""
        assert isinstance(options, DecoderOptions)
        decoder = make_decoder(
            options.decoder, options.source, backbone.info, options.decoder_width, options.decoder_depth
        )
        return cls(backbone, decoder, given.target)

    def step(self, batch: Batch, generator: Generator) -> StepOutput:
        """See :meth:`Objective.step`."""
        clean = batch.views[0]
        made = self.decoder(self.backbone(self.corrupt(clean, batch.progress, generator)))
        return StepOutput(reconstruction_mse(made, clean if self.target is None else self.target.ask(clean)))

    def reconstruct(self, images: Tensor) -> Tensor:
        """See :meth:`Objective.reconstruct`."""
        decoded: Tensor = self.decoder(self.backbone(images))
        return decoded if self.target is None else self.target.undo(decoded)
