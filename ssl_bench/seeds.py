"""Seeds by purpose: every random draw is a function of the run's seed, what it is for, and the step."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def derive_seed(seed: int, purpose: str, index: int = 0) -> int:
    """A seed that is as good as independent for each purpose and index; below 2^63."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def make_generator(seed: int, purpose: str, index: int = 0, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator on a device, seeded by :func:`derive_seed`.

    So a run that goes on at step n draws what it would have drawn, with no random state to save.
    """
    import torch

    return torch.Generator(device).manual_seed(derive_seed(seed, purpose, index))
