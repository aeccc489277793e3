"""CNN backbones: any network from images to a feature map."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from ssl_bench.backbones.base import Backbone, BackboneInfo, EmbeddingKind, Features, Pooling, check_embedding
from ssl_bench.config import BackboneConfig
from ssl_bench.errors import UserError


class CNNBackbone(Backbone):
    """A convolutional network, images ``(B, C, H, W)`` to a map ``(B, width, h, w)``, and its pooling."""

    def __init__(
        self, body: nn.Module, config: BackboneConfig, image_size: int, channels: int, adaptation: dict[str, Any]
    ) -> None:
        super().__init__()
        kind: EmbeddingKind = config.embedding or "latent"
        check_embedding(kind, has_class_token=False, name=config.name)
        if config.patch_size is not None:
            raise UserError(f"backbone.patch_size is for ViTs; {config.name!r} is a CNN")
        self.body = body
        _, width, height, breadth = _map_shape(body, image_size, channels)
        self.pooling = Pooling(kind, width, height * breadth, config.latent_dim)
        self.info = BackboneInfo(
            config.name,
            kind,
            self.pooling.dim,
            image_size,
            channels,
            "map",
            width,
            (height, breadth),
            layers=len(_block_ends(body)),
            adaptation=adaptation,
        )

    def forward(self, images: Tensor) -> Features:
        """See :meth:`Backbone.forward`."""
        spatial = self.body(images)
        return Features(self.pooling(spatial), spatial)

    def after_block(self, images: Tensor, layer: int | None) -> Tensor:
        """See :meth:`Backbone.after_block`. A timm network's blocks are its stages, the stem the first of them."""
        if layer is None:
            return self.forward(images).spatial
        if isinstance(self.body, nn.Sequential):
            shallow: Tensor = self.body[: _block_ends(self.body)[layer - 1]](images)
            return shallow
        timm_model: Any = self.body
        at: list[Tensor] = timm_model.forward_intermediates(images, indices=[layer - 1], intermediates_only=True)
        return at[0]


def _block_ends(body: nn.Module) -> list[int]:
    """Where the blocks of a body end: after so many parts of a plain sequence of blocks, or timm's stages."""
    if isinstance(body, nn.Sequential):
        return [place + 1 for place, part in enumerate(body) if isinstance(part, BasicBlock)]
    stages = getattr(body, "feature_info", None) if hasattr(body, "forward_intermediates") else None
    return list(range(1, len(stages) + 1)) if stages is not None else []


@torch.no_grad()
def _map_shape(body: nn.Module, image_size: int, channels: int) -> torch.Size:
    """Shape of the map of one image; evaluation mode, so that no running statistic moves."""
    training = body.training
    parameter = next(body.parameters())
    shape: torch.Size = body.eval()(torch.zeros(1, channels, image_size, image_size, device=parameter.device)).shape
    body.train(training)
    return shape
