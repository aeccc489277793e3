"""A backbone without its numbers: all that is known of it, at no cost in memory, however large it would be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ssl_bench.backbones import make_backbone
from ssl_bench.errors import UserError

if TYPE_CHECKING:
    from ssl_bench.backbones.base import Backbone
    from ssl_bench.config import BackboneConfig


def outline_backbone(config: BackboneConfig, image_size: int, channels: int) -> Backbone:
    """The encoder a configuration names, its weights on torch's ``meta`` device: shapes alone.

    One whose code needs numbers to be built (a plug-in may) is built in full. Torch's generator stays where it is.

    Raises: UserError as :func:`make_backbone` does.
    """
    with torch.random.fork_rng(devices=[]):
        try:
            with torch.device("meta"):
                return make_backbone(config, image_size, channels)
        except UserError:
            raise
        except Exception:  # whatever third-party code makes of numbers that are not there
            return make_backbone(config, image_size, channels)
