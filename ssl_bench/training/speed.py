"""What makes a step fast: the rules that decide where the user does not, each with the measurement behind it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from ssl_bench.config import TrainingConfig
from ssl_bench.data.images import Split
from ssl_bench.objectives.base import Objective

# Seconds of a compiled step over those of an eager one, the best of the cases measured, by device and by what the
# backbone's spatial features are. CPU: one thread of an AMD EPYC with AVX-512, 256 images, simclr and autoencoder on
# resnet_micro (1.04, 1.12), simclr, autoencoder and mae on vit_micro (1.48, 1.45, 1.37).
COMPILED_TO_EAGER = {("cpu", "map"): 1.04, ("cpu", "tokens"): 1.37}
WORTH_COMPILING = 0.9


@dataclass(frozen=True)
class Speed:
    """How steps are computed; recorded in run.json, since none of it is part of what a run is."""

    compile: bool
    channels_last: bool
    resident: bool
    precision: str
    fused_optimizer: bool
    threads: int


def choose_speed(settings: TrainingConfig, objective: Objective, images: Split, device: torch.device) -> Speed:
    """What the user says, and the rules where nothing is said. ``settings`` are resolved."""
    size, free = images.images.nbytes, _free_bytes(device)
    return Speed(
        compile=_given(settings.compile, compiling_pays(device.type, objective.backbone.info.spatial)),
        channels_last=channels_last(settings),
        resident=_given(settings.resident, fits(size, free)),
        precision=str(settings.precision),
        fused_optimizer=settings.optimizer != "lars",
        threads=torch.get_num_threads(),
    )


def compiling_pays(device: str, spatial: str) -> bool:
    """Whether to compile the step: where it was measured to save a tenth of the time, and nowhere else.

    On a CPU it never does: the time goes to convolutions that oneDNN makes either way, and to products that it makes
    only if they are not compiled (:class:`OneDNNLinear`); and compiling takes 5 to 66 seconds. On GPUs nothing was
    measured yet, so that it is left to the user (``training.compile=true``).
    """
    return COMPILED_TO_EAGER.get((device, spatial), 1.0) <= WORTH_COMPILING


def channels_last(settings: TrainingConfig) -> bool:
    """Whether maps lie in memory pixel by pixel: always, unless the user says otherwise.

    Measured on one thread of an AMD EPYC: steps of ``resnet_micro`` take 1.17 to 1.21 times as long channel by channel;
    on a GPU it is the layout that tensor cores read. Weights that are spread over processes cannot lie so.
    """
    spread = settings.strategy == "fsdp" and settings.devices * settings.nodes > 1
    return not spread and _given(settings.channels_last, True)


def fits(size: int, free: int | None) -> bool:
    """Whether the images stay on the device: if they take half of its free memory at most. ``free`` is in bytes.

    The other half is the step's, of which nobody knows beforehand how much it takes. ``free`` None is a device without
    a memory of its own: there the images are used where they lie, be it in a file that is mapped into memory.
    """
    return free is None or 2 * size <= free


def lay_out(objective: Objective, channels_last: bool) -> Objective:
    """The objective itself, the weights of its convolutions in the memory layout asked for.

    Not those that embed a transformer's patches: these do not overlap, and converting the images for them takes 3 % of
    a step of ``vit_micro``. A convolutional decoder behind it gains 4 %.
    """
    layout = torch.channels_last if channels_last else torch.contiguous_format
    parts: list[nn.Module] = list(objective.children())
    if objective.backbone.info.spatial == "tokens":
        parts = [part for part in parts if part is not objective.backbone]
    for part in parts:
        part.to(memory_format=layout)
    return objective


@contextmanager
def fast_arithmetic(device: torch.device, deterministic: bool = False) -> Iterator[None]:
    """While training on a GPU: TF32 outside autocast, and the convolution algorithm that cuDNN measures to be fastest.

    A ``deterministic`` run measures nothing: the fastest may be another next time. Restored afterwards, since
    evaluation needs float32: its metrics ask for differences that TF32 rounds away. On other devices it changes
    nothing.
    """
    if device.type != "cuda":
        yield
        return
    cudnn = torch.backends.cudnn
    before = torch.get_float32_matmul_precision(), cudnn.allow_tf32, cudnn.benchmark
    torch.set_float32_matmul_precision("high")
    cudnn.allow_tf32, cudnn.benchmark = True, not deterministic
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        cudnn.allow_tf32, cudnn.benchmark = before[1:]


@contextmanager
def same_every_time(wanted: bool) -> Iterator[None]:
    """While inside, if wanted: an error from any operation that may add up in another order the next time."""
    if not wanted:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS may choose anew every time
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def _given(choice: bool | None, rule: bool) -> bool:
    return rule if choice is None else choice


def _free_bytes(device: torch.device) -> int | None:
    """Free memory of a device with a memory of its own."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None
