"""The basis of cosines: a two-dimensional DCT of each channel, in rings of frequency. It has no wrap-around borders."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ssl_bench.data.frequency import dct_ring_of
from ssl_bench.spectrum.bases import check_shape, frequency_bands, measured_variance


class DCTBasis:
    """Orthonormal DCT-II coefficients in rings of equal width up to 0.5 cycles per pixel.

    The Fourier transform takes an image for periodic: where left and right border differ, it sees an edge that is not
    there, at all frequencies. The DCT mirrors the image instead.
    """

    name = "dct"

    def __init__(self, channels: int, image_size: int, bands: int) -> None:
        self.shape = (channels, image_size, image_size)
        self.matrix = dct_matrix(image_size).float()
        self.bands = frequency_bands(bands)
        self.band_of = dct_ring_of(image_size, bands).flatten().repeat(channels)
        self.directions = torch.bincount(self.band_of, minlength=bands)

    def coefficients(self, images: Tensor) -> Tensor:
        """See :meth:`Basis.coefficients`."""
        check_shape(self, images)
        return (self.matrix @ images @ self.matrix.T).flatten(1)

    def images(self, coefficients: Tensor) -> Tensor:
        """See :meth:`Basis.images`."""
        return self.matrix.T @ coefficients.view(-1, *self.shape) @ self.matrix

    def variance_fraction(self, fit: Tensor) -> Tensor:
        """See :meth:`Basis.variance_fraction`."""
        return measured_variance(self, fit)


def dct_matrix(side: int) -> Tensor:
    """The orthonormal DCT-II as a matrix. Shapes: ``(side, side)`` float64, a row a frequency."""
    index = torch.arange(side, dtype=torch.float64)
    matrix = (math.pi / side * (index[None, :] + 0.5) * index[:, None]).cos() * math.sqrt(2 / side)
    matrix[0] /= math.sqrt(2)
    return matrix
