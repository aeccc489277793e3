"""Optimizers by name. Biases and norms are not decayed."""

from __future__ import annotations

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from ssl_bench.config import DEFAULT_RATES, TrainingConfig
from ssl_bench.training.lars import LARS


def make_optimizer(module: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """The optimizer of the trainable weights of a module, at its peak learning rate."""
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.dim() > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trainable if p.dim() <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    rate = config.learning_rate or DEFAULT_RATES[config.optimizer]
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=rate, fused=True)
    if config.optimizer == "sgd":
        # torch has no fused form of it for weights that are spread over processes.
        return torch.optim.SGD(groups, lr=rate, momentum=0.9, fused=not is_spread(module))
    return LARS(groups, lr=rate, momentum=0.9)


def is_spread(module: nn.Module) -> bool:
    """Whether processes hold shares of the weights."""
    return any(isinstance(weight, DTensor) for weight in module.parameters())
