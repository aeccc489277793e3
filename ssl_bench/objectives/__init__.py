"""What a run learns from: reconstruction objectives, joint embedding, and reference lines. Imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssl_bench.registry import Entry, Registry

if TYPE_CHECKING:
    from ssl_bench.objectives.base import Objective

OBJECTIVES: Registry[type[Objective]] = Registry(
    "objective",
    {
        "autoencoder": Entry("ssl_bench.objectives.autoencoder:Autoencoder", "rebuild the image from its embedding"),
        "denoising": Entry(
            "ssl_bench.objectives.denoising:Denoising", "rebuild the clean image from a noised one; takes noise=SPEC"
        ),
        "guided": Entry(
            "ssl_bench.objectives.guided:Guided", "autoencoder with a small supervised term; reads the labels"
        ),
        "mae": Entry(
            "ssl_bench.objectives.mae:MaskedAutoencoder", "rebuild hidden patches from visible ones; ViTs only"
        ),
        "pixels": Entry(
            "ssl_bench.objectives.baselines:Pixels", "baseline: principal components of the pixels, no network"
        ),
        "random": Entry("ssl_bench.objectives.baselines:Untrained", "baseline: the backbone as initialised"),
        "simclr": Entry("ssl_bench.objectives.simclr:SimCLR", "pull two views of an image together, push others away"),
        "supervised": Entry(
            "ssl_bench.objectives.supervised:Supervised", "reference line: cross-entropy with the labels"
        ),
    },
)
