"""The basis of patches: principal components of all patches of a disjoint grid, in index bands."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor

from ssl_bench.data.gram import pixel_moments
from ssl_bench.data.images import ImageData
from ssl_bench.spectrum.bases import check_shape, index_bands, measured_variance


class PatchPCABasis:
    """Principal components of patches: an image's coordinates are those of each of its patches.

    One set of components serves all positions, as in a vision transformer's patch embedding, so that a band says how
    fine a structure is, and nothing of where. All components are kept, also those of no variance.
    """

    name = "patch_pca"

    def __init__(self, data: ImageData, patch: int, bands: int) -> None:
        self.shape = (data.channels, data.image_size, data.image_size)
        self.patch = fitting_patch(data.image_size, patch)
        self.positions = (data.image_size // self.patch) ** 2
        patches = rearrange(self._split(data.train.images), "n p d -> (n p) d 1 1")
        _, covariance = pixel_moments(patches)
        variances, components = torch.linalg.eigh(covariance)
        self.components = components.flip(1).float().contiguous()
        self.bands, width = index_bands(variances.flip(0).clamp(min=0), bands)
        self.directions = width * self.positions
        self.band_of = torch.repeat_interleave(torch.arange(len(width)), width).repeat(self.positions)

    def coefficients(self, images: Tensor) -> Tensor:
        """See :meth:`Basis.coefficients`: patch by patch, row by row of the grid."""
        check_shape(self, images)
        turned: Tensor = self._split(images) @ self.components
        return turned.flatten(1)

    def images(self, coefficients: Tensor) -> Tensor:
        """See :meth:`Basis.images`."""
        patches = coefficients.view(len(coefficients), self.positions, -1) @ self.components.T
        channels, height, _ = self.shape
        side = height // self.patch
        axes = {"h": side, "w": side, "c": channels, "p": self.patch, "q": self.patch}
        made: Tensor = rearrange(patches, "n (h w) (c p q) -> n c (h p) (w q)", **axes)
        return made

    def variance_fraction(self, fit: Tensor) -> Tensor:
        """See :meth:`Basis.variance_fraction`."""
        return measured_variance(self, fit)

    def _split(self, images: Tensor) -> Tensor:
        patches: Tensor = rearrange(images, "n c (h p) (w q) -> n (h w) (c p q)", p=self.patch, q=self.patch)
        return patches


def fitting_patch(image_size: int, wanted: int) -> int:
    """The divisor of the image size that is nearest to the side wanted, the larger of two; at worst the whole image."""
    divisors = [side for side in range(2, image_size + 1) if image_size % side == 0]
    return min(divisors, key=lambda side: (abs(side - wanted), -side), default=image_size)
