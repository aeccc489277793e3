"""The newest resumable state of a run.

Every random draw is a function of the run's seed and the step (see ``ssl_bench.seeds``), and so are the learning rate
and the position in the data; so weights, optimizer and step number are the whole state.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ssl_bench.errors import UserError
from ssl_bench.files import replace_file


@dataclass
class State:
    """Where a run is: updates made, and seconds of training so far, over all its sessions."""

    step: int = 0
    seconds: float = 0.0


def save_checkpoint(file: Path, state: State, module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Replace the checkpoint in one step."""
    content = {
        "step": state.step,
        "seconds": state.seconds,
        "module": module.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    replace_file(file, lambda part: torch.save(content, part))


def load_checkpoint(file: Path, module: nn.Module, optimizer: torch.optim.Optimizer) -> State:
    """Bring module and optimizer to where the run stopped; the start if there is no checkpoint.

    Raises: UserError if the file cannot be read.
    """
    if not file.exists():
        return State()
    try:
        content: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        module.load_state_dict(content["module"])
        optimizer.load_state_dict(content["optimizer"])
        _lie_as_weights_do(optimizer)
        return State(int(content["step"]), float(content["seconds"]))
    except Exception as error:  # torch.load raises whatever the damage makes it stumble on
        raise UserError(
            f"checkpoint {file} is damaged ({type(error).__name__}): delete the run and start it again"
        ) from error


def _lie_as_weights_do(optimizer: torch.optim.Optimizer) -> None:
    """Give what an optimizer keeps of each weight the weight's layout in memory, which may be another than when saved.

    Fused optimizers pair numbers by where they lie, and on a CPU do not look whether that is right.
    """
    for weight, kept in optimizer.state.items():
        for name, value in kept.items():
            if isinstance(value, torch.Tensor) and value.shape == weight.shape:
                kept[name] = torch.empty_like(weight, dtype=value.dtype).copy_(value)
