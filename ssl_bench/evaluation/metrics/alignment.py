"""Alignment of positive pairs: how near to each other views of one image are embedded.

Not the alignment of a latent space with labels, which is in ``ssl_bench.theory``.
"""

from __future__ import annotations

from torch import Tensor

from ssl_bench.evaluation.metrics.embeddings import directions, prepared

ALPHA = 2.0


def alignment(first: Tensor, second: Tensor, alpha: float = ALPHA) -> float | None:
    """Alignment (Wang and Isola, arXiv 2005.10242): mean of |x - y|^alpha over positive pairs, scaled to length 1.

    Lower is nearer; an encoder that says the same of everything has 0. Shapes: ``(N, D)`` each, row by row a pair.

    Returns: ``None`` for fewer than two pairs, values that are not finite, and where an embedding is all zeros.

    Raises: ValueError if the shapes differ; broadcasting would give a plausible wrong number.
    """
    if first.shape != second.shape:
        raise ValueError(f"pairs are {tuple(first.shape)} and {tuple(second.shape)}: must be alike")
    x, y = (_unit(part, axes=2) for part in (first, second))
    return None if x is None or y is None else float((x - y).norm(dim=1).pow(alpha).mean())


def alignment_of_views(views: Tensor) -> float | None:
    """:func:`alignment` with alpha = 2 over all pairs of views of an image, averaged over images.

    In closed form: the squared distances of all pairs of q points sum to q times those from their mean. Shapes:
    ``(n, q, D)``, q views of each of n images.

    Returns: ``None`` for fewer than two images or views, values that are not finite, and where a view is all zeros.
    """
    unit = _unit(views, axes=3)
    if unit is None or unit.shape[1] < 2:
        return None
    pairs = (unit.shape[1] - 1) / 2
    from_mean = (unit - unit.mean(1, keepdim=True)).square().sum((1, 2))
    return float((from_mean / pairs).mean())


def _unit(embeddings: Tensor, axes: int) -> Tensor | None:
    x = prepared(embeddings, axes)
    return None if x is None else directions(x)
