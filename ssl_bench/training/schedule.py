"""When: learning rate by step, and the steps at which weights are kept."""

from __future__ import annotations

import math


def learning_rate_factor(step: int, total: int, warmup: float) -> float:
    """Share of the peak learning rate at a step (0 to ``total`` - 1): linear warm-up, then a cosine to zero."""
    warm = max(1, round(warmup * total))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))


def snapshot_steps(total: int, count: int) -> list[int]:
    """0, and log-spaced steps from 1 to ``total``: ``count`` in all, fewer where they coincide; ascending.

    ``count`` is at least 3.
    """
    if total == 0:
        return [0]
    return sorted({0, total} | {round(total ** (index / (count - 2))) for index in range(count - 1)})
