"""Targets weighted by principal component."""

from __future__ import annotations

from abc import abstractmethod
from typing import Self

import torch
from pydantic import Field, PrivateAttr
from torch import Tensor

from ssl_bench.data.images import ImageData
from ssl_bench.data.moments import band_widths, eigenbasis, same_components
from ssl_bench.errors import UserError
from ssl_bench.targets.base import Target, Weight


class Components(Target):
    """A = P diag(sqrt w) P^T, w one weight a principal component."""

    _axes: Tensor | None = PrivateAttr(default=None)
    _mean: Tensor = PrivateAttr(default_factory=lambda: torch.zeros(0))
    _weights: Tensor = PrivateAttr(default_factory=lambda: torch.zeros(0))
    _maps: dict[tuple[str, bool], tuple[Tensor, ...]] = PrivateAttr(default_factory=dict)
    # Brought to the device at each step, an accelerator would be waited for.
    _means: dict[tuple[str, torch.dtype], Tensor] = PrivateAttr(default_factory=dict)

    @abstractmethod
    def weights(self, variances: Tensor) -> Tensor:
        """One weight a component, any scale. Shapes: variances ``(R,)``, descending -> ``(R,)`` float64."""

    def prepare(self, data: ImageData) -> Self:
        """See :meth:`Target.prepare`.

        Raises: UserError if nothing is left to ask for.
        """
        basis = eigenbasis(data)
        weights = self.weights(basis.variances)
        asked = (weights * basis.variances).sum()
        if asked <= 0:
            raise UserError("the target asks for nothing: every weight is zero")
        fitted = self.model_copy()
        fitted._axes, fitted._mean = basis.components, basis.mean
        fitted._weights = weights * basis.variances.sum() / asked
        fitted._maps, fitted._means = {}, {}
        return fitted

    def ask(self, images: Tensor) -> Tensor:
        """See :meth:`Target.ask`."""
        return self._through(images - self._mean_image(images), inverse=False)

    def undo(self, made: Tensor) -> Tensor:
        """See :meth:`Target.undo`."""
        return self._through(made, inverse=True) + self._mean_image(made)

    def weight_map(self, shape: tuple[int, int, int]) -> Tensor:
        """See :meth:`Target.weight_map`."""
        axes = self._fitted()
        return (axes * self._weights) @ axes.T

    def diagonal(self, variances: Tensor, components: Tensor) -> Tensor | None:
        """See :meth:`Target.diagonal`."""
        return self._weights if same_components(self._fitted(), components) else None

    def _fitted(self) -> Tensor:
        if self._axes is None:
            raise UserError(f"{type(self).__name__} speaks of a dataset's components: prepare it with a dataset first")
        return self._axes

    def _mean_image(self, images: Tensor) -> Tensor:
        self._fitted()
        key = (str(images.device), images.dtype)
        if key not in self._means:
            self._means[key] = self._mean.to(images.device, images.dtype).view(images.shape[1:])
        return self._means[key]

    def _through(self, images: Tensor, inverse: bool) -> Tensor:
        """The image through A, or its pseudo-inverse; the matrices are cast once a device. Float32 inside."""
        key = (str(images.device), inverse)
        if key not in self._maps:
            self._maps[key] = tuple(factor.to(images.device, torch.float32) for factor in self._factors(inverse))
        flat = images.flatten(1).float()
        with torch.autocast(images.device.type, enabled=False):
            for factor in self._maps[key]:
                flat = flat @ factor
        return flat.view(images.shape).to(images.dtype)

    def _factors(self, inverse: bool) -> tuple[Tensor, ...]:
        """A or its pseudo-inverse: as two thin factors, or one square one where that is less work."""
        used = self._weights > 0
        root = self._weights[used].sqrt()
        axes = self._fitted()[:, used]
        left = axes * (1 / root if inverse else root)
        return (left @ axes.T,) if 2 * left.shape[1] > left.shape[0] else (left, axes.T)


class PCATarget(Components):
    """``pca(gains=[...])``: one weight a band of principal components.

    The bands are those of the spectrum analyzer and of the noise ``pca`` for that many bands (log-spaced, largest
    variance first). A gain of 4 makes an error there cost four times as much.
    """

    gains: tuple[Weight, ...] = Field(min_length=1)

    def weights(self, variances: Tensor) -> Tensor:
        """See :meth:`Components.weights`.

        Raises: UserError if there are more gains than bands.
        """
        return torch.tensor(self.gains, dtype=torch.float64).repeat_interleave(
            band_widths(variances, len(self.gains), "target pca")
        )


class Bottom(Components):
    """``bottom(share)``: only the components of smallest variance, which together hold ``share`` of it.

    PMAE (arXiv 2502.06314) with a fixed set; share 1 asks for the image.
    """

    share: float = Field(gt=0, le=1)

    def weights(self, variances: Tensor) -> Tensor:
        """See :meth:`Components.weights`; the component on the border is in."""
        below = variances.sum() - variances.cumsum(0)
        return (below < self.share * variances.sum() * (1 - 1e-12)).double()


class Top(Components):
    """``top(share)``: only the components of largest variance, which together hold ``share`` of it."""

    share: float = Field(gt=0, le=1)

    def weights(self, variances: Tensor) -> Tensor:
        """See :meth:`Components.weights`; the component on the border is in."""
        before = variances.cumsum(0) - variances
        return (before < self.share * variances.sum() * (1 - 1e-12)).double()
