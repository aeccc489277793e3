"""What a training step and an encoding cost in floating point operations: counted on shapes, computing nothing."""

from __future__ import annotations

import copy
from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Generator, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from ssl_bench import processes
from ssl_bench.data.images import ImageData
from ssl_bench.objectives.base import Batch, Objective

# A step's products, where a CPU leaves them to oneDNN; torch's counter does not know them.
MADE_BY_ONEDNN = "_linear_pointwise"


def count_flops(objective: Objective, data: ImageData, batch_size: int) -> dict[str, float | None]:
    """Floating point operations an image: of one training step, and of encoding it by the backbone.

    Counted by torch's ``FlopCounterMode`` on a copy whose tensors are shapes without numbers: nothing is computed, and
    weights, buffers, gradients and random states stay as they are. A multiplication and an addition are two operations.
    Matrix products, convolutions and attention are counted, forwards and backwards. Elementwise operations,
    normalisation, sums, Fourier transforms, augmentation and the optimizer are left out: they are a small share of the
    operations of any network here, not always of its time.

    Args:
        objective: As it is trained, not yet wrapped or compiled.
        data: Its images.
        batch_size: Images of one forward and backward; a contrastive loss costs more an image the larger it is.

    Returns: ``train_image``, forward and backward of the whole objective, 0 for one that is not trained;
    ``encode_image``, forward of the bare backbone; each ``None`` where it cannot be counted (a network whose shapes
    depend on numbers).
    """
    counted = processes.by_first(lambda: [_step(objective, data, batch_size), _encoding(objective, data)])
    return dict(zip(("train_image", "encode_image"), counted, strict=True))


def _step(objective: Objective, data: ImageData, batch_size: int) -> float | None:
    if not objective.trains:
        return 0.0

    def backwards(copied: nn.Module) -> None:
        assert isinstance(copied, Objective)
        views = torch.zeros(copied.views.count, batch_size, *data.shape)
        batch = Batch(views, torch.zeros(batch_size, dtype=torch.int64))
        loss, _ = _with_shapes(copied, lambda: copied.step(batch, Generator().manual_seed(0)))
        loss.backward()

    return _counted(lambda: objective, backwards, batch_size)


def _encoding(objective: Objective, data: ImageData) -> float | None:
    def forwards(copied: nn.Module) -> None:
        with torch.no_grad():
            _with_shapes(copied.eval(), torch.zeros(2, *data.shape))

    return _counted(lambda: objective.backbone, forwards, 2)


def _counted(module: Callable[[], nn.Module], work: Callable[[nn.Module], None], images: int) -> float | None:
    """Operations of some work with a copy of a module, an image."""
    products = getattr(torch.ops.mkldnn, MADE_BY_ONEDNN, None)
    known: dict[Any, Any] = {} if products is None else {products: _product}
    try:
        copied = copy.deepcopy(module())
        counter = FlopCounterMode(display=False, custom_mapping=known)
        with torch.random.fork_rng(devices=[]), FakeTensorMode(allow_non_fake_inputs=True), counter:
            work(copied)
    except Exception:  # whatever code of others makes of tensors without numbers: no run stops for a count
        return None
    return counter.get_total_flops() / images


def _with_shapes(module: nn.Module, given: Any) -> Any:
    """What a module makes of something, its weights and buffers replaced by their shapes."""
    shapes = {name: torch.empty_like(value) for name, value in module.named_buffers()}
    for name, value in module.named_parameters():
        shapes[name] = torch.empty_like(value).requires_grad_(value.requires_grad)
    return functional_call(module, shapes, (given,))


def _product(left: Any, right: Any, *others: Any, out_shape: Any = None, **more: Any) -> int:
    """Operations of a linear layer by shapes: ``(N, D)``, ``(E, D)``."""
    return int(2 * prod(left) * right[0])
