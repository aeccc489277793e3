"""SimCLR on CIFAR-10 by lightly's recipe, as a program: the backbone's weights are kept after each epoch.

Usage: ``python -m benchmarks.rivals.lightly_run FOLDER --seed 0 --epochs 8 --batch 256 --limit 10000 --workers 1``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch.optim.lr_scheduler import CosineAnnealingLR

from benchmarks.rivals.lightly_models import LightlySimCLR
from benchmarks.rivals.lightly_step import simclr_optimizer, simclr_transform
from benchmarks.rivals.loading import PilImages, loader_of
from benchmarks.rivals.networks import with_usual_layers
from ssl_bench.backbones import make_backbone
from ssl_bench.config import BackboneConfig, DatasetConfig
from ssl_bench.data.load import load_dataset
from ssl_bench.files import save_tensors

BACKBONE = BackboneConfig(name="resnet_micro")


def main() -> None:
    """Train as the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    for name in ("seed", "epochs", "batch", "limit", "workers"):
        parser.add_argument(f"--{name}", type=int, required=True)
    given = parser.parse_args()
    torch.manual_seed(given.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    data = load_dataset(DatasetConfig(name="cifar10", limit=given.limit))
    backbone = with_usual_layers(make_backbone(BACKBONE, data.image_size, data.channels))
    model = LightlySimCLR(backbone).to(device).train()
    optimizer = simclr_optimizer(model, given.batch)
    schedule = CosineAnnealingLR(optimizer, given.epochs)
    dataset = PilImages(data.train, simclr_transform(data.image_size))
    loader = loader_of(dataset, given.batch, device, given.workers)
    for epoch in range(1, given.epochs + 1):
        for (first, second), _ in loader:
            loss = model.loss_apart(first.to(device), second.to(device))
            torch.autograd.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
        schedule.step()
        save_tensors(given.folder / f"epoch_{epoch:03d}.safetensors", model.backbone.state_dict())


if __name__ == "__main__":
    main()
