"""p-values corrected for how many tests were made."""

from __future__ import annotations

from collections.abc import Sequence


def holm(values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction (Scand. J. Statist. 6, 1979): the chance of any false finding is bounded.

    The smallest of m p-values is multiplied by m, the next by m - 1, and so on; none falls below the one before it.
    Tests may depend on each other in any way.

    Args:
        values: p-values; ``None`` for a test that could not be made, which does not count.
    """
    known = sorted((value, place) for place, value in enumerate(values) if value is not None)
    made: list[float | None] = [None] * len(values)
    largest = 0.0
    for done, (value, place) in enumerate(known):
        largest = max(largest, min(1.0, value * (len(known) - done)))
        made[place] = largest
    return made
