"""ssl_bench: compare self-supervised objectives on one backbone, and see which bands each learned first.

One function a verb: :func:`compare`, :func:`pretrain`, :func:`evaluate`, :func:`analyze`, :func:`align`,
:func:`finding` and :func:`report`.
Importing the package imports no torch; using a function does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssl_bench.across_runs import band_order
    from ssl_bench.aligning import align
    from ssl_bench.comparison import compare
    from ssl_bench.config import Config
    from ssl_bench.errors import UserError
    from ssl_bench.findings.running import finding
    from ssl_bench.measuring import analyze, evaluate
    from ssl_bench.overrides import load_config
    from ssl_bench.reporting import report
    from ssl_bench.training.pretraining import pretrain

__all__ = [
    "Config",
    "UserError",
    "align",
    "analyze",
    "band_order",
    "compare",
    "evaluate",
    "finding",
    "load_config",
    "pretrain",
    "report",
]

_HOMES = {
    "Config": "ssl_bench.config",
    "UserError": "ssl_bench.errors",
    "align": "ssl_bench.aligning",
    "band_order": "ssl_bench.across_runs",
    "analyze": "ssl_bench.measuring",
    "compare": "ssl_bench.comparison",
    "evaluate": "ssl_bench.measuring",
    "finding": "ssl_bench.findings.running",
    "load_config": "ssl_bench.overrides",
    "pretrain": "ssl_bench.training.pretraining",
    "report": "ssl_bench.reporting",
}


def __dir__() -> list[str]:
    return [*globals(), *__all__]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ssl_bench' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
