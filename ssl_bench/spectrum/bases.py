"""Orthogonal splits of image space into ordered bands."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ssl_bench.data.frequency import radial_frequency, ring_of
from ssl_bench.data.moments import Eigenbasis, pca_edges
from ssl_bench.errors import UserError

# Images whose coefficients are brought to float64 at once: more would leave the processor's cache.
ROWS = 128


@dataclass(frozen=True)
class Band:
    """One band: component indices, both included (pca), or cycles per pixel (radial)."""

    index: int
    low: float
    high: float


class Basis(Protocol):
    """Image space in ordered bands. Coefficients keep energy: their squares add up to the image's.

    ``shape`` is the image's (C, H, W). ``directions`` is the number of dimensions of each band, ``(bands,)``.
    """

    name: str
    shape: tuple[int, int, int]
    bands: tuple[Band, ...]
    band_of: Tensor
    directions: Tensor

    def coefficients(self, images: Tensor) -> Tensor:
        """Linear coordinates of images. Shapes: ``(N, C, H, W)`` -> ``(N, R)``; ``band_of`` is ``(R,)``.

        Raises: UserError if the images are of another size than the basis.
        """
        ...

    def images(self, coefficients: Tensor) -> Tensor:
        """The images of coordinates: what :meth:`coefficients` takes back. Shapes: ``(N, R)`` -> ``(N, C, H, W)``."""
        ...

    def variance_fraction(self, fit: Tensor) -> Tensor:
        """Share of the training images' variance in each band.

        Shapes: fit ``(N, R)``, coefficients of training images less their mean -> ``(bands,)``, float64.
        """
        ...


def band_sums(values: Tensor, basis: Basis) -> Tensor:
    """Sum over each band's coefficients. Shapes: ``(..., R)`` -> ``(..., bands)``, float64."""
    sums = torch.zeros(*values.shape[:-1], len(basis.bands), dtype=torch.float64)
    return sums.index_add_(-1, basis.band_of, values.double())


def band_energies(coefficients: Tensor, basis: Basis) -> Tensor:
    """Mean energy of images in each band. Shapes: ``(N, R)`` -> ``(bands,)``, float64."""
    parts = torch.split(coefficients, ROWS)
    total = torch.stack([part.double().square().sum(0) for part in parts]).sum(0)
    return band_sums(total / len(coefficients), basis)


def measured_variance(basis: Basis, fit: Tensor) -> Tensor:
    """Share of variance in each band, from coefficients. Shapes: ``(N, R)`` -> ``(bands,)``, float64."""
    energy = band_energies(fit, basis)
    return energy / energy.sum()


def band_frequencies(basis: Basis, fit: Tensor) -> Tensor:
    """Mean radial frequency of the images' energy in each band, in cycles per pixel; NaN where there is none.

    Shapes: fit ``(N, R)``, coefficients of training images less their mean -> ``(bands,)``, float64.
    """
    frequency = radial_frequency(*basis.shape[1:])
    columns = torch.fft.rfftfreq(basis.shape[2], dtype=torch.float64)
    twice = torch.where((columns == 0) | (columns == 0.5), 1.0, 2.0)
    means = []
    for index in range(len(basis.bands)):
        part = basis.images(fit * (basis.band_of == index))
        power = torch.fft.rfft2(part.double()).abs().square().sum((0, 1)) * twice
        means.append((power * frequency).sum() / power.sum())
    return torch.stack(means)


def check_shape(basis: Basis, images: Tensor) -> None:
    """Refuse images of another size than the basis.

    Raises: UserError.
    """
    if tuple(images.shape[1:]) != basis.shape:
        sizes = [" x ".join(map(str, shape)) for shape in (basis.shape, images.shape[1:])]
        raise UserError(
            f"the basis {basis.name} is one of {sizes[0]} images and these are {sizes[1]}: make it from this dataset"
        )


