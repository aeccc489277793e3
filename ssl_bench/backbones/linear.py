"""Linear layers that a CPU multiplies with oneDNN."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

ModuleT = TypeVar("ModuleT", bound=nn.Module)


class OneDNNLinear(nn.Linear):
    """``nn.Linear``, its float32 products on a CPU made by oneDNN; ``nn.Linear`` itself everywhere else.

    torch gives float32 products to MKL, which leaves the AVX-512 units of processors that are not Intel's alone, and
    has no eye for tall, narrow matrices. Products of the token matrices of ``vit_micro`` (33,280 x 96 by 96 x 384), one
    thread of an AMD EPYC, in GFLOP/s: 102 by MKL; 230 by oneDNN forwards, 195 for the inputs' gradients, 150 for the
    weights'. Kept from AVX-512, oneDNN still reaches 126, 108 and 92. Compiled, under ``torch.func``'s transforms, and
    in a gradient of which another is taken, the products are torch's own.

    Shapes: ``(..., D)`` -> ``(..., E)``.
    """

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        plain = input.device.type == "cpu" and input.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
        watched = torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()
        if not plain or not input.numel() or watched or not onednn_is_faster():
            return super().forward(input)
        made: Tensor = _Product.apply(input.reshape(-1, self.in_features), self.weight, self.bias)
        return made.view(*input.shape[:-1], self.out_features)


def with_onednn(module: ModuleT) -> ModuleT:
    """The module itself, its plain linear layers made :class:`OneDNNLinear`; weights and their names stay."""
    for layer in module.modules():
        if type(layer) is nn.Linear:
            layer.__class__ = OneDNNLinear
    return module


@cache
def onednn_is_faster() -> bool:
    """Whether oneDNN is there, on a kind of processor where it was measured to be much faster: with AVX-512."""
    capable = torch.backends.cpu.get_cpu_capability() == "AVX512"
    return capable and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def _times_transposed(left: Tensor, right: Tensor, bias: Tensor | None = None) -> Tensor:
    """``left @ right.T + bias``. Shapes: ``(N, D)``, ``(M, D)``, ``(M,)`` -> ``(N, M)``."""
    # What torch.compile calls for a linear layer on a CPU; torch has no public name for it.
    made: Tensor = torch.ops.mkldnn._linear_pointwise(left, right, bias, "none", [], "")
    return made


class _Product(torch.autograd.Function):
    """``rows @ weight.T + bias`` and its gradients. Shapes: ``(N, D)``, ``(E, D)``, ``(E,)`` or None -> ``(N, E)``."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(rows, weight)
        return _times_transposed(rows, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        (made,) = gradients
        rows, weight = ctx.saved_tensors
        for_rows, for_weight, for_bias = ctx.needs_input_grad
        if torch.is_grad_enabled():
            # A gradient of this gradient is wanted, which only torch's own products have.
            return (
                made @ weight if for_rows else None,
                made.T @ rows if for_weight else None,
                made.sum(0) if for_bias else None,
            )
        return (
            _times_transposed(made, weight.T) if for_rows else None,
            _outer(made, rows) if for_weight else None,
            made.sum(0) if for_bias else None,
        )


def _outer(left: Tensor, right: Tensor) -> Tensor:
    """``left.T @ right``, made with the longer side last, which is faster.

    Shapes: ``(N, E)``, ``(N, D)`` -> ``(E, D)``.
    """
    if left.shape[1] > right.shape[1]:
        return _times_transposed(right.T, left.T).T
    return _times_transposed(left.T, right.T)
