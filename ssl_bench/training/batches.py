"""Which images a step sees: an order by seed and epoch, a position by step."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from ssl_bench import processes
from ssl_bench.seeds import make_generator


class BatchOrder:
    """The images of every step. An epoch is one random permutation; its last, incomplete batch is left out.

    A batch goes through the network in ``parts``, one after the other, each shared by all processes.

    Permutations are drawn on the CPU, so that a seed means the same order everywhere, and brought to ``device`` once an
    epoch.
    """

    def __init__(
        self, samples: int, batch_size: int, seed: int, device: torch.device | str = "cpu", parts: int = 1
    ) -> None:
        self.samples, self.batch_size, self.seed, self.device, self.parts = samples, batch_size, seed, device, parts
        self.steps_per_epoch = samples // batch_size
        self._permutation = lru_cache(maxsize=1)(self._draw)

    def indices(self, step: int) -> Tensor:
        """The images of a step, on the device: of each part of the batch, this process's share. Shapes: ``(B,)``."""
        epoch, position = divmod(step, self.steps_per_epoch)
        start = position * self.batch_size
        whole = self._permutation(epoch)[start : start + self.batch_size]
        return whole.view(self.parts, processes.count(), -1)[:, processes.rank()].flatten()

    def _draw(self, epoch: int) -> Tensor:
        return torch.randperm(self.samples, generator=make_generator(self.seed, "order", epoch)).to(self.device)
