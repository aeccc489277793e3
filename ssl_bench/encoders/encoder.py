"""A foreign network with its preprocessing: standardised images in, features at any feature point out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ssl_bench.backbones.feature_point import FeaturePoint, check_layer, pool_spatial
from ssl_bench.encoders.preprocessing import Preprocessing
from ssl_bench.errors import UserError

# Pixels an encoder is given at once: 41 images of 224 px, and 334 on a GPU. A batch of 1,024 would need gigabytes.
PIXELS = 2**21
GPU_PIXELS = 2**24


class Encoder(nn.Module):
    """A network and what its images go through.

    Attributes:
        name: For messages.
        network: The network without its classifier.
        prepare: From standardised images to the network's.
        notes: What was changed in the architecture to fit the weights; part of :attr:`transform`.
        layers: Number of blocks after which features can be read.
        prefix: Number of tokens that are no patch.
        has_class_token: Whether the first of them is a class token.
        brings_weights: Whether the network came with weights of its own.
        users_code: Whether its code is the user's, which may change while the weights do not.
    """

    # Any, because libraries' networks have methods that nn.Module does not declare.
    network: Any
    layers: int = 0
    prefix: int = 0
    has_class_token: bool = False
    brings_weights: bool = False
    users_code: bool = False

    def __init__(self, name: str, network: nn.Module, prepare: Preprocessing, notes: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.name = name
        self.network = network
        self.prepare = prepare
        self.notes = notes

    @abstractmethod
    def embed(self, inputs: Tensor) -> Tensor:
        """The network's own embedding. Shapes: prepared images ``(B, C, h, w)`` -> ``(B, D)``."""

    @abstractmethod
    def spatial(self, inputs: Tensor) -> Tensor:
        """The map ``(B, c, h, w)``, or all tokens ``(B, prefix + N, c)``, at the end of the network."""

    def after_layer(self, inputs: Tensor, layer: int) -> Tensor:
        """The map or all tokens after a block; 1 is the first."""
        raise UserError(f"{self.name} has no blocks to read from: leave layer out")

    @property
    def transform(self) -> str:
        """All that happens to a standardised image, and what was changed in the architecture, in words."""
        return "; ".join([str(self.prepare), *self.notes])

    def forward(self, images: Tensor) -> Tensor:
        """The embedding of standardised images. Shapes: ``(B, C, H, W)`` -> ``(B, D)``."""
        return self.embed(self._inputs(images))

    def read(self, images: Tensor, point: FeaturePoint) -> Tensor:
        """Features of standardised images at a feature point. Shapes: ``(B, C, H, W)`` -> ``(B, D)`` or ``(B, N, D)``.

        Raises: UserError if there is no such point.
        """
        height, width = self.prepare.size or images.shape[-2:]
        most = GPU_PIXELS if images.is_cuda else PIXELS
        chunks = torch.split(images, max(1, most // (height * width)))
        return torch.cat([self._read(self._inputs(chunk), point) for chunk in chunks])

    def _read(self, inputs: Tensor, point: FeaturePoint) -> Tensor:
        if point.layer is None and point.pool == "embedding":
            return self.embed(inputs)
        if point.pool_at_layer == "cls" and not self.has_class_token:
            raise UserError(f"{self.name} has no class token: use feature_point=mean or embedding")
        if point.layer is None:
            return pool_spatial(self.spatial(inputs), self.prefix, point.pool, self.name)
        check_layer(point.layer, self.layers, self.name)
        return pool_spatial(self.after_layer(inputs, point.layer), self.prefix, point.pool_at_layer, self.name)

    def _inputs(self, images: Tensor) -> Tensor:
        parameter = next(self.network.parameters(), None)
        return self.prepare(images if parameter is None else images.to(parameter.device))


def output_of(part: nn.Module, run: Callable[[], object]) -> Tensor:
    """What a part of a network puts out while something runs, through a forward hook."""
    seen: list[Tensor] = []
    # Cloned, because an activation behind the part may work in place.
    handle = part.register_forward_hook(lambda _part, _inputs, output: seen.append(output.clone()))
    try:
        run()
    finally:
        handle.remove()
    return seen[-1]
