"""Where a training step's time goes: the profiler's operators, by kind."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile, record_function

from benchmarks.cases import Case
from benchmarks.ours import OurSteps, step

# Names of ranges that are not the profiler's own.
VIEWS, LOSS = "part: views", "part: loss"
# Kinds by what is in an operator's name; the first that fits.
KINDS = {
    "norm": ("batch_norm", "layer_norm", "group_norm"),
    "attention": ("attention", "attn"),
    "convolution": ("conv",),
    "loss": ("mse_loss", "nll_loss", "log_softmax", "cross_entropy", "huber", "l1_loss"),
    "optimizer": ("_foreach", "_fused", "linalg_vector_norm", "grad_norm"),
    "matrix product": ("mm", "linear", "matmul", "einsum"),
    "activation": ("relu", "gelu", "threshold", "clamp_min", "softmax", "sigmoid", "tanh"),
    "layout and copies": (
        *("copy", "clone", "contiguous", "cat", "stack", "index", "gather", "scatter", "transpose", "permute", "view"),
        *("reshape", "expand", "slice", "select", "narrow", "split", "chunk", "unbind", "empty", "zero", "fill", "pad"),
        *("repeat", "aten::t", "aten::to", "as_strided", "squeeze", "upsample", "resize", "detach", "one_hot"),
    ),
}
COMPILED, OTHER, REST = "compiled", "other operators", "Python and waiting"
ORDER = (
    "views",
    "convolution",
    "matrix product",
    "attention",
    "norm",
    "activation",
    "layout and copies",
    "loss",
    "optimizer",
    COMPILED,
    OTHER,
    REST,
)


def step_shares(case: Case, steps: int) -> dict[str, Any]:
    """Percent of the time of some training steps by kind, with more about the views.

    Returns: ``shares`` by kind, adding up to 100; ``apart``: the views' share of a step, both timed without the
    profiler; ``operators``: percent of the views' time by operator, the largest eight.
    """
    work = step(case)
    assert isinstance(work, OurSteps)
    maker: Any = work.trainer.views
    make, given = maker.batch, dict[str, Any]()

    def remembering(*arguments: Any, **keywords: Any) -> Any:
        given.update(arguments=arguments, keywords=keywords)
        return make(*arguments, **keywords)

    def views() -> None:
        make(*given["arguments"], **given["keywords"])

    maker.batch = remembering
    work.step()
    # Unprofiled first: the profiler leaves its hooks.
    apart = 100 * _seconds(views, steps) / _seconds(work.step, steps)
    operators = _profiled(views, steps, _operator)
    maker.batch = _in_range(VIEWS, make)
    loss = getattr(work.trainer.objective, "loss", None)
    if isinstance(loss, torch.nn.Module):
        loss.forward = _in_range(LOSS, loss.forward)
    shares = _profiled(work.step, steps, kind_of)
    largest = sorted(operators, key=operators.__getitem__, reverse=True)[:8]
    return {
        "shares": {kind: shares[kind] for kind in ORDER if kind in shares},
        "apart": apart,
        "operators": {name: operators[name] for name in largest},
    }


def kind_of(event: FunctionEvent) -> str:
    """An event's kind: that of the range it is in, else by its name."""
    for name in _names_upwards(event):
        if name in (VIEWS, LOSS):
            return name.removeprefix("part: ")
        if name.startswith(("Optimizer.step", "Optimizer.zero_grad")):
            return "optimizer"
        if "Compiled" in name:
            return COMPILED
    if _operator(event) == REST:
        return REST
    return next((kind for kind, words in KINDS.items() if any(word in event.name for word in words)), OTHER)


def _operator(event: FunctionEvent) -> str:
    """An operator's name without that of its library; else it is what autograd and the interpreter do around them."""
    library, _, operator = event.name.partition("::")
    return operator if operator and library not in ("autograd", "torch") else REST


def _names_upwards(event: FunctionEvent | None) -> Iterable[str]:
    while event is not None:
        yield event.name
        event = event.cpu_parent


def _profiled(work: Callable[[], Any], times: int, name_of: Callable[[FunctionEvent], str]) -> dict[str, float]:
    """Percent of the time by name; what no event accounts for is the rest."""
    on_gpu = torch.cuda.is_available()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with _silence(), profile(activities=activities) as profiler:
        microseconds = 1e6 * times * _seconds(work, times, warm=0)
    found: dict[str, float] = defaultdict(float)
    for event in profiler.events():
        if event.device_type.name == "CPU":
            spent = event.self_device_time_total if on_gpu else event.self_cpu_time_total
            found[name_of(event)] += 100 * spent / microseconds
    found[REST] += 100 - sum(found.values())
    return dict(found)


def _seconds(work: Callable[[], Any], times: int, warm: int = 2) -> float:
    """Of one work, the mean of several."""
    for _ in range(warm):
        work()
    _wait()
    started = time.perf_counter()
    for _ in range(times):
        work()
    _wait()
    return (time.perf_counter() - started) / times


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


@contextmanager
def _silence() -> Iterator[None]:
    """Nothing on standard error, where the profiler's library logs what it does, past Python."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _in_range(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def inside(*arguments: Any, **keywords: Any) -> Any:
        with record_function(name):
            return function(*arguments, **keywords)

    return inside
