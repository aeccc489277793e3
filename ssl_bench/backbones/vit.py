"""ViT backbones: a timm VisionTransformer, which can be given a part of the patches."""

from __future__ import annotations

import math
from typing import Any

import torch
from lightly.models.utils import initialize_2d_sine_cosine_positional_embedding
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from ssl_bench.backbones.base import Backbone, BackboneInfo, EmbeddingKind, Features, Pooling, check_embedding
from ssl_bench.backbones.linear import with_onednn
from ssl_bench.backbones.tokens import take_tokens
from ssl_bench.config import BackboneConfig
from ssl_bench.errors import UserError


class ViTBackbone(Backbone):
    """A vision transformer and its pooling. Positions are fixed 2-D sines and cosines, as MAE's are."""

    def __init__(
        self, vit: VisionTransformer, config: BackboneConfig, image_size: int, channels: int, adaptation: dict[str, Any]
    ) -> None:
        super().__init__()
        kind: EmbeddingKind = config.embedding or "mean"
        check_embedding(kind, vit.has_class_token, config.name)
        self.vit = with_onednn(vit)
        self.prefix = int(vit.num_prefix_tokens)
        grid = tuple(vit.patch_embed.grid_size)
        if vit.embed_dim % 4 == 0 and vit.pos_embed is not None and not vit.no_embed_class:
            initialize_2d_sine_cosine_positional_embedding(vit.pos_embed, num_prefix_tokens=self.prefix)
            adaptation = {**adaptation, "positions": "fixed 2-d sine-cosine"}
        self.pooling = Pooling(kind, vit.embed_dim, grid[0] * grid[1], config.latent_dim)
        self.info = BackboneInfo(
            name=config.name,
            embedding=kind,
            dim=self.pooling.dim,
            image_size=image_size,
            channels=channels,
            spatial="tokens",
            width=int(vit.embed_dim),
            grid=(grid[0], grid[1]),
            drops_tokens=True,
            patch_size=int(vit.patch_embed.patch_size[0]),
            layers=len(vit.blocks),
            prefix=self.prefix,
            adaptation=adaptation,
        )

    def compile(self, *arguments: Any, **settings: Any) -> None:
        """See ``nn.Module.compile``. The blocks also by themselves: who drops tokens calls them without ``forward``."""
        super().compile(*arguments, **settings)
        self.vit.blocks.compile(*arguments, **settings)

    def forward(self, images: Tensor) -> Features:
        """See :meth:`Backbone.forward`."""
        tokens = self.encode_tokens(images)
        return Features(self.pool_tokens(tokens), tokens[:, self.prefix :])

    def encode_tokens(self, images: Tensor, keep: Tensor | None = None) -> Tensor:
        """See :meth:`Backbone.encode_tokens`. Only the visible patches go through the blocks."""
        tokens = self.vit._pos_embed(self.vit.patch_embed(images))
        if keep is not None:
            prefix = torch.arange(self.prefix, device=keep.device).expand(len(keep), -1)
            tokens = take_tokens(tokens, torch.cat([prefix, keep + self.prefix], dim=1))
        encoded: Tensor = self.vit.norm(self.vit.blocks(self.vit.norm_pre(tokens)))
        return encoded

    def after_block(self, images: Tensor, layer: int | None) -> Tensor:
        """See :meth:`Backbone.after_block`. The final normalisation acts at the end only."""
        if layer is None:
            return self.encode_tokens(images)
        tokens: Tensor = self.vit.norm_pre(self.vit._pos_embed(self.vit.patch_embed(images)))
        for block in self.vit.blocks[:layer]:
            tokens = block(tokens)
        return tokens

    def pool_tokens(self, tokens: Tensor) -> Tensor:
        """See :meth:`Backbone.pool_tokens`."""
        if self.info.embedding == "cls":
            return tokens[:, 0]
        pooled: Tensor = self.pooling(tokens[:, self.prefix :])
        return pooled


def small_image_patch(image_size: int) -> int:
    """The patch that gives a grid of about 8 x 8: the smallest divisor of the size that is at least an eighth of it."""
    least = max(2, math.ceil(image_size / 8))
    return next((size for size in range(least, image_size + 1) if image_size % size == 0), image_size)


def check_patch(patch_size: int, image_size: int) -> None:
    """Refuse a patch that does not tile the image.

    Raises: UserError.
    """
    if image_size % patch_size:
        raise UserError(f"backbone.patch_size={patch_size} does not divide the image size {image_size}")
