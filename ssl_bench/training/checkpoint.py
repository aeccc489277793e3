"""The newest resumable state of a run, and the one before it.

Every random draw is a function of the run's seed and the step (see ``ssl_bench.seeds``), and so are the learning rate
and the position in the data; so weights, optimizer and step number are the whole state.

A checkpoint's name holds its step and the hash of what is in it: file and hash appear in one step, and whatever
happened to a byte of it is seen when it is read. Two are kept: a damaged one costs the steps since the one before.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ssl_bench import processes
from ssl_bench.errors import UserError, warn
from ssl_bench.files import replace_file
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.training.distributed import load_whole, shared_out, whole

NAME = re.compile(r"step_(\d+)_([0-9a-f]{32})\.pt")


@dataclass
class State:
    """Where a run is: updates made, seconds of training so far, over all its sessions, and bytes of its metrics."""

    step: int = 0
    seconds: float = 0.0
    logged: int = 0


def write_checkpoint(folder: Path, content: Mapping[str, Any]) -> None:
    """Keep a state as the newest, and the newest of an earlier step; whole or not at all.

    Args:
        folder: Where checkpoints lie, two at most.
        content: The state; ``step`` says how many updates were made.
    """
    step = int(content["step"])
    written = replace_file(
        folder / "state", lambda part: _save(content, part), lambda part: f"step_{step:08d}_{_hash(part)}.pt"
    )
    earlier = [file for file in _newest_first(folder) if _step(file) < step]
    for file in _newest_first(folder):
        if file not in (written, *earlier[:1]):
            file.unlink(missing_ok=True)


def read_checkpoint(
    folder: Path, objection: Callable[[Mapping[str, Any]], str | None] = lambda content: None
) -> dict[str, Any] | None:
    """The newest whole state, on the CPU; ``None`` if there is none, so that the run starts at step 0.

    A state that is passed over is named on standard error.

    Args:
        folder: Where checkpoints lie.
        objection: Says in words why a state is not to be used, or ``None``.
    """
    files = _newest_first(folder)
    for file in files:
        content = _read(file)
        why = "it is damaged" if content is None else objection(content)
        if why is None:
            return content
        there = "the one before it is tried" if file != files[-1] else "the run starts from step 0"
        warn(f"checkpoint {file} is not used ({why}): {there}")
    return None


def save_checkpoint(run: RunDirectory, state: State, module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Keep where module and optimizer are now, and what the run has written until now.

    All processes take part, the first writes.
    """
    content = {
        "step": state.step,
        "seconds": state.seconds,
        "module": whole(module.state_dict()),
        "optimizer": whole(optimizer.state_dict()),
    }

    def write() -> None:
        write_checkpoint(run.checkpoint_folder, {**content, "written": run.written(state.step)})

    processes.by_first(write)


def load_checkpoint(run: RunDirectory, module: nn.Module, optimizer: torch.optim.Optimizer) -> State:
    """Bring module and optimizer to where the run stopped; the start if there is no whole checkpoint.

    A checkpoint is passed over, too, if a snapshot or what was logged until then is damaged: they will be made again.
    The first process reads, and tells the others; it does not matter by how many it was saved.

    Raises: UserError if it holds the state of another module.
    """
    folder = run.checkpoint_folder
    content = processes.by_first(lambda: read_checkpoint(folder, run.damage))
    if content is None:
        return State()
    try:
        load_whole(module, content["module"])
        optimizer.load_state_dict(shared_out(content["optimizer"], optimizer))
    except (KeyError, ValueError, RuntimeError) as error:
        raise UserError(
            f"the checkpoint in {folder} is whole but does not fit ({str(error).splitlines()[0]}): another version of "
            "this code made it; delete the run and start it again"
        ) from error
    _lie_as_weights_do(optimizer)
    return State(int(content["step"]), float(content["seconds"]), int(content["written"]["metrics"]["bytes"]))


def _save(content: Mapping[str, Any], part: Path) -> None:
    try:
        torch.save(dict(content), part)
    except RuntimeError as error:  # which hides what the system said
        raise OSError(str(error).splitlines()[0]) from error


def _read(file: Path) -> dict[str, Any] | None:
    """What a checkpoint holds; ``None`` if a byte of it is not as it was written."""
    try:
        if _hash(file) != _match(file)[2]:
            return None
        content: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except OSError:
        return None
    return content


def _newest_first(folder: Path) -> list[Path]:
    return sorted((file for file in folder.glob("*.pt") if NAME.fullmatch(file.name)), key=_step, reverse=True)


def _step(file: Path) -> int:
    return int(_match(file)[1])


def _match(file: Path) -> re.Match[str]:
    match = NAME.fullmatch(file.name)
    assert match is not None, file
    return match


def _hash(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()[:32]


def _lie_as_weights_do(optimizer: torch.optim.Optimizer) -> None:
    """Give what an optimizer keeps of each weight the weight's layout in memory, which may be another than when saved.

    Fused optimizers pair numbers by where they lie, and on a CPU do not look whether that is right.
    """
    for weight, kept in optimizer.state.items():
        for name, value in kept.items():
            if isinstance(value, torch.Tensor) and value.shape == weight.shape:
                kept[name] = torch.empty_like(weight, dtype=value.dtype).copy_(value)
