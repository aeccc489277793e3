"""The directions a design speaks of: principal components, or Fourier coefficients, in bands."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ssl_bench.data.images import ImageData
from ssl_bench.data.moments import eigenbasis
from ssl_bench.errors import UserError
from ssl_bench.spectrum.bases import Basis, PCABasis, RadialBasis, band_sums


@dataclass(frozen=True)
class Directions:
    """Orthonormal directions of image space, each in a band, with the variance of the training images along it.

    Coordinates that are no direction of their own (a wave's second half) have variance 0.

    ``spec`` is the name of the noise and of the target that has one gain a band: ``pca`` or ``spectrum``.

    Shapes: variances (along a unit direction), mean and squared lengths ``norms`` of the basis's own coordinates
    ``(R,)`` float64; widths (directions with variance) and levels (their mean variance)
    ``(bands,)``.
    """

    spec: str
    basis: Basis
    variances: Tensor
    mean: Tensor
    norms: Tensor
    widths: Tensor
    levels: Tensor

    @property
    def band_of(self) -> Tensor:
        """The band of each direction. Shapes: ``(R,)``."""
        return self.basis.band_of

    def whitened(self, images: Tensor) -> Tensor:
        """Coordinates of standardised images, each of unit variance; 0 where the data have none. -> ``(N, R)``."""
        deviation = (self.variances * self.norms).sqrt()
        scale = torch.where(deviation > 0, 1 / deviation.clamp(min=1e-12), 0.0)
        return (self.basis.coefficients(images).double() - self.mean) * scale


def make_directions(data: ImageData, bands: int, stationary: bool) -> Directions:
    """Principal components in log-spaced bands; with ``stationary``, Fourier coefficients in rings.

    Raises: UserError if the images do not make that many bands.
    """
    if stationary:
        radial = RadialBasis(data.channels, data.image_size, bands)
        basis: Basis = radial
        norms = radial.norms
        mean, variances = _moments(data, basis)
        # Of unit length, each wave once.
        variances = torch.where(radial.independent, variances / radial.norms.clamp(min=0.5), 0.0)
        variances[variances < 1e-9 * variances.max()] = 0
    else:
        eigen = eigenbasis(data)
        pca = PCABasis(eigen, bands)
        basis, variances = pca, eigen.variances
        norms = torch.ones_like(variances)
        mean = eigen.components.T @ eigen.mean
    if len(basis.bands) != bands:
        raise UserError(f"bands={bands}: {len(variances)} components make {len(basis.bands)} bands; use fewer")
    widths = band_sums((variances > 0).double(), basis)
    if (widths == 0).any():
        raise UserError(f"bands={bands}: some ring holds no frequency at {data.image_size} pixels; use fewer")
    levels = band_sums(variances, basis) / widths
    return Directions("spectrum" if stationary else "pca", basis, variances, mean, norms, widths, levels)


def _moments(data: ImageData, basis: Basis) -> tuple[Tensor, Tensor]:
    """Mean and variance of each coefficient over the training images. Shapes: ``(R,)`` both, float64."""
    total = square = torch.zeros(len(basis.band_of), dtype=torch.float64)
    for images in torch.split(data.train.images, 1000):
        coefficients = basis.coefficients(data.standardised(images)).double()
        total, square = total + coefficients.sum(0), square + coefficients.square().sum(0)
    mean = total / len(data.train)
    return mean, (square / len(data.train) - mean.square()).clamp(min=0)