class PCABasis:
    """Principal components of the training images in index bands, log-spaced, so that band 0 has the most variance."""

    name = "pca"

    def __init__(self, eigenbasis: Eigenbasis, shape: tuple[int, int, int], bands: int) -> None:
        self.shape = shape
        self.components = eigenbasis.components.float()
        self.variances = eigenbasis.variances
        self.bands, self.directions = index_bands(eigenbasis.variances, bands)
        self.band_of = torch.repeat_interleave(torch.arange(len(self.bands)), self.directions)

    def coefficients(self, images: Tensor) -> Tensor:
        """See :meth:`Basis.coefficients`."""
        check_shape(self, images)
        return images.flatten(1) @ self.components

    def images(self, coefficients: Tensor) -> Tensor:
        """See :meth:`Basis.images`; what is outside the span of the components stays zero."""
        return (coefficients @ self.components.T).view(-1, *self.shape)

    def variance_fraction(self, fit: Tensor) -> Tensor:
        """See :meth:`Basis.variance_fraction`: from the eigenvalues, of all training images."""
        return band_sums(self.variances / self.variances.sum(), self)


def index_bands(variances: Tensor, bands: int) -> tuple[tuple[Band, ...], Tensor]:
    """Log-spaced bands of component indices, and how many components each has: ``(bands,)``."""
    edges = pca_edges(variances.numpy(), bands)
    made = tuple(Band(index, low, high - 1) for index, (low, high) in enumerate(itertools.pairwise(edges)))
    return made, torch.tensor(edges).diff()


def frequency_bands(bands: int) -> tuple[Band, ...]:
    """Rings of equal width up to 0.5 cycles per pixel, the last with the corners of the frequency plane (to 0.71)."""
    edges = np.linspace(0, 0.5, bands + 1)
    high = [*edges[1:-1], float(np.hypot(0.5, 0.5))]
    return tuple(Band(index, float(low), float(top)) for index, (low, top) in enumerate(zip(edges, high, strict=False)))


class RadialBasis:
    """Fourier coefficients of each channel in rings of equal width up to 0.5 cycles per pixel.

    The last ring holds the corners of the frequency plane too (up to 0.71); the first holds the mean.
    """

    name = "radial"

    def __init__(self, channels: int, image_size: int, bands: int) -> None:
        self.shape = (channels, image_size, image_size)
        self.bands = frequency_bands(bands)
        rows = torch.fft.fftfreq(image_size, dtype=torch.float64)[:, None]
        columns = torch.fft.rfftfreq(image_size, dtype=torch.float64)[None, :]
        ring = ring_of(image_size, image_size, bands)
        self.band_of = ring.flatten().repeat(2 * channels)
        # A real image's other half plane mirrors this one; the columns at 0 and Nyquist are their own mirror.
        own_mirror = (columns == 0) | (columns == 0.5)
        self.weight = torch.where(own_mirror, 1.0, 2.0).sqrt().float()
        # On these columns a frequency and its negative are the same wave, with half of its energy each.
        alone = (rows == 0) | (rows == -0.5)
        real = torch.where(own_mirror & ~alone, 0.5, 1.0)
        imaginary = torch.where(own_mirror, torch.where(alone, 0.0, 0.5), 1.0)
        # Squared length of each coordinate's direction, and the coordinates that say nothing twice.
        self.norms = torch.cat([real.flatten().repeat(channels), imaginary.flatten().repeat(channels)]).double()
        first = ~own_mirror | (rows >= 0) | (rows == -0.5)
        self.independent = torch.cat([first.flatten().repeat(channels)] * 2) & (self.norms > 0)
        self.directions = torch.bincount(self.band_of[self.independent], minlength=bands)

    def coefficients(self, images: Tensor) -> Tensor:
        """See :meth:`Basis.coefficients`. Real parts of all channels, then imaginary parts."""
        check_shape(self, images)
        plane = torch.fft.rfft2(images, norm="ortho") * self.weight
        return torch.cat([plane.real.flatten(1), plane.imag.flatten(1)], dim=1)

    def images(self, coefficients: Tensor) -> Tensor:
        """See :meth:`Basis.images`."""
        half = (len(coefficients), *self.shape[:-1], self.shape[-1] // 2 + 1)
        real, imaginary = (part.reshape(half) for part in coefficients.chunk(2, dim=1))
        plane = torch.complex(real, imaginary) / self.weight
        made: Tensor = torch.fft.irfft2(plane, s=self.shape[-2:], norm="ortho")
        return made

    def variance_fraction(self, fit: Tensor) -> Tensor:
        """See :meth:`Basis.variance_fraction`."""
        return measured_variance(self, fit)
