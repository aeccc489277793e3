"""LARS without waiting for the device."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

TRUST, EPSILON = 1e-3, 1e-8


class LARS(torch.optim.Optimizer):
    """Layer-wise adaptive rates (You et al., arXiv 1708.03888): lightly's ``LARS`` to the bit.

    A weight that decays moves by a fixed share of its own length; one that does not, as in SGD with momentum. lightly
    asks the device twice for each weight whether a length is zero; here the device chooses.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float, momentum: float) -> None:
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One update; a closure is not called."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._update(weight, weight.grad, group)

    def _update(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        change = scaled(weight, gradient, group["weight_decay"]) if group["weight_decay"] else gradient
        buffer = self.state[weight].get("momentum_buffer")
        if buffer is None:
            buffer = self.state[weight]["momentum_buffer"] = change.clone()
        else:
            buffer.mul_(group["momentum"]).add_(change)
        weight.add_(buffer, alpha=-group["lr"])


def scaled(weight: Tensor, gradient: Tensor, decay: float) -> Tensor:
    """Gradient and decay, scaled to ``TRUST`` of the weight's length; the gradient itself where one of them is zero.

    Shapes: all the same.
    """
    length, steepness = torch.norm(weight), torch.norm(gradient)
    rate = length / (steepness + length * decay + EPSILON) * TRUST
    return torch.where((length != 0) & (steepness != 0), gradient.add(weight, alpha=decay).mul_(rate), gradient)
