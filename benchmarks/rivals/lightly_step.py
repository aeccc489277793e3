"""lightly as a contestant: its transforms on PIL images, a DataLoader, its modules.

*As shipped* is what its CIFAR-10 benchmark (SimCLR) and its example (MAE) do. *At equal settings* everything but the
data path is as in ssl_bench: optimizer, clipping, precision, memory format, linear layers, allocator, one forward of
both views.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from lightly.transforms import MAETransform, SimCLRTransform
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from benchmarks.cases import Case, config_of
from benchmarks.contest import Work
from benchmarks.made import made_images
from benchmarks.rivals.lightly_models import LightlyMAE, LightlySimCLR
from benchmarks.rivals.loading import LoaderSteps, PilImages, Transform
from benchmarks.rivals.networks import backbone_of
from ssl_bench.backbones.base import Backbone
from ssl_bench.backbones.linear import with_onednn
from ssl_bench.data.images import ImageData
from ssl_bench.memory import keep_freed_memory
from ssl_bench.resolve import resolve
from ssl_bench.training.optimizers import make_optimizer
from ssl_bench.training.speed import channels_last, compiling_pays, fast_arithmetic

# Of its CIFAR-10 benchmark, for a batch of 128; and of its MAE example.
SIMCLR_RATE, SIMCLR_DECAY, SIMCLR_BATCH = 6e-2, 5e-4, 128
MAE_RATE = 1.5e-4


def simclr_transform(image_size: int) -> Transform:
    """The views of its CIFAR-10 benchmark up to 64 px, those of the paper above."""
    small = image_size <= 64
    settings = {"cj_strength": 0.5, "gaussian_blur": 0.0} if small else {}
    transform: Transform = SimCLRTransform(input_size=image_size, **settings)
    return transform


def simclr_optimizer(model: nn.Module, batch: int) -> Optimizer:
    """SGD as in its CIFAR-10 benchmark, the rate in proportion to the batch."""
    rate = SIMCLR_RATE * batch / SIMCLR_BATCH
    return torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9, weight_decay=SIMCLR_DECAY)


def shipped(case: Case) -> Work:
    """The recipe as lightly ships it: float32, channels first, and, in SimCLR, a forward for each view."""
    data, backbone = _begin(case)
    if case.objective == "simclr":
        simclr = LightlySimCLR(backbone).to(case.device).train()
        dataset = PilImages(data.train, simclr_transform(case.image_size))
        return LoaderSteps(dataset, case, _shipped(case, simclr.loss_apart, simclr_optimizer(simclr, case.batch)))
    mae = LightlyMAE(backbone, class_token=True).to(case.device).train()
    dataset = PilImages(data.train, MAETransform(input_size=case.image_size))
    return LoaderSteps(dataset, case, _shipped(case, mae, AdamW(mae.parameters(), lr=MAE_RATE)))


def equal(case: Case) -> Work:
    """Only the data path is lightly's."""
    data, backbone = _begin(case)
    if case.objective == "simclr":
        simclr = LightlySimCLR(backbone)
        dataset = PilImages(data.train, simclr_transform(case.image_size))
        return LoaderSteps(dataset, case, _equal(case, data, simclr, simclr.loss_together))
    mae = LightlyMAE(backbone, class_token=False)
    dataset = PilImages(data.train, MAETransform(input_size=case.image_size))
    return LoaderSteps(dataset, case, _equal(case, data, mae, mae))


def _begin(case: Case) -> tuple[ImageData, Backbone]:
    torch.manual_seed(0)
    data = made_images(case.images, size=case.image_size)
    return data, backbone_of(case, data)


def _shipped(case: Case, loss_of: Callable[..., Tensor], optimizer: Optimizer) -> Callable[[Any], Tensor]:
    def update(batch: Any) -> Tensor:
        loss = loss_of(*(view.to(case.device, non_blocking=True) for view in batch[0]))
        torch.autograd.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    return update


def _equal(case: Case, data: ImageData, model: nn.Module, loss_of: Callable[..., Tensor]) -> Callable[[Any], Tensor]:
    settings = resolve(config_of(case), data).training
    if case.device == "cpu":
        keep_freed_memory()
    spatial = "tokens" if case.backbone.startswith("vit") else "map"
    if spatial == "map" and channels_last(settings):
        model.to(memory_format=torch.channels_last)
    with_onednn(model).to(case.device).train()
    optimizer = make_optimizer(model, settings)
    if compiling_pays(case.device, spatial):
        for part in model.children():
            part.compile(dynamic=False)
    half = settings.precision == "bf16-mixed"

    def update(batch: Any) -> Tensor:
        views = [view.to(case.device, non_blocking=True) for view in batch[0]]
        with fast_arithmetic(torch.device(case.device)):
            with torch.autocast(case.device, torch.bfloat16, enabled=half):
                loss = loss_of(*views)
            torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm or torch.inf)
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    return update
