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

    ``channels``: the rotation of the colour channels that comes first, so that no two of them say the same;
    ``dimension``: D of the images.

    Shapes: variances (along a unit direction), mean and squared lengths ``norms`` of the basis's own coordinates
    ``(R,)`` float64; widths (directions with variance) and levels (their mean variance)
    ``(bands,)``.
    """

    spec: str
    basis: Basis
    variances: Tensor
    mean: Tensor
    norms: Tensor
    channels: Tensor | None
    dimension: int
    widths: Tensor
    levels: Tensor

    @property
    def band_of(self) -> Tensor:
        """The band of each direction. Shapes: ``(R,)``."""
        return self.basis.band_of

    def coordinates(self, images: Tensor) -> Tensor:
        """Of standardised images, less the mean. Shapes: ``(N, C, H, W)`` -> ``(N, R)`` float64."""
        return self.basis.coefficients(_rotated(images, self.channels)).double() - self.mean

    def only(self, images: Tensor, band: int) -> Tensor:
        """Images about their mean with all bands but one withheld. Shapes: ``(N, C, H, W)`` to the same, float32."""
        kept = (self.coordinates(images) * (self.band_of == band)).float()
        back = None if self.channels is None else self.channels.T
        return _rotated(self.basis.images(kept), back)

    def whitened(self, images: Tensor) -> Tensor:
        """Coordinates of standardised images, each of unit variance; 0 where the data have none. -> ``(N, R)``."""
        deviation = (self.variances * self.norms).sqrt()
        scale = torch.where(deviation > 0, 1 / deviation.clamp(min=1e-12), 0.0)
        return self.coordinates(images) * scale


def make_directions(data: ImageData, bands: int, stationary: bool) -> Directions:
    """Principal components in log-spaced bands; with ``stationary``, Fourier coefficients in rings.

    Raises: UserError if the images do not make that many bands.
    """
    dimension = data.train.images[0].numel()
    if stationary:
        radial = RadialBasis(data.channels, data.image_size, bands)
        basis: Basis = radial
        norms = radial.norms
        channels = _channel_axes(data)
        mean, variances = _moments(data, basis, channels)
        # Of unit length, each wave once.
        variances = torch.where(radial.independent, variances / radial.norms.clamp(min=0.5), 0.0)
        variances[variances < 1e-9 * variances.max()] = 0
    else:
        eigen = eigenbasis(data)
        pca = PCABasis(eigen, data.shape, bands)
        basis, variances = pca, eigen.variances
        norms, channels = torch.ones_like(variances), None
        mean = eigen.components.T @ eigen.mean
    if len(basis.bands) != bands:
        raise UserError(f"--bands {bands}: {len(variances)} components make {len(basis.bands)} bands; use fewer")
    widths = band_sums((variances > 0).double(), basis)
    if (widths == 0).any():
        raise UserError(f"--bands {bands}: some ring holds no frequency at {data.image_size} pixels; use fewer")
    levels = band_sums(variances, basis) / widths
    return Directions(
        "spectrum" if stationary else "pca", basis, variances, mean, norms, channels, dimension, widths, levels
    )


def most_directions(data: ImageData, bands: int, stationary: bool) -> Directions:
    """:func:`make_directions` with that many bands, or as many as the images make, if that is fewer."""
    for fewer in range(bands, 1, -1):
        try:
            return make_directions(data, fewer, stationary)
        except UserError:
            continue
    return make_directions(data, 1, stationary)


def _moments(data: ImageData, basis: Basis, channels: Tensor | None) -> tuple[Tensor, Tensor]:
    """Mean and variance of each coefficient over the training images. Shapes: ``(R,)`` both, float64."""
    total = square = torch.zeros(len(basis.band_of), dtype=torch.float64)
    for images in torch.split(data.train.images, 1000):
        coefficients = basis.coefficients(_rotated(data.standardised(images), channels)).double()
        total, square = total + coefficients.sum(0), square + coefficients.square().sum(0)
    mean = total / len(data.train)
    return mean, (square / len(data.train) - mean.square()).clamp(min=0)


def _channel_axes(data: ImageData) -> Tensor | None:
    """Principal axes of the colour channels over all pixels; ``None`` for one channel. Shapes: ``(C, C)``."""
    if data.channels == 1:
        return None
    gram = torch.zeros(data.channels, data.channels, dtype=torch.float64)
    for images in torch.split(data.train.images, 1000):
        flat = data.standardised(images).transpose(0, 1).flatten(1)
        gram += (flat @ flat.T).double()
    _, axes = torch.linalg.eigh(gram)
    return torch.flip(axes, [1])


def _rotated(images: Tensor, channels: Tensor | None) -> Tensor:
    """Channels along other axes. Shapes: ``(N, C, H, W)``, ``(C, C)`` of columns -> ``(N, C, H, W)``."""
    return images if channels is None else torch.einsum("nchw,cd->ndhw", images, channels.to(images.dtype))
