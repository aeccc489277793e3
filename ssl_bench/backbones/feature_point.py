"""Feature points: where in an encoder features are read, and how positions are pooled there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from ssl_bench.errors import UserError

Pool = Literal["embedding", "mean", "cls", "tokens", "map"]


@dataclass(frozen=True)
class FeaturePoint:
    """Where features are read.

    ``pool``: ``embedding`` is what the encoder calls its embedding; ``mean`` averages positions (patches of a ViT, the
    map of a CNN); ``cls`` is the class token; ``tokens`` keeps all of them, ``map`` the patches where they lie.
    ``layer`` counts blocks from 1; ``None`` is the end of the encoder. After a block there is no embedding: positions
    are averaged.
    """

    pool: Pool = "embedding"
    layer: int | None = None

    def __str__(self) -> str:
        return self.pool if self.layer is None else f"layer {self.layer}, {self.pool_at_layer}"

    @property
    def pool_at_layer(self) -> Pool:
        """How positions are pooled after a block."""
        return "mean" if self.pool == "embedding" else self.pool


EMBEDDING = FeaturePoint()


def pool_spatial(spatial: Tensor, prefix: int, pool: Pool, name: str) -> Tensor:
    """Pooled features of a map ``(B, C, h, w)``, or of tokens ``(B, prefix + N, C)`` with ``prefix`` that are no patch.

    Shapes: -> ``(B, C)``; with ``tokens`` all of them, ``(B, prefix + N, C)`` or ``(B, h w, C)``; with ``map``
    ``(B, C, h, w)``, as images are square.

    Raises: UserError if a class token is asked for, and there is none; or a map, and tokens are no square of places.
    """
    if pool == "cls" and (spatial.dim() == 4 or prefix == 0):
        raise UserError(f"{name} has no class token: use feature_point=mean or embedding")
    if spatial.dim() == 4:
        if pool == "map":
            return spatial
        return spatial.flatten(2).transpose(1, 2) if pool == "tokens" else spatial.mean((2, 3))
    if pool == "map":
        places = spatial.shape[1] - prefix
        side = math.isqrt(places)
        if side**2 != places:
            raise UserError(f"{name} has {places} tokens, which are no square of places: there is no map of them")
        return spatial[:, prefix:].transpose(1, 2).reshape(len(spatial), spatial.shape[2], side, side)
    if pool == "tokens":
        return spatial
    return spatial[:, 0] if pool == "cls" else spatial[:, prefix:].mean(1)


def check_layer(layer: int, layers: int, name: str) -> None:
    """Refuse a block that is not there.

    Raises: UserError.
    """
    if layers == 0:
        raise UserError(f"{name} has no blocks to read from: leave layer out")
    if not 1 <= layer <= layers:
        raise UserError(f"layer={layer}: {name} has blocks 1 to {layers}")
