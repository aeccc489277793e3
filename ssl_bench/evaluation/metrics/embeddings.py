"""What every metric asks of the embeddings it is given."""

from __future__ import annotations

import torch
from torch import Tensor

# Rows that differ by less than this share of a column's largest value differ by the rounding of float32.
LEAST_SPREAD = 1e-6


def prepared(embeddings: Tensor, axes: int = 2) -> Tensor | None:
    """Embeddings as float64 on the CPU.

    Returns: ``None`` where nothing can be said of them: fewer than two rows, no column, or a value that is not finite.

    Raises: ValueError if they do not have that many axes.
    """
    if embeddings.dim() != axes:
        wanted = {2: "(N, D)", 3: "(n, q, D)"}[axes]
        raise ValueError(f"embeddings are {tuple(embeddings.shape)}: must be {wanted}")
    x = embeddings.detach().cpu().double()
    return x if len(x) >= 2 and x.numel() and bool(x.isfinite().all()) else None


def varies(x: Tensor, computed_from: Tensor | None = None) -> bool:
    """Whether rows differ by more than the rounding of float32, in any column.

    What they were computed from says how large that rounding is, where it is something else. Shapes: ``(N, D)``.
    """
    size = (x if computed_from is None else computed_from).abs().amax(0)
    return bool((x.amax(0) - x.amin(0) > LEAST_SPREAD * size).any())


def directions(x: Tensor) -> Tensor | None:
    """Rows scaled to length 1, whatever axes come before. ``None`` if a row has no length, hence no direction."""
    length = x.norm(dim=-1, keepdim=True)
    return x / length if bool((length > 0).all()) else None


def entropy_rank(shares: Tensor) -> float:
    """Exp of the entropy of shares: how many equal shares would be as spread out; a share of 0 adds nothing."""
    return float(torch.special.entr(shares).sum().exp())
