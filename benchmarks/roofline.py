"""What this machine can do at best: matrix products and copies, measured in the run they are compared with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.cases import Steps
from benchmarks.contest import Entry, Work, contest
from benchmarks.results import Plan
from ssl_bench.backbones.linear import OneDNNLinear, onednn_is_faster
from ssl_bench.resolve import cpu_multiplies_bf16

DTYPES = {"32-true": torch.float32, "bf16-mixed": torch.bfloat16}


@dataclass(frozen=True)
class Roofline:
    """The best rates seen: multiplications and additions a second by training precision, bytes copied a second.

    A byte read and written counts twice. Precisions that the processor only emulates are left out.
    """

    flops: dict[str, float]
    bandwidth: float

    def share(self, precision: str, flops: float) -> float | None:
        """How much of the peak at a precision a rate is; None where the peak is not known."""
        return flops / self.flops[precision] if precision in self.flops else None

    def or_better(self, other: Roofline) -> Roofline:
        """The higher rates of two measurements."""
        flops = {precision: max(rate, other.flops[precision]) for precision, rate in self.flops.items()}
        return Roofline(flops, max(self.bandwidth, other.bandwidth))

    @property
    def sentence(self) -> str:
        """Both, for the report."""
        rates = ", ".join(f"{rate / 1e9:,.0f} GFLOP/s at {precision}" for precision, rate in self.flops.items())
        return f"Matrix products reach {rates} here, copies {self.bandwidth / 1e9:,.0f} GB/s read and written."


def measure(plan: Plan) -> Roofline:
    """Of the plan's device, with its number of threads.

    Raises: RuntimeError if the process that measures fails.
    """
    entry = Entry("peak", "benchmarks.roofline:peaks", {"device": plan.device, "quick": plan.quick}, plan.threads)
    timing = contest([entry], 0)[0]
    if timing.error is not None:
        raise RuntimeError(f"the machine's peak could not be measured: {timing.error}")
    bandwidth = timing.about.pop("bandwidth")
    return Roofline(timing.about, bandwidth)


def native_half(device: str) -> bool:
    """Whether the processor multiplies bfloat16 itself; emulated, it is far slower than float32."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return cpu_multiplies_bf16()


def peaks(device: str, quick: bool) -> Work:
    """A contestant that does nothing when it works, and measures when it is asked about itself."""
    return _Peaks(device, quick)


class _Peaks:
    def __init__(self, device: str, quick: bool) -> None:
        self.device = device
        self.sides = (256,) if quick else (1024, 2048) if device == "cpu" else (4096, 8192)
        self.values = 1 << (20 if quick else 26)
        self.seconds = 0.05 if quick else 1.0

    def __call__(self) -> int:
        return 1

    def about(self) -> dict[str, Any]:
        dtypes = {name: dtype for name, dtype in DTYPES.items() if name == "32-true" or native_half(self.device)}
        found: dict[str, Any] = {
            name: max(2 * side**3 / self._best(self._product(side, dtype)) for side in self.sides)
            for name, dtype in dtypes.items()
        }
        source = torch.ones(self.values, device=self.device)
        target = torch.empty_like(source)
        found["bandwidth"] = 2 * source.nbytes / self._best(lambda: target.copy_(source))
        return found

    def _product(self, side: int, dtype: torch.dtype) -> Callable[[], Tensor]:
        left, right = (torch.randn(side, side, device=self.device).to(dtype) for _ in range(2))
        if dtype == torch.float32 and self.device == "cpu" and onednn_is_faster():
            # What convolutions and our linear layers are made by; torch's own product reaches half of it there.
            layer = OneDNNLinear(side, side, bias=False)
            return torch.no_grad()(lambda: layer(left))
        return lambda: left @ right

    def _best(self, step: Callable[[], Tensor]) -> float:
        """Seconds of the fastest of several stretches of time."""
        steps = Steps(step, 1, self.seconds)
        return min(steps.seconds_a_step() for _ in range(5))
