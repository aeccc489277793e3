"""One of several processes that do one job together: who it is, what all agree on, which rows are its own.

Every process does the same things in the same order; the first alone writes. In a job of one process every function
gives what it was given.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import torch
import torch.distributed as distributed
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from ssl_bench.errors import NotWritten, UserError

if TYPE_CHECKING:
    from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment

T = TypeVar("T")
Parameters = ParamSpec("Parameters")

# How long processes wait for each other to come up, and then in the middle of their work, where one may be slower.
MEETING, PATIENCE = timedelta(minutes=5), timedelta(hours=6)


def environment() -> ClusterEnvironment | None:
    """Who started this process together with others, if anyone did.

    Raises: UserError if ``srun`` was told something that cannot be.
    """
    if distributed.is_torchelastic_launched():
        from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

        return TorchElasticEnvironment()
    if int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) == 1:  # a script of sbatch, which is no step, is one process
        return None
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

    try:
        return SLURMEnvironment() if SLURMEnvironment.detect() else None
    except RuntimeError as error:
        raise UserError(f"srun: {' '.join(str(error).split())}") from error


def launched() -> int:
    """As how many processes torchrun or ``srun`` started this job; 1 if neither did."""
    starter = environment()
    return 1 if starter is None else starter.world_size()


def join() -> None:
    """Meet the other processes that torchrun or ``srun`` started, once. Does nothing in a job of one process.

    Numbers of processors travel by gloo, those of GPUs by NCCL.

    Raises: UserError if the others do not come.
    """
    starter = environment()
    if starter is None or starter.world_size() == 1 or distributed.is_initialized():
        return
    os.environ["MASTER_ADDR"] = starter.main_address
    os.environ["MASTER_PORT"] = str(starter.main_port)
    gpus = torch.cuda.is_available()
    if gpus:
        torch.cuda.set_device(starter.local_rank() % torch.cuda.device_count())
    rank, size = starter.global_rank(), starter.world_size()
    try:
        store, rank, size = next(rendezvous("env://", rank, size, timeout=MEETING))
        backend = "cpu:gloo,cuda:nccl" if gpus else "gloo"
        distributed.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=PATIENCE)
    except distributed.DistError as error:
        raise UserError(
            f"not all {size} processes came to {starter.main_address}:{starter.main_port} within {MEETING}: start one "
            f"for each of training.devices on each of training.nodes ({str(error).splitlines()[0]})"
        ) from error
    atexit.register(_leave)


class _Apart:
    """Whether the first process does something by itself just now: then nobody waits for it anywhere."""

    now = False


def count() -> int:
    """How many processes there are."""
    if _Apart.now:
        return 1
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def together() -> bool:
    """Whether there are several processes."""
    return count() > 1


def rank() -> int:
    """Which of them this one is, from 0."""
    return distributed.get_rank() if together() else 0


def is_first() -> bool:
    """Whether this process is the one that writes."""
    return rank() == 0


def agreed(value: T) -> T:
    """What the first process says, everywhere: for what depends on clocks, files or signals."""
    if not together():
        return value
    said = [value]
    distributed.broadcast_object_list(said, src=0, device=torch.device("cpu"))
    return said[0]


def by_first(function: Callable[[], T]) -> T:
    """What a function gives in the first process, everywhere; it runs there alone, and is told of no others.

    Raises: The user's mistake, or the full disk, it raised there: in all processes, so that none waits for another.
    """
    if not together():
        return function()
    result: tuple[Any, Exception | None] = (None, None)
    if is_first():
        _Apart.now = True
        try:
            result = (function(), None)
        except (UserError, NotWritten) as error:
            result = (None, error)
        finally:
            _Apart.now = False
    value, mistake = agreed(result)
    if mistake is not None:
        raise mistake
    made: T = value
    return made


def anyone(value: bool) -> bool:
    """Whether it is true of any process."""
    if not together():
        return value
    told = torch.tensor([value], dtype=torch.int32)
    distributed.all_reduce(told, op=distributed.ReduceOp.MAX)
    return bool(told.item())


def wait() -> None:
    """Until all processes are here."""
    agreed(None)


@contextmanager
def first_goes_first() -> Iterator[None]:
    """The first process does what is inside before the others: what it leaves in a cache, they find."""
    if not is_first():
        wait()
    try:
        yield
    finally:
        if is_first():
            wait()


def first_only(function: Callable[Parameters, None]) -> Callable[Parameters, None]:
    """A function that the first process does for all, and all wait for: for what writes. See :func:`by_first`."""

    @wraps(function)
    def guarded(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        by_first(lambda: function(*args, **kwargs))

    return guarded


@dataclass(frozen=True)
class Share:
    """Which images of a batch are a process's own: equal shares, in the order of the processes.

    What is random is drawn for the whole batch by every process, from equal generators, and each keeps its own rows: so
    a batch meets the same randomness on one device as on eight.
    """

    rank: int = 0
    count: int = 1

    def rows(self, size: int, views: int = 1, device: torch.device | str = "cpu") -> Tensor:
        """Places of the own rows, where the whole batch has ``views`` blocks of ``count * size`` rows.

        Shapes: -> int64 ``(views * size,)``.
        """
        starts = torch.arange(views, device=device) * self.count * size + self.rank * size
        return (starts[:, None] + torch.arange(size, device=device)).flatten()

    def drawn(self, draw: Callable[[int], Tensor], size: int, views: int = 1) -> Tensor:
        """The own rows of what ``draw`` makes for a number of rows.

        Args:
            draw: Number of rows to a tensor that has as many.
            size: Own images.
            views: Views of each, block by block.
        """
        if self.count == 1:
            return draw(size * views)
        whole = draw(size * self.count * views)
        return whole.index_select(0, self.rows(size, views, whole.device))


ALONE = Share()


def share() -> Share:
    """The share of this process."""
    return Share(rank(), count())


def gathered(own: Tensor, sizes: list[int]) -> list[Tensor]:
    """The rows of all processes, process by process. Nothing is padded in what comes back.

    Args:
        own: Rows of this process ``(sizes[rank], ...)``, on the CPU; of the same further shape everywhere.
        sizes: Numbers of rows, by process.
    """
    if not together():
        return [own]
    largest = max(sizes)
    padded = own.new_zeros((largest, *own.shape[1:]))
    padded[: len(own)] = own
    parts = [torch.empty_like(padded) for _ in sizes]
    distributed.all_gather(parts, padded)
    return [part[:size] for part, size in zip(parts, sizes, strict=True)]


def from_all(own: Tensor) -> Tensor:
    """The rows of all processes, in their order; a gradient flows back to the process each row came from.

    Where every process adds the loss of its own rows and gradients are then averaged, as data-parallel training does,
    the result is the gradient of the mean of these losses. Shapes: ``(B, ...)`` -> ``(count B, ...)``.
    """
    if not together():
        return own
    made: Tensor = _FromAll.apply(own)
    return made


def sum_of_all(own: Tensor) -> Tensor:
    """The sum over the processes, through which gradients flow: every process's loss depends on what each one gave."""
    if not together():
        return own
    made: Tensor = _SumOfAll.apply(own)
    return made


def mean_over_all(value: Tensor) -> Tensor:
    """The mean of a tensor over the processes, for numbers to be shown."""
    return sum_of_all(value.detach()) / count()


class _SumOfAll(torch.autograd.Function):
    """``torch.distributed.nn`` has one too, which misreads gradients that do not lie in one piece."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        total = own.detach().clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _SumOfAll.forward(ctx, gradients[0])


class _FromAll(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        own = own.contiguous()
        rows = [torch.empty_like(own) for _ in range(count())]
        distributed.all_gather(rows, own)
        return torch.cat(rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _SumOfAll.forward(ctx, gradients[0]).chunk(count())[rank()]


def _leave() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()
