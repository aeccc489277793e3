"""What is measured: an encoder, where it reconstructs its decoder, and what is known of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

ImagesToTensor = Callable[[Tensor], Tensor]
BATCH = 512


@dataclass(frozen=True)
class Subject:
    """A frozen encoder at one moment of its training.

    ``encode`` maps standardised images ``(B, C, H, W)`` to embeddings ``(B, D)``; ``reconstruct`` maps them to images,
    or is ``None``. ``weights`` is a hash of the weights: the key of what is cached about them.
    """

    name: str
    encode: ImagesToTensor
    reconstruct: ImagesToTensor | None
    weights: str
    step: int
    samples_seen: int
    trained: bool


@torch.no_grad()
def in_batches(function: ImagesToTensor, images: Tensor, prepare: ImagesToTensor) -> Tensor:
    """A function of many images, a batch at a time, on the CPU in float32.

    Args:
        function: Standardised images ``(B, C, H, W)`` to ``(B, ...)``.
        images: uint8 ``(N, C, H, W)``.
        prepare: uint8 images to what ``function`` takes.
    """
    return torch.cat([function(prepare(chunk)).float().cpu() for chunk in torch.split(images, BATCH)])
