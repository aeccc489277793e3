"""What the sampling of a noise needs and no draw changes: made once, kept where the images are."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=64)
def placed(make: Callable[[int, int], Tensor], height: int, width: int, device: torch.device) -> Tensor:
    """``make(height, width)`` in float32 on a device, to be read only.

    Made anew at each step it would cost more than the noise, and its way to an accelerator would be waited for.

    Args:
        make: A method of a noise. Methods are told apart by the identity of their object, and noises do not change.
        height: Of the images, in pixels.
        width: Of the images, in pixels.
        device: Where the images are.
    """
    # It outlives the call: made in inference mode, it could not be used outside of it.
    with torch.inference_mode(False):
        return make(height, width).float().to(device)
