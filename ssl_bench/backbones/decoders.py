"""Decoders: an embedding, or spatial features, back to an image."""

from __future__ import annotations

from typing import Literal

import torch
from einops import rearrange
from lightly.models.utils import initialize_2d_sine_cosine_positional_embedding, unpatchify
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn import functional

from ssl_bench.backbones.base import BackboneInfo, Features
from ssl_bench.backbones.linear import OneDNNLinear, with_onednn
from ssl_bench.backbones.vit import small_image_patch
from ssl_bench.errors import UserError

DecoderKind = Literal["convolution", "transformer"]
DecoderSource = Literal["embedding", "spatial"]

# More than any decoder has: what is above is a slip.
WIDEST = 16_384
DEEPEST = 100


class ConvolutionDecoder(nn.Module):
    """Upsampling by two, then a 3 x 3 convolution, until the image size is reached.

    Nearest-neighbour upsampling, not transposed convolution: no checkerboard in the spectrum.
    """

    def __init__(self, info: BackboneInfo, source: DecoderSource, width: int) -> None:
        super().__init__()
        self.sizes = _doublings(info.image_size, info.grid[0] if source == "spatial" else 4)
        widths = [max(16, width // 2**level // 8 * 8) for level in range(len(self.sizes))]
        self.start = (
            _MapFromEmbedding(info.dim, widths[0], self.sizes[0])
            if source == "embedding"
            else _MapFromSpatial(info, widths[0])
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, after, 3, padding=1), nn.GroupNorm(8, after), nn.GELU())
            for before, after in zip([widths[0], *widths[:-1]], widths, strict=True)
        )
        self.to_image = nn.Conv2d(widths[-1], info.channels, 3, padding=1)

    def forward(self, features: Features) -> Tensor:
        """Shapes: :class:`Features` -> ``(B, C, H, W)``, standardised."""
        x = self.start(features)
        for size, block in zip(self.sizes, self.blocks, strict=True):
            x = block(x if x.shape[-1] == size else functional.interpolate(x, size=(size, size)))
        image: Tensor = self.to_image(x)
        return image


class TransformerDecoder(nn.Module):
    """Transformer blocks over one token a patch, then a linear map to its pixels."""

    def __init__(self, info: BackboneInfo, source: DecoderSource, width: int, depth: int) -> None:
        super().__init__()
        self.channels = info.channels
        self.grid_side = info.grid[0] if source == "spatial" else info.image_size // small_image_patch(info.image_size)
        self.patch = info.image_size // self.grid_side
        tokens = self.grid_side**2
        self.source = source
        self.embed = (
            OneDNNLinear(info.dim, tokens * width) if source == "embedding" else OneDNNLinear(info.width, width)
        )
        self.blocks = TokenBlocks(tokens, width, depth)
        self.to_pixels = OneDNNLinear(width, self.patch**2 * info.channels)

    def forward(self, features: Features) -> Tensor:
        """Shapes: :class:`Features` -> ``(B, C, H, W)``, standardised."""
        if self.source == "embedding":
            tokens = rearrange(self.embed(features.embedding), "b (n d) -> b n d", n=self.grid_side**2)
        else:
            tokens = self.embed(as_tokens(features.spatial))
        image: Tensor = unpatchify(self.to_pixels(self.blocks(tokens)), self.patch, self.channels)
        return image


class TokenBlocks(nn.Module):
    """timm's transformer blocks over tokens with fixed 2-D sine-cosine positions. Shapes: ``(B, N, D)`` to the same."""

    def __init__(self, tokens: int, width: int, depth: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.zeros(1, tokens, width), requires_grad=False)
        initialize_2d_sine_cosine_positional_embedding(self.positions, num_prefix_tokens=0)
        heads = max(1, width // 32)
        self.blocks = with_onednn(nn.Sequential(*(Block(width, heads, qkv_bias=True) for _ in range(depth))))
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Shapes: ``(B, N, D)`` to the same."""
        out: Tensor = self.norm(self.blocks(tokens + self.positions))
        return out


class _MapFromEmbedding(nn.Module):
    def __init__(self, dim: int, width: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.linear = nn.Linear(dim, width * side**2)

    def forward(self, features: Features) -> Tensor:
        out: Tensor = rearrange(self.linear(features.embedding), "b (c h w) -> b c h w", h=self.side, w=self.side)
        return out


class _MapFromSpatial(nn.Module):
    def __init__(self, info: BackboneInfo, width: int) -> None:
        super().__init__()
        self.grid = info.grid
        self.linear = nn.Conv2d(info.width, width, 1)

    def forward(self, features: Features) -> Tensor:
        spatial = features.spatial
        if spatial.dim() == 3:
            spatial = rearrange(spatial, "b (h w) c -> b c h w", h=self.grid[0])
        out: Tensor = self.linear(spatial)
        return out


def make_decoder(kind: DecoderKind, source: DecoderSource, info: BackboneInfo, width: int, depth: int) -> nn.Module:
    """A decoder for a backbone; ``width`` must be a multiple of 32.

    Raises: UserError if patches of the decoder cannot tile the image.
    """
    if kind == "convolution":
        return ConvolutionDecoder(info, source, width)
    if source == "spatial" and info.image_size % info.grid[0]:
        raise UserError(
            f"a transformer decoder of spatial features needs a grid that divides the image: {info.name!r} has "
            f"{info.grid[0]} places a side for {info.image_size} px; use objective.decoder=convolution"
        )
    return TransformerDecoder(info, source, width, depth)


def as_tokens(spatial: Tensor) -> Tensor:
    """A map ``(B, C, h, w)`` as tokens ``(B, h w, C)``; tokens stay as they are."""
    return rearrange(spatial, "b c h w -> b (h w) c") if spatial.dim() == 4 else spatial


def _doublings(image_size: int, start: int) -> list[int]:
    """Sizes from about ``start`` to the image size, each half of the next, rounded up: 32 -> [4, 8, 16, 32]."""
    sizes = [image_size]
    while sizes[0] > start:
        sizes.insert(0, -(-sizes[0] // 2))
    return sizes
