"""Design of masks, which do not commute with the covariance: the differentiable alignment is optimised.

A mask of ratio p and patch k is, after rescaling, structured additive noise: E[noisy noisy^T] / (1 - p)^2 = S + t G
with t = p / (1 - p), G the second moment within patches. The encoder of K dimensions is the top of L^-1 S^2 L^-T,
L L^T = S + t G; a soft choice of its K directions makes what they are worth differentiable in t and in the shares of
a mixture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from torch import Tensor

from ssl_bench.data.images import ImageData
from ssl_bench.data.moments import Eigenbasis, eigenbasis
from ssl_bench.design.soft import soft_projector
from ssl_bench.noise import make_noise
from ssl_bench.noise.base import Noise

Floats = npt.NDArray[np.float64]
MaskFamily = Literal["mask", "mixture", "color_mask"]
MASKS: tuple[str, ...] = get_args(MaskFamily)
COLORS = ("red", "green", "blue", "purple")
RATIOS = (0.25, 0.5, 0.75, 0.9)
LOW_RATIO, HIGH_RATIO = 0.1, 0.95
# The search happens among this many principal components, or four times K; the prediction that follows is of all.
COMPONENTS = 256
LEAST_SHARE = 0.02


@dataclass(frozen=True)
class MaskDesign:
    """A spec, and what its K directions are worth, as a share of the best K; ``plain`` is that of no noise."""

    noise: str
    value: float
    plain: float


@dataclass(frozen=True)
class _Problem:
    """Shapes: variances, worth ``(R,)`` of the leading components; best: worth of the best K of them."""

    variances: Tensor
    worth: Tensor
    count: int
    best: float


def design_mask(data: ImageData, worth: Tensor, count: int, family: MaskFamily) -> MaskDesign:
    """The mask of a family whose K kept directions are worth most.

    Args:
        data: The dataset.
        worth: What each principal component is worth. Shapes: ``(R,)`` float64.
        count: Latent dimension K.
        family: ``mask`` (one patch size), ``mixture`` (of patch sizes), ``color_mask``.
    """
    basis = eigenbasis(data)
    size = min(len(basis.variances), max(COMPONENTS, 4 * count))
    leading = Eigenbasis(basis.mean, basis.variances[:size], basis.components[:, :size])
    kept = worth[:size]
    problem = _Problem(leading.variances, kept, count, float(kept.sort(descending=True).values[:count].sum()))
    plain = float(value(problem, torch.zeros(size, size, dtype=torch.float64)))
    second = (basis.components * basis.variances) @ basis.components.T
    if family == "color_mask":
        found = _best_color(problem, leading, second, data)
    else:
        patches = [patch for patch in (1, 2, 4, 8, 16) if patch <= data.image_size // 2]
        atoms = torch.stack(
            [_inside(leading, second, data, f"mask(ratio=0.5, patch={patch})", 0.5) for patch in patches]
        )
        found = (_best_patch if family == "mask" else _best_mixture)(problem, atoms, patches)
    spec, reached = found
    return MaskDesign(spec, reached / problem.best, plain / problem.best)


def value(problem: _Problem, added: Tensor) -> Tensor:
    """What the K directions are worth that a linear denoising encoder keeps under S + ``added``.

    Shapes: added ``(R, R)``, in principal components -> scalar, differentiable.
    """
    variances = problem.variances
    factor = torch.linalg.cholesky(torch.diag(variances) + added)
    inverse = torch.linalg.solve_triangular(factor, torch.diag(variances), upper=False)
    matrix = inverse @ inverse.T
    projector = soft_projector((matrix + matrix.T) / 2, problem.count)
    # What the kept directions V = L^-T P have of the data, whitened. The others get a block of their own, on the data's
    # own scale: a noise that lowers all scores alike must not count.
    half = torch.linalg.solve_triangular(factor, torch.diag(variances.sqrt()), upper=False)
    seen, others = projector @ half, half - projector @ half
    kept = (seen * torch.linalg.solve(seen @ seen.T + others @ others.T, seen)).sum(0)
    total: Tensor = (problem.worth * kept).sum()
    return total


def _inside(basis: Eigenbasis, second: Tensor, data: ImageData, spec: str, ratio: float) -> Tensor:
    """Second moment of a mask beyond the data's own, referred to the input, in principal components."""
    noise: Noise = make_noise(spec)
    shape = (data.channels, data.image_size, data.image_size)
    beyond = noise.second_map(second, shape) / (1 - ratio) ** 2 - second
    inside = basis.components.T @ beyond @ basis.components
    return (inside + inside.T) / 2


