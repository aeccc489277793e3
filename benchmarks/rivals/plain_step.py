"""A plain PyTorch loop for what nobody ships a recipe of, autoencoders: torchvision's transforms and a DataLoader."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torchvision import transforms

from benchmarks.cases import Case
from benchmarks.contest import Work
from benchmarks.made import made_images
from benchmarks.rivals.loading import LoaderSteps, PilImages
from benchmarks.rivals.networks import backbone_of, with_usual_layers
from ssl_bench.config import DEFAULT_RATES
from ssl_bench.objectives.autoencoder import Autoencoder, DecoderOptions
from ssl_bench.objectives.base import Given

# Of the denoising objective's default noise.
SIGMA = 0.5


def step(case: Case) -> Work:
    """``autoencoder`` or ``denoising``: the same network and loss, float32, channels first, AdamW."""
    torch.manual_seed(0)
    data = made_images(case.images, size=case.image_size)
    objective = Autoencoder.build(backbone_of(case, data), DecoderOptions(), Given(data.classes))
    network = with_usual_layers(nn.ModuleList([objective.backbone, objective.decoder])).to(case.device).train()
    encoder, decoder = network
    criterion = nn.MSELoss()
    optimizer = torch.optim.AdamW(network.parameters(), lr=DEFAULT_RATES["adamw"])
    deviation = [data.statistics.std] * data.channels
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(data.statistics.mean, deviation)])

    def update(batch: Any) -> Tensor:
        clean = batch[0].to(case.device, non_blocking=True)
        seen = clean + SIGMA * torch.randn_like(clean) if case.objective == "denoising" else clean
        loss: Tensor = criterion(decoder(encoder(seen)), clean)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        return loss.detach()

    return LoaderSteps(PilImages(data.train, transform), case, update)
