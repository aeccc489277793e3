"""What every subject on a dataset is measured with: images, bases, views; made once, the same for all runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ssl_bench.config import AnalysisConfig
from ssl_bench.data.images import ImageData, Split
from ssl_bench.data.moments import eigenbasis
from ssl_bench.data.views import make_views, recipe_for
from ssl_bench.errors import UserError
from ssl_bench.seeds import derive_seed, make_generator
from ssl_bench.spectrum.analyzer import Measurement, Targets, make_targets, random_directions
from ssl_bench.spectrum.bands import decodability
from ssl_bench.spectrum.bases import Basis, PCABasis, RadialBasis
from ssl_bench.spectrum.dct import DCTBasis
from ssl_bench.spectrum.patches import PatchPCABasis
from ssl_bench.spectrum.readout import make_readout

# Images are altered in this basis alone: the questions are about frequencies, and each altered image costs a forward.
ALTERED = "radial"
LEAST_FIT = 10
VIEWS_AT_ONCE = 50


@dataclass(frozen=True)
class Bench:
    """Images and bases. ``fit`` are training images, ``test`` test images, each the first of a fixed shuffle.

    ``fit_rows`` and ``test_rows`` are which: their places in the dataset.
    """

    data: ImageData
    settings: AnalysisConfig
    fit: Split
    test: Split
    targets: tuple[Targets, ...]
    fit_rows: Tensor
    test_rows: Tensor
    _chance: dict[int, dict[str, list[float]]] = field(default_factory=dict)

    def chance(self, dim: int) -> dict[str, list[float]]:
        """Decodability of each basis's bands from ``dim`` random directions of pixel space."""
        if dim not in self._chance:
            fit, test = (
                random_directions(self.data.standardised(split.images), dim) for split in (self.fit, self.test)
            )
            readout = make_readout(fit, test)
            self._chance[dim] = {
                one.basis.name: decodability(Measurement(one, fit, test, None, readout=readout)) for one in self.targets
            }
        return self._chance[dim]

    def views(self) -> Iterator[Tensor]:
        """Views of test images by SimCLR's recipe, some images at a time, the same whoever asks.

        Shapes: -> ``(b, views, C, H, W)`` standardised, ``view_samples`` images in all.
        """
        recipe = recipe_for("simclr", self.data.image_size)
        chosen = self.test.images[: self.settings.view_samples]
        for index, images in enumerate(torch.split(chosen, VIEWS_AT_ONCE)):
            generator = make_generator(0, "analysis views", index)
            made = make_views(images, self.settings.views, recipe, self.data.statistics, None, generator)
            yield made.transpose(0, 1)


def make_bench(data: ImageData, settings: AnalysisConfig) -> Bench:
    """Choose the images (the same for all runs, whatever their seed) and project them on the bases.

    Raises: UserError if there are too few images.
    """
    fit_rows = _choose(len(data.train), settings.fit_samples, "fit")
    test_rows = _choose(len(data.test), settings.test_samples, "test")
    fit, test = data.train.take(fit_rows), data.test.take(test_rows)
    if min(len(fit), len(test)) < LEAST_FIT:
        raise UserError(
            f"{data.name} has {len(data.train)} training and {len(data.test)} test images: an analysis needs "
            f"{LEAST_FIT} of each; raise dataset.limit and dataset.test_limit"
        )
    rings = min(settings.bands, data.image_size // 2)
    bases: list[Basis] = [
        PCABasis(eigenbasis(data), data.shape, settings.bands),
        PatchPCABasis(data, settings.patch, settings.bands),
        RadialBasis(data.channels, data.image_size, rings),
        DCTBasis(data.channels, data.image_size, rings),
    ]
    images = data.standardised(fit.images), data.standardised(test.images)
    targets = tuple(make_targets(basis, *images) for basis in bases)
    return Bench(data, settings, fit, test, targets, fit_rows, test_rows)


def _choose(available: int, wanted: int, purpose: str) -> Tensor:
    """The first ``wanted`` of a fixed shuffle, so that a smaller choice is a part of a larger one."""
    generator = torch.Generator().manual_seed(derive_seed(0, f"analysis {purpose}"))
    return torch.randperm(available, generator=generator)[:wanted]
