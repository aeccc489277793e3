"""Fine-tuning, protocol ``finetune/1``: the one probe that is not of a frozen encoder."""

from __future__ import annotations

import math

import torch
from timm.optim import create_optimizer_v2
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import LambdaLR

from ssl_bench.errors import UserError
from ssl_bench.evaluation.probe import Answer, Pictures, Probe, Task
from ssl_bench.seeds import derive_seed, make_generator

# Of a batch of 256; in proportion for another.
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 0.05
WARMUP = 0.05
LEAST_UPDATES = 300
BATCH = 512


def finetune(task: Task) -> Answer:
    """Encoder and linear head trained together with all labels, on one random view of each image an epoch.

    AdamW, learning rate 1e-3 for a batch of 256, weight decay 0.05 (not of biases and norms), warm-up for a twentieth
    of the updates, then a cosine to zero, ``finetune_epochs`` epochs or 300 updates, whichever is more. The head reads
    the embedding through a batch norm without weights, so that its scale, which differs between objectives, decides
    nothing (not with ``standardise=false``). Nothing is chosen: the last weights answer, on clean images, and there is
    no held-out part.

    Raises: UserError if the encoder cannot be trained, there are fewer than two training images, or training diverged.
    """
    pictures = task.pictures
    if pictures is None or pictures.trainable is None:
        raise UserError("finetune: this encoder's weights cannot be trained; leave it out of evaluation.probes")
    if len(pictures.train) < 2:
        raise UserError(f"finetune: {len(pictures.train)} training images are too few; raise dataset.limit")
    # Building modules, dropout and the like draw from the global generators: what they draw is seeded, then undone.
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        torch.manual_seed(derive_seed(task.settings.seed, "finetune"))
        encoder = pictures.trainable()
        device = next(encoder.parameters()).device
        width = _width(encoder, pictures, device)
        norm = nn.BatchNorm1d(width, affine=False) if task.settings.standardise else nn.Identity()
        module = nn.Sequential(encoder, norm, nn.Linear(width, task.classes)).to(device)
        train(module, pictures, task, device)
    return Answer(_answers(module, pictures, device).argmax(1))


def train(module: nn.Sequential, pictures: Pictures, task: Task, device: torch.device) -> None:
    """Train encoder and head in place.

    Raises: UserError if the loss is no longer finite.
    """
    settings, count = task.settings, len(pictures.train)
    batch = min(max(2, settings.probe_batch_size), count)  # batch norm needs two images
    per_epoch = count // batch
    epochs = max(settings.finetune_epochs, math.ceil(LEAST_UPDATES / per_epoch))
    optimizer = create_optimizer_v2(module, "adamw", lr=LEARNING_RATE * batch / 256, weight_decay=WEIGHT_DECAY)
    schedule = LambdaLR(optimizer, lambda step: rate_factor(step, epochs * per_epoch))
    module.train()
    for epoch in range(epochs):
        order = torch.randperm(count, generator=make_generator(settings.seed, "finetune_order", epoch))
        generator = make_generator(settings.seed, "finetune_views", epoch, device)
        for place, index in enumerate(torch.split(order[: per_epoch * batch], batch)):
            if isinstance(module[1], nn.BatchNorm1d):
                # As in training: an exact average in the first updates, where an exponential one lags.
                module[1].momentum = max(0.1, 1 / (epoch * per_epoch + place + 1))
            # Not blocking, so that a GPU is not waited for.
            images, labels = (all_[index].to(device, non_blocking=True) for all_ in (pictures.train, task.labels))
            loss = cross_entropy(module(pictures.views(images, generator)).float(), labels)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
        if not bool(loss.detach().isfinite()):
            raise UserError(f"finetune: training diverged in epoch {epoch + 1}; leave it out of evaluation.probes")


def rate_factor(step: int, total: int) -> float:
    """Share of the peak learning rate at an update (from 0): a linear warm-up under a cosine to zero."""
    return min((step + 1) / max(1, round(WARMUP * total)), 0.5 * (1 + math.cos(math.pi * step / total)))


@torch.no_grad()
def _width(encoder: nn.Module, pictures: Pictures, device: torch.device) -> int:
    """The dimension of the embedding, asked of the encoder without touching its running statistics."""
    embedding: Tensor = encoder.eval()(pictures.standardised(pictures.train[:1].to(device)))
    return embedding.shape[1]


@torch.no_grad()
def _answers(module: nn.Module, pictures: Pictures, device: torch.device) -> Tensor:
    """Scores of the test images as they are. Shapes: -> ``(M, K)``."""
    module.eval()
    chunks = torch.split(pictures.test, BATCH)
    return torch.cat([module(pictures.standardised(chunk.to(device))).cpu() for chunk in chunks])


FINETUNE = Probe("finetune/1", finetune, reads="pictures")
