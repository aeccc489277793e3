"""Synthetic images whose spectrum and class signal are known exactly: the calibration standard of every spectral tool.

Powers follow one convention: ``E|fft2(x, norm="ortho")|^2`` for each frequency of ``np.fft.fftfreq``, so that the mean
over the frequency plane is the variance of a pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ssl_bench.config import LARGEST_IMAGE
from ssl_bench.data.images import ImageData, Split
from ssl_bench.data.source import Source
from ssl_bench.errors import UserError
from ssl_bench.memory import available_memory

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

PIXEL_MEAN, PIXEL_STD = 127.5, 36.0
_TEMPLATES, _TRAIN, _TEST = range(3)
_CHUNK_VALUES = 2**21


class Spectral(Source):
    """``sqrt(1 - share) * background + sqrt(share) * signal``, of variance one a pixel.

    The background is a Gaussian random field of power 1/f^``gamma`` (none at f = 0), the same for all classes. The
    signal lies in ``band``, in cycles per pixel (f = 0 and the two Nyquist frequencies on the axes, which have no
    conjugate partner, belong to no band):

    - ``texture``: class c is the set of frequencies whose orientation is nearest to pi c / ``classes``, at equal
      amplitudes and with independent random phases in every image. The mean of every class is zero, so that no linear
      function of the pixels tells the classes apart.
    - ``template``: every class has one fixed pattern; the patterns of the classes are orthogonal in each channel.

    Channels are independent. Pixels are ``127.5 + 36 x``, rounded and clipped to 0..255; clipping starts at 3.5
    standard deviations. ``seed`` belongs to the data and has nothing to do with the seed of a training run.
    """

    classes: int = Field(8, ge=2)
    size: int = Field(32, ge=4, le=LARGEST_IMAGE)
    channels: int = Field(1, ge=1)
    band: tuple[float, float] = (0.2, 0.35)
    share: float = Field(0.15, ge=0, lt=1)
    gamma: float = Field(2.0, allow_inf_nan=False)
    samples: int = Field(4000, ge=2)
    test_samples: int = Field(1000, ge=1)
    signal: Literal["template", "texture"] = "texture"
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _check_ranges(self) -> Spectral:
        low, high = self.band
        if not 0 <= low < high <= 0.5:
            raise ValueError(f"band = {list(self.band)}: must be two frequencies with 0 <= low < high <= 0.5")
        if self.samples < self.classes:
            raise ValueError(f"samples = {self.samples}: must be at least the number of classes, {self.classes}")
        return self

    def load(self, roots: Sequence[Path], *, download: bool) -> ImageData:
        """See :meth:`Source.load`; nothing is looked for or fetched."""
        self._check_memory()
        train = _make_split(self, self.samples, np.random.default_rng([self.seed, _TRAIN]))
        test = _make_split(self, self.test_samples, np.random.default_rng([self.seed, _TEST]))
        details: dict[str, object] = {"pixel_mean": PIXEL_MEAN, "pixel_std": PIXEL_STD}
        return ImageData("spectral", train, test, self.classes, details)

    def _check_memory(self) -> None:
        """Raises: UserError if the images, or the planes of frequencies they are made from, need more than is free."""
        plane = self.channels * self.size**2
        needed = (self.samples + self.test_samples) * plane + 8 * (self.classes + 8) * plane
        free = available_memory()
        if free is not None and needed > free:
            raise UserError(
                f"dataset 'spectral': {self.samples + self.test_samples:,} images of {self.channels} x {self.size} x "
                f"{self.size} need {needed / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB of memory are free: ask for less"
            )


def background_power(options: Spectral) -> Floats:
    """Power of the background, of variance one before it is scaled by ``1 - share``. Shapes: ``(H, W)``."""
    frequency, _, _ = _frequencies(options.size)
    inside = frequency > 0
    logarithm = -options.gamma * np.log(frequency[inside])
    power = np.zeros_like(frequency)
    power[inside] = np.exp(logarithm - logarithm.max())  # relative to the largest: no overflow for any gamma
    power /= power.mean()
    return power


def signal_power(options: Spectral) -> Floats:
    """Power of the signal, of variance one before it is scaled by ``share``; mean over classes and channels.

    Shapes: ``(H, W)``.

    Raises: UserError if the band cannot carry the classes.
    """
    if options.signal == "template":
        power: Floats = (np.abs(np.fft.fft2(templates(options), norm="ortho")) ** 2).mean((0, 1))
        return power
    wedges = class_bands(options).astype(np.float64)
    mixture: Floats = (wedges / wedges.mean((1, 2), keepdims=True)).mean(0)
    return mixture


def total_power(options: Spectral) -> Floats:
    """Power of the images before quantisation; its mean over the plane is one. Shapes: ``(H, W)``.

    Raises: UserError if the band cannot carry the classes.
    """
    return (1 - options.share) * background_power(options) + options.share * signal_power(options)


def second_moment(options: Spectral) -> Floats:
    """``E[x x^T]`` of the flattened images before quantisation, in the order C, H, W; its trace is D.

    No mean is taken off: with ``texture`` it is zero, with ``template`` it is the mean of the patterns.

    Shapes: ``(D, D)``, D = C H W.

    Raises: UserError if the band cannot carry the classes.
    """
    stationary = total_power(options) if options.signal == "texture" else background_power(options)
    moment = np.kron(np.eye(options.channels), _circulant(stationary)).astype(np.float64, copy=False)
    if options.signal == "texture":
        return moment
    patterns = templates(options).reshape(options.classes, -1)
    signal: Floats = patterns.T @ patterns / options.classes
    return (1 - options.share) * moment + options.share * signal


def band_mask(options: Spectral) -> Mask:
    """The frequencies that may carry signal. Shapes: ``(H, W)``."""
    frequency, rows, columns = _frequencies(options.size)
    low, high = options.band
    paired = (frequency > 0) & (rows != -0.5) & (columns != -0.5)
    # Frequencies are multiples of 1/size: a limit typed as one of them must include it, whatever the rounding.
    mask: Mask = paired & (frequency >= low - 1e-9) & (frequency <= high + 1e-9)
    return mask


def class_bands(options: Spectral) -> Mask:
    """The frequencies of every class of ``texture``: disjoint, and together the whole band. Shapes: ``(K, H, W)``.

    Raises: UserError if a class has none.
    """
    _, rows, columns = _frequencies(options.size)
    upper = _upper_half(options.size)
    # A frequency and its conjugate must fall in the same class: both take the angle of the upper one.
    angle = np.arctan2(np.where(upper, rows, -rows), np.where(upper, columns, -columns))
    nearest = np.floor(angle * options.classes / np.pi + 0.5).astype(int) % options.classes
    wedges: Mask = band_mask(options) & (nearest == np.arange(options.classes)[:, None, None])
    for label, wedge in enumerate(wedges):
        if not wedge.any():
            raise UserError(
                f"dataset.band = {list(options.band)} has no frequency of class {label} of {options.classes} at "
                f"{options.size} pixels: widen the band, enlarge dataset.size or take fewer dataset.classes"
            )
    return wedges


def templates(options: Spectral) -> Floats:
    """The patterns of ``template``: variance one each, orthogonal in each channel. Shapes: ``(K, C, H, W)``.

    Raises: UserError if the band has fewer dimensions than there are classes.
    """
    half = band_mask(options) & _upper_half(options.size)
    dimensions = 2 * int(half.sum())
    if dimensions < options.classes:
        raise UserError(
            f"dataset.band = {list(options.band)} has {dimensions} dimensions at {options.size} pixels, fewer than "
            f"{options.classes} classes: widen the band, enlarge dataset.size or take fewer dataset.classes"
        )
    rng = np.random.default_rng([options.seed, _TEMPLATES])
    patterns = np.empty((options.classes, options.channels, options.size, options.size))
    for channel in range(options.channels):
        # Columns of Q are orthonormal coordinates in the band's cosines and sines.
        q, _ = np.linalg.qr(rng.standard_normal((dimensions, options.classes)))
        real, imaginary = np.split(q.T * options.size, 2, axis=1)
        patterns[:, channel] = _synthesise(half, (real + 1j * imaginary) / np.sqrt(2))
    return patterns


def draw(options: Spectral, labels: NDArray[np.int64], rng: Generator) -> Floats:
    """Images before quantisation, one for each label. Shapes: labels ``(N,)`` -> ``(N, C, H, W)``.

    Raises: UserError if the band cannot carry the classes.
    """
    shape = (len(labels), options.channels, options.size, options.size)
    white = np.fft.rfft2(rng.standard_normal(shape))
    gain = np.sqrt(background_power(options))[:, : white.shape[-1]]
    background: Floats = np.fft.irfft2(white * gain, s=shape[2:])
    signal = templates(options)[labels] if options.signal == "template" else _draw_texture(options, labels, rng)
    images: Floats = np.sqrt(1 - options.share) * background + np.sqrt(options.share) * signal
    return images


def _draw_texture(options: Spectral, labels: NDArray[np.int64], rng: Generator) -> Floats:
    signal = np.empty((len(labels), options.channels, options.size, options.size))
    upper = _upper_half(options.size)
    for label, wedge in enumerate(class_bands(options)):
        members = labels == label
        half = wedge & upper
        pairs = int(half.sum())
        phases = rng.uniform(0, 2 * np.pi, (int(members.sum()), options.channels, pairs))
        signal[members] = _synthesise(half, options.size / np.sqrt(2 * pairs) * np.exp(1j * phases))
    return signal


def _make_split(options: Spectral, count: int, rng: Generator) -> Split:
    labels = rng.permutation(np.arange(count, dtype=np.int64) % options.classes)
    pixels = np.empty((count, options.channels, options.size, options.size), dtype=np.uint8)
    chunk = max(1, _CHUNK_VALUES // (options.channels * options.size**2))
    for start in range(0, count, chunk):
        images = draw(options, labels[start : start + chunk], rng)
        pixels[start : start + chunk] = np.clip(np.rint(PIXEL_MEAN + PIXEL_STD * images), 0, 255)
    return Split(torch.from_numpy(pixels), torch.from_numpy(labels))


def _synthesise(half: Mask, coefficients: NDArray[np.complex128]) -> Floats:
    """Real images from one coefficient (norm "ortho") of every conjugate pair.

    Shapes: half ``(H, W)`` with M frequencies, coefficients ``(..., M)`` -> ``(..., H, W)``.
    """
    spectrum = np.zeros((*coefficients.shape[:-1], *half.shape), dtype=np.complex128)
    # The real part of a one-sided spectrum holds half of each coefficient on either side, hence the 2.
    spectrum[..., half] = 2 * coefficients
    images: Floats = np.fft.ifft2(spectrum, norm="ortho").real
    return images


def _frequencies(size: int) -> tuple[Floats, Floats, Floats]:
    """Radial, vertical and horizontal frequency in cycles per pixel. Shapes: ``(H, W)``, ``(H, 1)``, ``(1, W)``."""
    axis: Floats = np.fft.fftfreq(size).astype(np.float64)
    rows, columns = axis[:, None], axis[None, :]
    return np.hypot(rows, columns), rows, columns


def _upper_half(size: int) -> Mask:
    """One frequency of every conjugate pair. Shapes: ``(H, W)``."""
    _, rows, columns = _frequencies(size)
    half: Mask = (rows > 0) | ((rows == 0) & (columns > 0))
    return half


def _circulant(power: Floats) -> Floats:
    """Covariance of a stationary field from its power. Shapes: ``(H, W)`` -> ``(H W, H W)``."""
    height, width = power.shape
    covariance: Floats = np.fft.ifft2(power).real
    down = (np.arange(height)[:, None] - np.arange(height)) % height
    across = (np.arange(width)[:, None] - np.arange(width)) % width
    block: Floats = covariance[down[:, None, :, None], across[None, :, None, :]]
    return block.reshape(height * width, height * width)
