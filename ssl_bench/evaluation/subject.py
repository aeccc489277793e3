"""What is measured: an encoder, where it reconstructs its decoder, and what is known of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Generator, Tensor, nn

from ssl_bench import processes
from ssl_bench.backbones.feature_point import EMBEDDING, FeaturePoint

ImagesToTensor = Callable[[Tensor], Tensor]
Corrupt = Callable[[Tensor, Generator], Tensor]
CPU = torch.device("cpu")
# On a CPU larger batches of a small transformer fall out of the cache, and cost a quarter more; a GPU wants them large.
BATCH = 128
GPU_BATCH = 1024


@dataclass(frozen=True)
class Subject:
    """A frozen encoder at one moment of its training. All images it is given are standardised, ``(B, C, H, W)``.

    Attributes:
        name: For messages.
        read: Images to features at a feature point, ``(B, D)`` or tokens ``(B, N, D)``; raises UserError where there is
            no such point.
        weights: A hash of the weights: the key of what is cached about them.
        step, samples_seen, trained: How far its training is; ``trained`` is false for an encoder without weights.
        reconstruct: Images to images, ``None`` without a decoder.
        classify: Images to scores ``(B, K)`` of a classifier of its own, ``None`` without one.
        corrupt: Images on the CPU to what the encoder is shown of them while it trains, drawn from a generator;
            ``None`` where that is the images, or views of them without noise.
        transform: What becomes of a standardised image before the encoder sees it, in words; part of the cache's key.
        trainable: Makes a fresh module, images to embeddings, whose weights may be trained; ``None`` if it cannot.
        device: Where it computes, and where probes of its features are computed too.
        details: What else is recorded beside its measurements, such as where its weights came from.
    """

    name: str
    read: Callable[[Tensor, FeaturePoint], Tensor]
    weights: str
    step: int = 0
    samples_seen: int = 0
    trained: bool = True
    reconstruct: ImagesToTensor | None = None
    classify: ImagesToTensor | None = None
    corrupt: Corrupt | None = None
    transform: str = "as standardised"
    trainable: Callable[[], nn.Module] | None = None
    device: torch.device = CPU
    details: dict[str, Any] = field(default_factory=dict)

    def encode(self, images: Tensor) -> Tensor:
        """The embedding. Shapes: ``(B, C, H, W)`` -> ``(B, D)``."""
        return self.read(images, EMBEDDING)


@torch.no_grad()
def in_batches(function: ImagesToTensor, images: Tensor, prepare: ImagesToTensor, device: torch.device = CPU) -> Tensor:
    """A function of many images, a batch at a time, on the CPU in float32.

    Each batch goes to the CPU when it is made: all of a large dataset's would not fit on a GPU. Several processes make
    some of the batches each, the same ones as one process would, and every process is given all.

    Args:
        function: Standardised images ``(B, C, H, W)`` to ``(B, ...)``.
        images: uint8 ``(N, C, H, W)``, or whatever ``prepare`` takes.
        prepare: A batch of ``images`` to what ``function`` takes.
        device: Where batches are prepared, and given to ``function``.
    """
    batches = torch.split(images, BATCH if device.type == "cpu" else GPU_BATCH)
    count, rank = processes.count(), processes.rank()
    # A process with nothing to do makes the first batch too: what cannot be made must fail everywhere.
    mine = batches[rank::count] or batches[:1]
    made = torch.cat([function(prepare(batch.to(device))).float().cpu() for batch in mine])
    if count == 1:
        return made
    own = made if rank < len(batches) else made[:0]
    sizes = [[len(batch) for batch in batches[other::count]] for other in range(count)]
    parts = processes.gathered(own, [sum(of_one) for of_one in sizes])
    by_process = [torch.split(part, of_one) for part, of_one in zip(parts, sizes, strict=True)]
    return torch.cat([by_process[number % count][number // count] for number in range(len(batches))])
