"""The Noise protocol."""

from __future__ import annotations

from abc import abstractmethod
from typing import Self

from torch import Generator, Tensor

from ssl_bench.config import Options
from ssl_bench.data.images import ImageData
from ssl_bench.processes import Share

Shape = tuple[int, int, int]


class Noise(Options):
    """A noise distribution: its fields are the arguments of its spec.

    It acts on standardised images (per-channel mean removed, divided by one standard deviation), so ``sigma=1`` is as
    much noise as signal.

    Every family is a random linear map of the image plus independent noise, ``T x + e``. Theory needs two things of it
    and no more: :meth:`mean_map` and :meth:`second_map`.
    """

    def prepare(self, data: ImageData) -> Self:
        """Fit it to a dataset, for families that speak of its principal components; others are as they are."""
        return self

    def at(self, progress: float) -> Noise:
        """The noise at a point of training, 0 to 1; only a schedule changes."""
        return self

    @abstractmethod
    def sample(self, images: Tensor, generator: Generator) -> Tensor:
        """Noisy copies, drawn from ``generator`` alone, one independent draw an image.

        Shapes: images ``(B, C, H, W)``, standardised, on the generator's device -> the same.
        """

    def sample_share(self, images: Tensor, generator: Generator, share: Share, views: int = 1) -> Tensor:
        """Noisy copies of a process's share of a batch, with what is drawn for them in the whole batch.

        Args:
            images: ``(views * B, C, H, W)``, view by view.
            generator: In the same state in every process.
            share: Which images of the batch they are.
            views: Views of each image.
        """
        if share.count == 1:
            return self.sample(images, generator)
        # What is drawn depends on how many images there are: the own ones stand in for those of the others.
        blocks = images.view(views, 1, -1, *images.shape[1:]).expand(-1, share.count, *[-1] * images.dim())
        own = share.rows(blocks.shape[2], views, images.device)
        return self.sample(blocks.flatten(0, 2), generator).index_select(0, own)

    def mean_map(self, matrix: Tensor, shape: Shape) -> Tensor:
        """``E[T] @ matrix``: with the data's second moment, E[noisy x^T]. Additive noise changes nothing.

        Args:
            matrix: ``(D, n)`` float64, D = C H W.
            shape: ``(C, H, W)``.
        """
        return matrix

    @abstractmethod
    def second_map(self, matrix: Tensor, shape: Shape) -> Tensor:
        """E[noisy noisy^T] of images with E[x x^T] = ``matrix``. Shapes: ``(D, D)`` float64 to the same."""

    def diagonal(self, variances: Tensor, components: Tensor) -> tuple[Tensor, Tensor] | None:
        """E[T] and the second moment of the noisy images in each principal component, if the noise commutes with them.

        Shapes: variances ``(R,)``, components ``(D, R)`` -> ``(R,)`` both; ``None`` where it does not commute.
        """
        return None
