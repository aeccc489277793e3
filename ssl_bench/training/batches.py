"""Which images a step sees: an order by seed and epoch, a position by step."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from ssl_bench.seeds import make_generator


class BatchOrder:
    """The images of every step. An epoch is one random permutation; its last, incomplete batch is left out.

    Permutations are drawn on the CPU, so that a seed means the same order everywhere, and brought to ``device`` once an
    epoch.
    """

    def __init__(self, samples: int, batch_size: int, seed: int, device: torch.device | str = "cpu") -> None:
        self.samples, self.batch_size, self.seed, self.device = samples, batch_size, seed, device
        self.steps_per_epoch = samples // batch_size
        self._permutation = lru_cache(maxsize=1)(self._draw)

    def indices(self, step: int) -> Tensor:
        """The images of a step, on the device. Shapes: ``(B,)``."""
        epoch, position = divmod(step, self.steps_per_epoch)
        start = position * self.batch_size
        return self._permutation(epoch)[start : start + self.batch_size]

    def _draw(self, epoch: int) -> Tensor:
        return torch.randperm(self.samples, generator=make_generator(self.seed, "order", epoch)).to(self.device)
