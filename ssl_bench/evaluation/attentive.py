"""The attentive probe, protocol ``attentive/1``: where in the image to look is learned, the encoder is not."""

from __future__ import annotations

import copy
import math

import torch
from timm.optim import create_optimizer_v2
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import LambdaLR

from ssl_bench.errors import UserError
from ssl_bench.evaluation.latent_pool import LatentPool
from ssl_bench.evaluation.probe import Answer, Probe, Task, top1
from ssl_bench.seeds import derive_seed, make_generator

LEARNING_RATES = (3e-4, 1e-3, 3e-3)
WEIGHT_DECAY = 0.01
EPOCHS = 20
LEAST_UPDATES = 300
BATCH = 512


class AttentiveHead(nn.Module):
    """Standardised tokens, one learned query that attends to them, an MLP, a linear classifier.

    Shapes: tokens ``(B, T, D)`` -> scores ``(B, K)``. As many heads of attention as divide D, at most 8.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Tensor, scale: Tensor, classes: int) -> None:
        super().__init__()
        width = len(mean)
        self.register_buffer("mean", mean.float())
        self.register_buffer("scale", scale.float())
        self.pool = LatentPool(width, math.gcd(8, width))
        self.classifier = nn.Linear(width, classes)

    def forward(self, tokens: Tensor) -> Tensor:
        """Scores of the classes."""
        scores: Tensor = self.classifier(self.pool((tokens - self.mean) * self.scale))
        return scores


def attentive(task: Task) -> Answer:
    """Attention over the tokens of all positions of a frozen encoder, then a linear layer.

    The head of V-JEPA (Bardes et al., arXiv 2404.08471), with an AdamW recipe for small data.
    A share of each class of the training set is held out, and tokens are standardised with the statistics, a dimension,
    of all positions of the rest. Each learning rate (3e-4, 1e-3, 3e-3) trains a head from the same initial weights by
    AdamW (weight decay 0.01, not of biases and norms) under a cosine, for 20 epochs or 300 updates, whichever is more;
    the one of lowest cross-entropy on the held-out part is applied to the test set, once.

    Raises: UserError if the encoder has no positions, no sample is left to train on or to hold out, or every head
        diverged.
    """
    if task.tokens is None:
        raise UserError("attentive: this encoder has no positions to attend to; leave it out of evaluation.probes")
    fit, held_out = task.halves()
    train, test = task.tokens()
    start = _initial_head(task, train[fit].flatten(0, 1))
    heads = [train_head(copy.deepcopy(start), train, fit, task, rate) for rate in LEARNING_RATES]
    scores = [_answers(head, train[held_out]) for head in heads]
    losses = [float(cross_entropy(one, task.labels[held_out])) for one in scores]
    finite = [index for index, loss in enumerate(losses) if math.isfinite(loss)]
    if not finite:
        raise UserError("attentive: every head diverged; standardise the features (evaluation.standardise=true)")
    best = min(finite, key=losses.__getitem__)
    held_out_top1 = top1(scores[best], task.labels[held_out])
    return Answer(_answers(heads[best], test).argmax(1), {"learning_rate": LEARNING_RATES[best]}, held_out_top1)


def train_head(head: AttentiveHead, tokens: Tensor, fit: Tensor, task: Task, rate: float) -> AttentiveHead:
    """The head, trained in place on the samples ``fit`` of ``tokens``, on the task's device.

    Shapes: ``(N, T, D)``, ``(M,)``; on the CPU, since they may be too many for another device.
    """
    batch = min(task.settings.probe_batch_size, len(fit))
    per_epoch = len(fit) // batch
    epochs = max(EPOCHS, math.ceil(LEAST_UPDATES / per_epoch))
    optimizer = create_optimizer_v2(head, "adamw", lr=rate, weight_decay=WEIGHT_DECAY)
    total = epochs * per_epoch
    cosine = LambdaLR(optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * step / total)))
    for epoch in range(epochs):
        order = torch.randperm(len(fit), generator=make_generator(task.settings.seed, "attentive", epoch))
        for index in torch.split(fit[order[: per_epoch * batch]], batch):
            optimizer.zero_grad()
            # Not blocking, so that a GPU is not waited for.
            seen, labels = (all_[index].to(task.device, non_blocking=True) for all_ in (tokens, task.labels))
            torch.autograd.backward(cross_entropy(head(seen), labels))
            optimizer.step()
            cosine.step()
    return head


def _initial_head(task: Task, like: Tensor) -> AttentiveHead:
    """The head all learning rates start from. Shapes: ``(M, D)``, the tokens of the samples to train on."""
    mean, scale = task.scaling(like)
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        torch.manual_seed(derive_seed(task.settings.seed, "attentive"))
        return AttentiveHead(mean, scale, task.classes).to(task.device)


@torch.no_grad()
def _answers(head: AttentiveHead, tokens: Tensor) -> Tensor:
    """Scores, float64, on the CPU. Shapes: ``(N, T, D)`` -> ``(N, K)``."""
    chunks = torch.split(tokens, BATCH)
    return torch.cat([head(chunk.to(head.mean.device)) for chunk in chunks]).cpu().double()


ATTENTIVE = Probe("attentive/1", attentive, reads="tokens")
