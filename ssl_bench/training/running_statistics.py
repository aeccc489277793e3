"""Batch norm's running statistics, exact averages in the first steps."""

from __future__ import annotations

import math

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


class RunningStatistics:
    """Sets the momentum of batch norms: the average of all steps so far, until that is slower than their own.

    An exponential average lags in the first steps, just where the order of learning is read off.
    """

    def __init__(self, module: nn.Module) -> None:
        self.norms = {
            norm: float(norm.momentum) for norm in module.modules() if isinstance(norm, _BatchNorm) and norm.momentum
        }
        # From this step on no momentum changes; until then, a compiled module would be compiled anew for each step.
        self.settled = max((math.ceil(1 / momentum) - 1 for momentum in self.norms.values()), default=0)

    def before(self, step: int) -> None:
        """Set the momenta of a step, the first of which is 0."""
        for norm, momentum in self.norms.items():
            norm.momentum = max(momentum, 1 / (step + 1))
