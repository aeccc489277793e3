"""How the images of a step reach the device: they lie there, or they are gathered one batch ahead."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import torch
from torch import Tensor

from ssl_bench.config import TrainingConfig
from ssl_bench.data.images import Split
from ssl_bench.training.batches import BatchOrder


class Feed(Protocol):
    """Gives the images of any step; what it gives depends on the step alone, so that a resumed run needs no state."""

    def batch(self, step: int) -> Split:
        """Images and labels of a step, on the device: this process's share."""

    def close(self) -> None:
        """Let go of whatever works in the background; no step is asked for afterwards."""


class ResidentFeed:
    """All images on the device. On a CPU they are read where they lie, be it in a file that is mapped into memory."""

    def __init__(self, images: Split, batch_size: int, seed: int, device: torch.device, parts: int = 1) -> None:
        self.images = Split(images.images.to(device), images.labels.to(device))
        self.order = BatchOrder(len(images), batch_size, seed, device, parts)

    def batch(self, step: int) -> Split:
        """See :meth:`Feed.batch`. Nothing crosses to the device but once an epoch the order of the images."""
        return _chosen(self.images, self.order.indices(step))

    def close(self) -> None:
        """See :meth:`Feed.close`."""


class StreamedFeed:
    """Images that stay in the host's memory or on disk.

    A thread gathers the next batch while the device works on this one, into page-locked memory where the device is a
    GPU: the host does not wait for a copy from there.
    """

    def __init__(self, images: Split, batch_size: int, seed: int, device: torch.device, parts: int = 1) -> None:
        self.images, self.device = images, device
        self.order = BatchOrder(len(images), batch_size, seed, parts=parts)
        self._thread = ThreadPoolExecutor(1, "batches")
        self._ahead: tuple[int, Future[Split]] | None = None

    def batch(self, step: int) -> Split:
        """See :meth:`Feed.batch`.

        Raises: Whatever reading the images raised in the background.
        """
        ahead, self._ahead = self._ahead, None
        here = ahead[1].result() if ahead is not None and ahead[0] == step else self._gather(step)
        self._ahead = step + 1, self._thread.submit(self._gather, step + 1)
        return Split(
            here.images.to(self.device, non_blocking=True),
            here.labels.to(self.device, non_blocking=True),
        )

    def close(self) -> None:
        """See :meth:`Feed.close`."""
        self._thread.shutdown(cancel_futures=True)

    def _gather(self, step: int) -> Split:
        # torch keeps page-locked memory for reuse, and hands it out again only when the copy from it is done.
        return _chosen(self.images, self.order.indices(step), locked=self.device.type == "cuda")


def make_feed(images: Split, settings: TrainingConfig, seed: int, device: torch.device, resident: bool) -> Feed:
    """The feed of a training run over its training images."""
    kind = ResidentFeed if resident else StreamedFeed
    return kind(images, settings.batch_size, seed, device, settings.accumulate)


def _chosen(images: Split, index: Tensor, locked: bool = False) -> Split:
    """The chosen samples, if asked in page-locked memory. Whole images at a time: faster than ``images[index]``."""

    def rows(of: Tensor) -> Tensor:
        into = torch.empty((len(index), *of.shape[1:]), dtype=of.dtype, device=of.device, pin_memory=locked)
        return torch.index_select(of, 0, index, out=into)

    return Split(rows(images.images), rows(images.labels))
