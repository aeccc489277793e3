"""The Backbone protocol: images to one embedding and to spatial features."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from torch import Tensor, nn

from ssl_bench.backbones.feature_point import FeaturePoint, check_layer, pool_spatial
from ssl_bench.errors import UserError

EmbeddingKind = Literal["latent", "mean", "cls"]


class Features(NamedTuple):
    """What a backbone makes of images.

    Shapes: embedding ``(B, D)``; spatial is a map ``(B, C, h, w)`` of a CNN, or patch tokens ``(B, N, C)`` of a ViT.
    """

    embedding: Tensor
    spatial: Tensor


@dataclass(frozen=True)
class BackboneInfo:
    """What is known of a backbone without running it; recorded in run.json.

    ``adaptation`` states what was changed for small images. ``grid`` is (h, w) of the spatial features, of width
    ``width``. ``drops_tokens``: whether :meth:`Backbone.encode_tokens` can be given a part of the patches. ``layers``
    is the number of blocks after which features can be read, ``prefix`` the number of tokens that are no patch.
    """

    name: str
    embedding: EmbeddingKind
    dim: int
    image_size: int
    channels: int
    spatial: Literal["map", "tokens"]
    width: int
    grid: tuple[int, int]
    drops_tokens: bool = False
    patch_size: int | None = None
    layers: int = 0
    prefix: int = 0
    adaptation: dict[str, Any] = field(default_factory=dict)


class Backbone(nn.Module):
    """An encoder with exactly one embedding, which decoders, projection heads, probes and spectra all read."""

    info: BackboneInfo

    @abstractmethod
    def forward(self, images: Tensor) -> Features:
        """Standardised images to features. Shapes: ``(B, C, H, W)`` to :class:`Features`."""

    def read(self, images: Tensor, point: FeaturePoint) -> Tensor:
        """Features at a feature point. Shapes: ``(B, C, H, W)`` -> ``(B, D)``, or ``(B, N, D)`` for tokens.

        Raises: UserError if there is no such point.
        """
        if point.layer is not None:
            check_layer(point.layer, self.info.layers, self.info.name)
            return pool_spatial(
                self.after_block(images, point.layer), self.info.prefix, point.pool_at_layer, self.info.name
            )
        if point.pool == "embedding":
            embedding: Tensor = self(images).embedding
            return embedding
        return pool_spatial(self.after_block(images, None), self.info.prefix, point.pool, self.info.name)

    def after_block(self, images: Tensor, layer: int | None) -> Tensor:
        """The map, or all tokens, after block ``layer`` (1 is the first), or at the end.

        Shapes: ``(B, C, H, W)`` -> ``(B, c, h, w)`` or ``(B, prefix + N, c)``.
        """
        spatial: Tensor = self(images).spatial
        return spatial

    def encode_tokens(self, images: Tensor, keep: Tensor | None = None) -> Tensor:
        """Tokens of the kept patches only, class token first where there is one.

        Shapes: images ``(B, C, H, W)``, keep ``(B, n)`` patch indices -> ``(B, prefix + n, C)``.

        Raises: TypeError if this backbone has no tokens.
        """
        raise TypeError(f"{self.info.name} has no tokens")

    def pool_tokens(self, tokens: Tensor) -> Tensor:
        """The embedding of encoded tokens. Shapes: ``(B, prefix + n, C)`` -> ``(B, D)``."""
        raise TypeError(f"{self.info.name} has no tokens")


class Pooling(nn.Module):
    """Spatial features to the one embedding.

    ``latent`` flattens them through a linear map to ``latent_dim`` (the K of the theory); ``mean`` averages positions.
    """

    def __init__(self, kind: EmbeddingKind, width: int, positions: int, latent_dim: int) -> None:
        super().__init__()
        self.kind = kind
        self.dim = latent_dim if kind == "latent" else width
        self.project = nn.Linear(width * positions, latent_dim) if kind == "latent" else nn.Identity()

    def forward(self, spatial: Tensor) -> Tensor:
        """Shapes: map ``(B, C, h, w)`` or tokens ``(B, N, C)`` -> ``(B, D)``."""
        if self.kind == "latent":
            projected: Tensor = self.project(spatial.flatten(1))
            return projected
        return spatial.mean(dim=(2, 3) if spatial.dim() == 4 else 1)


def check_embedding(kind: EmbeddingKind, has_class_token: bool, name: str) -> None:
    """Refuse a class-token embedding where there is no class token.

    Raises: UserError.
    """
    if kind == "cls" and not has_class_token:
        raise UserError(f"backbone {name!r} has no class token: use backbone.embedding=mean or latent")