def _best_patch(problem: _Problem, atoms: Tensor, patches: Sequence[int]) -> tuple[str, float]:
    """The best ratio of each patch size, and the best of them."""
    found = []
    for atom, patch in zip(atoms, patches, strict=True):
        ratio, reached = _climb(problem, atom[None], np.zeros(0))[:2]
        found.append((reached, f"mask(ratio={ratio:.3g}, patch={patch})"))
    reached, spec = max(found)
    return spec, reached


def _best_mixture(problem: _Problem, atoms: Tensor, patches: Sequence[int]) -> tuple[str, float]:
    """The best ratio and shares of all patch sizes together."""
    ratio, reached, shares = _climb(problem, atoms, np.zeros(len(patches)))
    used = [(patch, share) for patch, share in zip(patches, shares, strict=True) if share >= LEAST_SHARE]
    if len(used) == 1:
        return f"mask(ratio={ratio:.3g}, patch={used[0][0]})", reached
    parts = ", ".join(f"mask(ratio={ratio:.3g}, patch={patch})" for patch, _ in used)
    weights = ", ".join(f"{share:.3g}" for _, share in used)
    return f"mixture(parts=[{parts}], weights=[{weights}])", reached


def _best_color(problem: _Problem, basis: Eigenbasis, second: Tensor, data: ImageData) -> tuple[str, float]:
    """The best colour and ratio; the moments of a colour mask are no straight line in its ratio, so these are tried."""
    found = []
    for color in COLORS:
        for ratio in RATIOS:
            spec = f"color_mask(color={color}, ratio={ratio:g})"
            found.append((float(value(problem, _inside(basis, second, data, spec, ratio))), spec))
    reached, spec = max(found)
    return spec, reached


def _climb(problem: _Problem, atoms: Tensor, logits: Floats) -> tuple[float, float, list[float]]:
    """Ascent on (log t, logits of the shares). Returns: ratio, value, shares."""

    def shares_of(parameters: Tensor) -> Tensor:
        return torch.softmax(parameters[1:], 0) if len(logits) else torch.ones(1, dtype=torch.float64)

    def loss(flat: Floats) -> tuple[float, Floats]:
        parameters = torch.tensor(flat, dtype=torch.float64, requires_grad=True)
        added = parameters[0].exp() * torch.einsum("p,pij->ij", shares_of(parameters), atoms)
        reached = -value(problem, added) / problem.best
        torch.autograd.backward(reached)
        assert parameters.grad is not None
        return float(reached.detach()), parameters.grad.numpy()

    ends = tuple(float(np.log(ratio / (1 - ratio))) for ratio in (LOW_RATIO, HIGH_RATIO))
    starts = [np.concatenate([[start], logits]) for start in (ends[0], 0.0, ends[1])]
    bounds = [ends, *[(-8.0, 8.0)] * len(logits)]
    how: dict[str, Any] = {"jac": True, "bounds": bounds, "method": "L-BFGS-B", "options": {"maxiter": 40}}
    runs = [minimize(loss, start, **how) for start in starts]
    best = min(runs, key=lambda run: float(run.fun))
    strength = float(np.exp(best.x[0]))
    return strength / (1 + strength), -float(best.fun) * problem.best, shares_of(torch.tensor(best.x)).tolist()
