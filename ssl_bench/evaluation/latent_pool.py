"""Attention of one learned query to tokens, at a cost that hardly depends on their width."""

from __future__ import annotations

from typing import Any

import torch
from timm.layers import AttentionPoolLatent
from torch import Tensor, nn


class LatentPool(nn.Module):
    """timm's attention pool of one query, with its weights and its answers.

    There each token is projected to a key and to a value. Since the query is the same for all of them, it can be taken
    back through the keys' projection once, ``q (W x) = (q W) x``, and the values' projection be given the average of
    the tokens: two products a token and head, in place of two a token and dimension. The keys' bias adds the same to
    the scores of all tokens, and falls out.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.parts: Any = AttentionPoolLatent(width, num_heads=heads, norm_layer=nn.LayerNorm)

    def forward(self, tokens: Tensor) -> Tensor:
        """One vector an image. Shapes: ``(B, T, D)`` -> ``(B, D)``."""
        parts, by_head = self.parts, (self.parts.num_heads, self.parts.head_dim)
        keys, values = (part.unflatten(0, by_head) for part in parts.kv.weight.chunk(2))
        query = parts.q(parts.latent[0, 0]).view(by_head) * parts.scale
        asked = torch.einsum("hd,hdc->hc", query, keys)
        attention = (tokens @ asked.T).softmax(1)
        seen = attention.transpose(1, 2) @ tokens
        answers = torch.einsum("bhc,hdc->bhd", seen, values).flatten(1) + parts.kv.bias.chunk(2)[1]
        pooled: Tensor = parts.proj(answers)
        moved: Tensor = pooled + parts.mlp(parts.norm(pooled))
        return moved
