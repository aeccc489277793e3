"""Targets weighted by radial frequency: a convolution, which needs no principal components."""

from __future__ import annotations

from abc import abstractmethod
from typing import Self

import torch
from pydantic import Field, PrivateAttr, model_validator
from torch import Tensor

from ssl_bench.data.frequency import radial_frequency
from ssl_bench.data.images import ImageData
from ssl_bench.errors import UserError
from ssl_bench.noise.stationary import circulant, ring_index
from ssl_bench.targets.base import Target, Weight


class Rings(Target):
    """A is a filter with periodic borders, sqrt w(f) at each frequency, the same in every channel."""

    _mean: Tensor | None = PrivateAttr(default=None)
    _scale: float = PrivateAttr(default=1.0)
    # On the device, by what and where: brought there at each step, an accelerator would be waited for.
    _placed: dict[tuple[object, ...], Tensor] = PrivateAttr(default_factory=dict)

    @abstractmethod
    def weights(self, height: int, width: int) -> Tensor:
        """One weight a frequency, any scale, on the half plane of ``rfft2``. Shapes: ``(H, W // 2 + 1)``, float64."""

    def prepare(self, data: ImageData) -> Self:
        """See :meth:`Target.prepare`.

        Raises: UserError if the training images have nothing of what is asked for.
        """
        fitted = self.model_copy()
        fitted._placed = {}
        fitted._mean = data.standardised_mean
        root = self.weights(data.image_size, data.image_size).sqrt()
        whole = asked = 0.0
        for images in torch.split(data.train.images, 1000):
            centred = data.standardised(images) - fitted._mean.float()
            whole += float(centred.double().square().sum())
            asked += float(_filtered(centred, root).double().square().sum())
        if asked <= 1e-12 * whole:
            raise UserError("the target asks for nothing that the images have")
        fitted._scale = (whole / asked) ** 0.5
        return fitted

    def ask(self, images: Tensor) -> Tensor:
        """See :meth:`Target.ask`."""
        return _filtered(images - self._mean_image(images), self._transfer(images))

    def undo(self, made: Tensor) -> Tensor:
        """See :meth:`Target.undo`."""
        transfer = self._transfer(made)
        inverse = torch.where(transfer > 0, 1 / transfer.clamp(min=1e-30), 0.0)
        return _filtered(made, inverse) + self._mean_image(made)

    def weight_map(self, shape: tuple[int, int, int]) -> Tensor:
        """See :meth:`Target.weight_map`."""
        plane = self._scale**2 * circulant(self.weights(*shape[1:]), *shape[1:])
        return torch.kron(torch.eye(shape[0], dtype=torch.float64), plane)

    def _transfer(self, images: Tensor) -> Tensor:
        key = (*images.shape[-2:], str(images.device))
        if key not in self._placed:
            self._placed[key] = self._scale * self.weights(*images.shape[-2:]).sqrt().to(images.device)
        return self._placed[key]

    def _mean_image(self, images: Tensor) -> Tensor:
        if self._mean is None:
            raise UserError(f"target {type(self).__name__.lower()} is relative to a dataset: prepare it with one first")
        key = (str(images.device), images.dtype)
        if key not in self._placed:
            self._placed[key] = self._mean.to(images.device, images.dtype)
        return self._placed[key]


class Spectrum(Rings):
    """``spectrum(gains=[...])``: one weight a ring of radial frequency, of equal width up to 0.5 cycles per pixel.

    The rings are those of the noise ``spectrum``; the first holds f = 0, the last the corners of the plane.
    """

    gains: tuple[Weight, ...] = Field(min_length=1)

    def weights(self, height: int, width: int) -> Tensor:
        """See :meth:`Rings.weights`."""
        return torch.tensor(self.gains, dtype=torch.float64)[ring_index(height, width, len(self.gains))]


class Band(Rings):
    """``band(low, high)``: only frequencies from ``low`` to ``high``, in cycles per pixel, 0 to 0.5.

    With ``high`` = 0.5 the corners of the plane (up to 0.71) are in: a high-passed target.
    """

    low: float = Field(ge=0, le=0.5)
    high: float = Field(0.5, ge=0, le=0.5)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low={self.low:g} is above high={self.high:g}")
        return self

    def weights(self, height: int, width: int) -> Tensor:
        """See :meth:`Rings.weights`."""
        frequency = radial_frequency(height, width)
        top = torch.inf if self.high == 0.5 else self.high
        return ((frequency >= self.low - 1e-9) & (frequency <= top + 1e-9)).double()


def _filtered(images: Tensor, transfer: Tensor) -> Tensor:
    """Images times a transfer function. Shapes: ``(B, C, H, W)``, ``(H, W // 2 + 1)`` -> ``(B, C, H, W)``."""
    plane = torch.fft.rfft2(images.float()) * transfer.float()
    filtered: Tensor = torch.fft.irfft2(plane, s=images.shape[-2:])
    return filtered.to(images.dtype)
