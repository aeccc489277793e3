"""Noise in the principal components of a dataset: of whole images, or of patches."""

from __future__ import annotations

from typing import Annotated, Self

import torch
from pydantic import Field, PrivateAttr
from torch import Generator, Tensor

from ssl_bench.config import LARGEST_IMAGE
from ssl_bench.data.images import ImageData
from ssl_bench.data.moments import band_widths, eigenbasis, same_components
from ssl_bench.errors import UserError
from ssl_bench.noise.base import Noise, Shape
from ssl_bench.noise.strength import STRONGEST, Ratio, Strength, draw, kept, mean_square

# Images whose patches components are fitted to.
FITTED = 2000


class Fitted(Noise):
    """A noise that speaks of a dataset's principal components, and so must be prepared with the dataset."""

    _axes: Tensor | None = PrivateAttr(default=None)
    # The same in float32, on the device they were last used on.
    _columns: Tensor = PrivateAttr(default_factory=lambda: torch.zeros(0))

    def axes(self) -> Tensor:
        """The components, as orthonormal columns; float64 on the CPU.

        Raises: UserError if the noise was not prepared with a dataset.
        """
        if self._axes is None:
            raise UserError(f"{type(self).__name__} speaks of a dataset's components: prepare it with a dataset first")
        return self._axes

    def columns(self, device: torch.device) -> Tensor:
        """The components in float32 on a device; brought there once."""
        self.axes()
        if self._columns.device != device:
            self._columns = self._columns.to(device)
        return self._columns

    def with_axes(self, axes: Tensor) -> Self:
        """A copy of this noise on the given components. Shapes: ``(D, R)``."""
        fitted = self.model_copy()
        fitted._axes = axes.double()
        fitted._columns = axes.float().contiguous()
        return fitted


class PCANoise(Fitted):
    """``pca(gains=[...])``: additive noise with one variance a band of principal components.

    The bands are those of the spectrum analyzer for that many bands (log-spaced, largest variance first). A gain is the
    noise's variance in each component of its band, in units of the standardised image; ``sigma`` (default 1) scales
    the noise. Components beyond the rank of the data get none.
    """

    gains: tuple[Annotated[float, Field(ge=0, le=STRONGEST**2)], ...] = Field(min_length=1)
    sigma: Strength = 1.0
    _variances: Tensor | None = PrivateAttr(default=None)
    # Deviations times components, of the components that have noise; float32, on the device it was last used on.
    _factor: Tensor = PrivateAttr(default_factory=lambda: torch.zeros(0))

    def prepare(self, data: ImageData) -> Self:
        """See :meth:`Noise.prepare`."""
        basis = eigenbasis(data)
        return self.with_basis(basis.components, basis.variances)

    def with_basis(self, components: Tensor, variances: Tensor) -> Self:
        """A copy on a given eigenbasis. Shapes: ``(D, R)``, ``(R,)``.

        Raises: UserError if there are more gains than bands.
        """
        widths = band_widths(variances, len(self.gains), "pca")
        fitted = self.with_axes(components)
        fitted._variances = torch.tensor(self.gains, dtype=torch.float64).repeat_interleave(widths)
        used = fitted._variances > 0
        fitted._factor = (fitted.axes()[:, used] * fitted._variances[used].sqrt()).T.float().contiguous()
        return fitted

    def sample(self, images: Tensor, generator: Generator) -> Tensor:
        """See :meth:`Noise.sample`."""
        self.axes()
        if self._factor.device != images.device:
            self._factor = self._factor.to(images.device)
        white = torch.randn((len(images), len(self._factor)), generator=generator, device=images.device)
        with torch.autocast(images.device.type, enabled=False):
            noise = (white @ self._factor).view(images.shape)
        return noise.mul_(draw(self.sigma, images, generator)).to(images.dtype).add_(images)

    def second_map(self, matrix: Tensor, shape: Shape) -> Tensor:
        """See :meth:`Noise.second_map`."""
        axes = self.axes()
        assert self._variances is not None
        return matrix + mean_square(self.sigma) * (axes * self._variances) @ axes.T

    def diagonal(self, variances: Tensor, components: Tensor) -> tuple[Tensor, Tensor] | None:
        """See :meth:`Noise.diagonal`."""
        if not same_components(self.axes(), components):
            return None
        assert self._variances is not None
        return torch.ones_like(variances), variances + mean_square(self.sigma) * self._variances


