"""The Noise protocol."""

from __future__ import annotations

from abc import abstractmethod

from torch import Generator, Tensor

from ssl_bench.config import Options


class Noise(Options):
    """A noise distribution: its fields are the arguments of its spec.

    It acts on standardised images (per-channel mean removed, divided by one standard deviation), so ``sigma=1`` is as
    much noise as signal.
    """

    @abstractmethod
    def sample(self, images: Tensor, generator: Generator) -> Tensor:
        """Noisy copies, drawn from ``generator`` alone, one independent draw an image.

        Shapes: images ``(B, C, H, W)``, standardised, on the generator's device -> the same.
        """
