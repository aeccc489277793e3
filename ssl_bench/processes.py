"""One of several processes that do one job together: who it is, what all agree on, which rows are its own.

Every process does the same steps in the same order; the first alone writes. A job of one process needs none of this:
every function then gives what it was given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.distributed as distributed
from torch import Tensor

T = TypeVar("T")


def together() -> bool:
    """Whether there are several processes."""
    return count() > 1


def count() -> int:
    """How many processes there are."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def rank() -> int:
    """Which of them this one is, from 0."""
    return distributed.get_rank() if together() else 0


def is_first() -> bool:
    """Whether this process is the one that writes."""
    return rank() == 0


def agreed(value: T) -> T:
    """What the first process says, everywhere: for decisions that depend on clocks, files or signals."""
    if not together():
        return value
    said = [value]
    distributed.broadcast_object_list(said, src=0, device=_device())
    return said[0]


def anyone(value: bool) -> bool:
    """Whether it is true of any process."""
    if not together():
        return value
    told = torch.tensor([value], dtype=torch.int32, device=_device())
    distributed.all_reduce(told, op=distributed.ReduceOp.MAX)
    return bool(told.item())


def wait() -> None:
    """Until all processes are here."""
    if together():
        agreed(None)


@contextmanager
def first_goes_first() -> Iterator[None]:
    """The first process does what is inside before the others do: what it leaves in a cache, they find."""
    if not is_first():
        wait()
    yield
    if is_first():
        wait()


def own_part(rows: Tensor) -> Tensor:
    """This process's share of rows that all have. Their number is a multiple of that of the processes."""
    size = len(rows) // count()
    return rows[rank() * size : (rank() + 1) * size]


def own_rows(draw: Callable[[int], Tensor], size: int) -> Tensor:
    """This process's share of what is drawn for all images of a batch.

    Every process draws from the same generator for all of them: so a batch on eight devices meets the same randomness
    as on one.

    Args:
        draw: Number of images to a tensor with as many rows.
        size: Images of this process.
    """
    return draw(size) if not together() else own_part(draw(size * count()))


def mean_over_all(value: Tensor) -> Tensor:
    """The mean of a tensor over the processes."""
    if not together():
        return value
    total = value.detach().clone()
    distributed.all_reduce(total)
    return total / count()


def _device() -> torch.device:
    """Where tensors must lie to be sent: NCCL knows GPUs alone."""
    return (
        torch.device("cuda", torch.cuda.current_device())
        if distributed.get_backend() == "nccl"
        else torch.device("cpu")
    )