class PCAMask(Fitted):
    """``pca_mask(ratio)``: each principal component is set to zero with probability ``ratio``, independently.

    The expected share of the variance removed is ``ratio`` (PMAE, arXiv 2502.06314, drops a set of that share).
    """

    ratio: Ratio

    def prepare(self, data: ImageData) -> Self:
        """See :meth:`Noise.prepare`."""
        return self.with_axes(eigenbasis(data).components)

    def sample(self, images: Tensor, generator: Generator) -> Tensor:
        """See :meth:`Noise.sample`."""
        axes = self.columns(images.device)
        chance = torch.rand((len(images), axes.shape[1]), generator=generator, device=images.device)
        dropped = chance < draw(self.ratio, images, generator).view(-1, 1)
        flat = images.flatten(1).float()
        with torch.autocast(images.device.type, enabled=False):
            removed = ((flat @ axes) * dropped) @ axes.T
        return (flat - removed).view(images.shape).to(images.dtype)

    def mean_map(self, matrix: Tensor, shape: Shape) -> Tensor:
        """See :meth:`Noise.mean_map`."""
        axes, (one, _) = self.axes(), kept(self.ratio)
        return matrix - (1 - one) * axes @ (axes.T @ matrix)

    def second_map(self, matrix: Tensor, shape: Shape) -> Tensor:
        """See :meth:`Noise.second_map`: off the diagonal of the components two must stay, on it one."""
        axes, (one, two) = self.axes(), kept(self.ratio)
        inside = axes.T @ matrix @ axes
        outside = matrix - axes @ (axes.T @ matrix)
        beyond = outside - outside @ axes @ axes.T
        crossed = axes @ ((axes.T @ matrix) - (axes.T @ matrix @ axes) @ axes.T)
        kept_inside = two * inside + (one - two) * torch.diag(inside.diagonal())
        return axes @ kept_inside @ axes.T + one * (crossed + crossed.T) + beyond

    def diagonal(self, variances: Tensor, components: Tensor) -> tuple[Tensor, Tensor] | None:
        """See :meth:`Noise.diagonal`."""
        one, _ = kept(self.ratio)
        return (torch.full_like(variances, one), one * variances) if same_components(self.axes(), components) else None


class PatchPCA(Fitted):
    """``patch_pca(patch, components, sigma)``: noise in the top components of each ``patch`` x ``patch`` patch.

    Independent in each patch and component, standard deviation ``sigma`` a component (l-DAE, arXiv 2401.14404). The
    patches tile the image; the components are those of the patches of 2,000 training images.
    """

    patch: int = Field(ge=1, le=LARGEST_IMAGE)
    components: int = Field(ge=1)
    sigma: Strength

    def prepare(self, data: ImageData) -> Self:
        """See :meth:`Noise.prepare`.

        Raises: UserError if the patch does not tile the image, or has fewer components.
        """
        if data.image_size % self.patch:
            raise UserError(f"patch_pca: patch={self.patch} does not divide the image size {data.image_size}")
        dimension = data.channels * self.patch**2
        if self.components > dimension:
            raise UserError(f"patch_pca: components={self.components}, but a patch has only {dimension} pixels")
        order = torch.randperm(len(data.train), generator=Generator().manual_seed(0))
        images = data.standardised(data.train.images[order[:FITTED]])
        patches = images.unfold(2, self.patch, self.patch).unfold(3, self.patch, self.patch)
        flat = patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, dimension).double()
        _, vectors = torch.linalg.eigh(torch.cov(flat.T, correction=0).reshape(dimension, dimension))
        return self.with_axes(vectors.flip(1)[:, : self.components])

    def sample(self, images: Tensor, generator: Generator) -> Tensor:
        """See :meth:`Noise.sample`."""
        batch, channels, height, width = images.shape
        rows, columns = height // self.patch, width // self.patch
        shape = (batch, rows, columns, self.components)
        white = torch.randn(shape, generator=generator, device=images.device)
        with torch.autocast(images.device.type, enabled=False):
            flat = white @ self.columns(images.device).T
        pixels = flat.view(batch, rows, columns, channels, self.patch, self.patch)
        noise = pixels.permute(0, 3, 1, 4, 2, 5).reshape(images.shape)
        return noise.mul_(draw(self.sigma, images, generator)).to(images.dtype).add_(images)

    def second_map(self, matrix: Tensor, shape: Shape) -> Tensor:
        """See :meth:`Noise.second_map`: one block a patch."""
        channels, height, width = shape
        patch = self.patch
        block = mean_square(self.sigma) * self.axes() @ self.axes().T
        place = torch.arange(height * width * channels).view(channels, height // patch, patch, width // patch, patch)
        members = place.permute(1, 3, 0, 2, 4).reshape(-1, channels * patch * patch)
        total = matrix.clone()
        for member in members:
            total[member[:, None], member[None, :]] += block
        return total
