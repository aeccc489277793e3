"""Encoders from elsewhere as something to measure: ``timm:NAME``, ``torchvision:NAME`` or ``module:callable``.

This module imports no torch.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ssl_bench.config import EncoderConfig
    from ssl_bench.data.images import ImageData
    from ssl_bench.evaluation.subject import Subject

_LIBRARY = re.compile(r"(timm|torchvision):.*")
_CALLABLE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def is_encoder(target: str) -> bool:
    """Whether a target names an encoder, and is no folder of that name."""
    named = _LIBRARY.fullmatch(target) or _CALLABLE.fullmatch(target)
    return named is not None and not Path(target).is_dir()


def open_encoder(target: str, config: EncoderConfig, data: ImageData) -> Subject:
    """An encoder as something to measure on a dataset; see :func:`ssl_bench.encoders.opening.open_encoder`."""
    from ssl_bench.encoders.opening import open_encoder as open_now

    return open_now(target, config, data)
