"""Masked autoencoder: encode the visible patches only, predict the pixels of the hidden ones."""

from __future__ import annotations

from typing import Self

import torch
from lightly.models.utils import patchify, unpatchify
from pydantic import Field
from torch import Generator, Tensor, nn

from ssl_bench.backbones.base import Backbone, BackboneInfo
from ssl_bench.backbones.decoders import DEEPEST, WIDEST, TokenBlocks
from ssl_bench.backbones.linear import OneDNNLinear
from ssl_bench.backbones.tokens import put_tokens, take_tokens
from ssl_bench.config import Options
from ssl_bench.objectives.base import Batch, Given, Objective, StepOutput, Views
from ssl_bench.processes import share
from ssl_bench.targets.base import Target


class MAEOptions(Options):
    """``ratio`` of the patches is hidden; ``normalise`` predicts each patch with its own mean and deviation removed."""

    ratio: float = Field(0.75, gt=0, lt=1)
    normalise: bool = False
    decoder_width: int = Field(64, ge=32, le=WIDEST, multiple_of=32)
    decoder_depth: int = Field(1, ge=1, le=DEEPEST)


class MaskedAutoencoder(Objective):
    """He et al., "Masked Autoencoders Are Scalable Vision Learners" (arXiv 2111.06377), written from the paper.

    The encoder sees the visible patches alone, the decoder adds mask tokens, the loss counts hidden patches alone.
    """

    options_model = MAEOptions
    views = Views(count=1, recipe="crop")
    takes_target = True

    def __init__(self, backbone: Backbone, options: MAEOptions, target: Target | None = None) -> None:
        super().__init__(backbone)
        self.target = target
        info = backbone.info
        assert info.patch_size is not None
        self.options = options
        self.patch = info.patch_size
        self.patches = info.grid[0] * info.grid[1]
        self.visible = min(self.patches - 1, max(1, round(self.patches * (1 - options.ratio))))
        self.embed = OneDNNLinear(info.width, options.decoder_width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, options.decoder_width))
        nn.init.normal_(self.mask_token, std=0.02)
        self.decoder = TokenBlocks(self.patches, options.decoder_width, options.decoder_depth)
        self.to_pixels = OneDNNLinear(options.decoder_width, self.patch**2 * info.channels)

    @classmethod
    def build(cls, backbone: Backbone, options: Options, given: Given) -> Self:
        """See :meth:`Objective.build`."""
        assert isinstance(options, MAEOptions)
        return cls(backbone, options, given.target)

    @classmethod
    def unsupported(cls, info: BackboneInfo) -> str | None:
        """See :meth:`Objective.unsupported`."""
        if not info.drops_tokens:
            return (
                f"mae leaves patches out of the encoder, which {info.name!r}, a CNN, cannot do: use a ViT "
                '(backbone=vit_micro), or objective=denoising noise="mask(ratio=0.75, patch=4)"'
            )
        if info.grid[0] * info.grid[1] < 2:
            return f"mae needs two patches at least; {info.name!r} has one: use a smaller backbone.patch_size"
        if info.embedding == "latent":
            return (
                "mae drops tokens, which would leave a flattened latent untrained: use backbone.embedding=mean or cls"
            )
        return None

    def step(self, batch: Batch, generator: Generator) -> StepOutput:
        """See :meth:`Objective.step`."""
        images = batch.views[0]
        order = self._order(images, generator)
        hidden = order[:, self.visible :]
        predicted = take_tokens(self.predict(images, order[:, : self.visible]), hidden)
        target = take_tokens(self.asked(images), hidden)
        return StepOutput((predicted.float() - target.float()).square().mean())

    def _order(self, images: Tensor, generator: Generator) -> Tensor:
        """The patches of each image in random order, visible ones first. Shapes: ``(B, C, H, W)`` -> ``(B, N)``."""
        chance = share().drawn(
            lambda rows: torch.rand(rows, self.patches, generator=generator, device=images.device), len(images)
        )
        return chance.argsort(1)

    def corrupt(self, images: Tensor, progress: float, generator: Generator) -> Tensor:
        """See :meth:`Objective.corrupt`: hidden patches are zero, the mean of a standardised image."""
        visible = torch.zeros(len(images), self.patches, 1, dtype=images.dtype, device=images.device)
        visible.scatter_(1, self._order(images, generator)[:, : self.visible, None], 1)
        shown: Tensor = unpatchify(patchify(images, self.patch) * visible, self.patch, images.shape[1])
        return shown

    def predict(self, images: Tensor, keep: Tensor) -> Tensor:
        """Pixels of every patch from the kept ones. Shapes: ``(B, C, H, W)``, ``(B, n)`` -> ``(B, N, p p C)``."""
        tokens = self.backbone.encode_tokens(images, keep)
        visible = self.embed(tokens[:, tokens.shape[1] - keep.shape[1] :])
        full = self.mask_token.expand(len(images), self.patches, -1).to(visible.dtype)
        pixels: Tensor = self.to_pixels(self.decoder(put_tokens(full, keep, visible)))
        return pixels

    def asked(self, images: Tensor) -> Tensor:
        """What the patches should be. Shapes: ``(B, C, H, W)`` -> ``(B, N, p p C)``."""
        patches: Tensor = patchify(images if self.target is None else self.target.ask(images), self.patch)
        if self.options.normalise:
            variance, mean = torch.var_mean(patches, dim=-1, keepdim=True)
            patches = (patches - mean) / (variance + 1e-6).sqrt()
        return patches

    def reconstruct(self, images: Tensor) -> Tensor | None:
        """Every patch as predicted while it was hidden, once, in a fixed order of hiding.

        ``None`` with normalised targets: what was removed from a patch cannot be predicted.
        """
        if self.options.normalise:
            return None
        order = torch.randperm(self.patches, generator=torch.Generator().manual_seed(0)).to(images.device)
        made = torch.zeros((len(images), self.patches, self.to_pixels.out_features), device=images.device)
        hidden = self.patches - self.visible
        for start in range(0, self.patches, hidden):
            keep = order.roll(-start)[hidden:]
            new = order[start : start + hidden]
            made[:, new] = self.predict(images, keep.expand(len(images), -1)).float()[:, new]
        image: Tensor = unpatchify(made, self.patch, images.shape[1])
        return image if self.target is None else self.target.undo(image)
