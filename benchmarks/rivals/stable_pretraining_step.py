"""stable-pretraining as a contestant in SimCLR: its transforms, its module and forward, its loss and its LARS.

What is around them in its CIFAR-10 benchmark is left out, which only makes it faster: Lightning's trainer, a linear
probe trained along, a k-NN queue.
"""

from __future__ import annotations

from typing import Any

import stable_pretraining
import torch
from lightly.models.modules.heads import SimCLRProjectionHead
from stable_pretraining import forward
from stable_pretraining.data import dataset_stats, transforms
from stable_pretraining.losses import NTXEntLoss
from stable_pretraining.optim import LARS
from torch import Tensor, nn

from benchmarks.cases import Case
from benchmarks.contest import Work
from benchmarks.made import made_images
from benchmarks.rivals.loading import LoaderSteps, PilImages
from benchmarks.rivals.networks import backbone_of
from ssl_bench.backbones.base import Backbone
from ssl_bench.objectives.simclr import SimCLROptions

# Its benchmark warms up to 5; from the first step on, that would diverge.
RATE, DECAY = 0.1, 1e-6


class Embedding(nn.Module):
    """A backbone as the library wants one: images to embeddings."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> Tensor:
        """Shapes: ``(B, C, H, W)`` -> ``(B, D)``."""
        embedding: Tensor = self.backbone(images).embedding
        return embedding


def step(case: Case) -> Work:
    """SimCLR as its CIFAR-10 benchmark trains it; half precision on a GPU."""
    torch.manual_seed(0)
    data = made_images(case.images, size=case.image_size)
    backbone = backbone_of(case, data)
    sizes = SimCLROptions()
    module = stable_pretraining.Module(
        backbone=Embedding(backbone),
        projector=SimCLRProjectionHead(backbone.info.dim, sizes.hidden_dim, sizes.output_dim),
        forward=forward.simclr,
        simclr_loss=NTXEntLoss(temperature=sizes.temperature),
    )
    module.to(case.device).train()
    optimizer = LARS(module.parameters(), lr=RATE, weight_decay=DECAY)
    half = case.device == "cuda"
    scaler = torch.amp.GradScaler(case.device, enabled=half)

    def update(batch: Any) -> Tensor:
        views = [{"image": view["image"].to(case.device, non_blocking=True)} for view in batch[0]["views"]]
        with torch.autocast(case.device, torch.float16, enabled=half):
            loss: Tensor = module({"views": views}, stage="fit")["loss"]
        torch.autograd.backward(scaler.scale(loss))
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        return loss.detach()

    return LoaderSteps(PilImages(data.train, _Views(case.image_size)), case, update)


class _Views:
    """Two views of an image, as its example for CIFAR-10 makes them. A class, since loader processes are sent it."""

    def __init__(self, image_size: int) -> None:
        view = [
            transforms.RGB(),
            transforms.RandomResizedCrop((image_size, image_size)),
            transforms.RandomHorizontalFlip(p=0.5),
            transforms.ColorJitter(brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1, p=0.8),
            transforms.RandomGrayscale(p=0.2),
            transforms.ToImage(**dataset_stats.CIFAR10),
        ]
        self.both = transforms.MultiViewTransform([transforms.Compose(*view), transforms.Compose(*view)])

    def __call__(self, image: Any) -> Any:
        return self.both({"image": image})
