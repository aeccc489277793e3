"""Compiling what an objective is made of."""

from __future__ import annotations

from typing import Any

import torch

from ssl_bench.errors import UserError
from ssl_bench.objectives.base import Objective

# Every step has the same shapes. The default mode: CUDA graphs would overwrite the metrics that are kept of a step.
SETTINGS: dict[str, Any] = {"dynamic": False}


def compile_parts(objective: Objective) -> None:
    """Compile the parts of an objective in place, each for the shapes it meets; names of weights stay as they are.

    The parts and not the step, since the step draws at random and may go by the progress of training: each new value of
    a number it reads would compile it anew. A single layer has nothing to be fused with, and is left alone.
    """
    for part in objective.children():
        if any(True for _ in part.children()):
            part.compile(**SETTINGS)


def check_compiler(device: torch.device) -> None:
    """Find out, on a sum of two numbers, whether code can be compiled for a device.

    Raises: UserError if it cannot.
    """
    try:
        torch.compile(_sum, **SETTINGS)(torch.ones(2, device=device))
    except Exception as error:  # of torch, of Triton, of whatever compiler is called: all mean the same here
        reason = str(error).strip().splitlines()
        raise UserError(
            f"training.compile=true: torch.compile does not work on {device.type} here "
            f"({reason[0] if reason else type(error).__name__}): install a C++ compiler (for a GPU Triton too), "
            "or leave training.compile out"
        ) from error


def _sum(numbers: torch.Tensor) -> torch.Tensor:
    return numbers.sum() + 1
