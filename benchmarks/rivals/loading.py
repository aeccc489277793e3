"""How the others feed a network: images in a dataset, a DataLoader with worker processes, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.cases import Case, TrainingSteps
from ssl_bench.data.images import Split

Transform = Callable[[Image.Image], Any]


class PilImages(Dataset[tuple[Any, int]]):
    """Images in memory, given out as torchvision's CIFAR10 does: a PIL image of the array, then the transform."""

    def __init__(self, split: Split, transform: Transform) -> None:
        self.pixels = split.images.permute(0, 2, 3, 1).contiguous().numpy()
        self.labels = split.labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.transform(Image.fromarray(self.pixels[index])), self.labels[index]


def loader_of(dataset: Dataset[Any], batch: int, device: str, workers: int) -> DataLoader[Any]:
    """A loader at its best: its workers stay from epoch to epoch, and memory is pinned for a GPU."""
    return DataLoader(
        dataset,
        batch_size=batch,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device == "cuda",
    )


def endless(loader: DataLoader[Any]) -> Iterator[Any]:
    """The batches of a loader, epoch after epoch."""
    while True:
        yield from loader


class LoaderSteps(TrainingSteps):
    """Steps of a contestant with a loader, which takes the number of workers that is fastest for it here.

    Args:
        dataset: What is loaded.
        case: What is trained; the first of its ``workers`` is what it starts with.
        update: A batch, as the loader gives it, to its loss (detached), the weights being updated.
    """

    def __init__(self, dataset: Dataset[Any], case: Case, update: Callable[[Any], Tensor]) -> None:
        self.dataset, self.case = dataset, case
        self.workers = case.workers[0]
        self.batches = self._load(self.workers)
        super().__init__(lambda: update(next(self.batches)), case.batch, case.turn)

    def tune(self) -> None:
        """Try each number of workers for a part of a turn, and settle how many steps make one."""
        seconds = {workers: self._trial(workers) for workers in self.case.workers}
        self.workers = min(seconds, key=seconds.__getitem__)
        self._start(self.workers)
        self.count = max(1, round(self.turn / seconds[self.workers]))

    def about(self) -> dict[str, Any]:
        """See :meth:`TrainingSteps.about`; ``workers`` is what was chosen."""
        return {**super().about(), "workers": self.workers}

    def _trial(self, workers: int) -> float:
        self._start(workers)
        return self.seconds_a_step(0.5)

    def _start(self, workers: int) -> None:
        self.batches = self._load(workers)
        self.step()  # this is what starts the processes

    def _load(self, workers: int) -> Iterator[Any]:
        return endless(loader_of(self.dataset, self.case.batch, self.case.device, workers))
