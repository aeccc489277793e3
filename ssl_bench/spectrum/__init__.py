"""Which bands of the image an encoder holds, and when it learned them. Importing this package imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssl_bench.registry import Entry, Registry

if TYPE_CHECKING:
    from ssl_bench.spectrum.analyzer import Analyzer

ANALYZERS: Registry[Analyzer] = Registry(
    "analyzer",
    {
        "relative_error": Entry("ssl_bench.spectrum.bands:relative_error", "error of the reconstruction in each band"),
        "decodability": Entry("ssl_bench.spectrum.bands:decodability", "held-out R^2 of each band from the embedding"),
        "sensitivity": Entry("ssl_bench.spectrum.bands:sensitivity", "how far the embedding moves with a band"),
        "sensitivity_error": Entry("ssl_bench.spectrum.bands:sensitivity_error", "the probe's error meanwhile"),
        "accuracy_band": Entry("ssl_bench.spectrum.bands:accuracy_band", "the probe on band-passed images"),
        "accuracy_low": Entry("ssl_bench.spectrum.bands:accuracy_low", "the probe on low-passed images"),
        "accuracy_high": Entry("ssl_bench.spectrum.bands:accuracy_high", "the probe on high-passed images"),
    },
)
