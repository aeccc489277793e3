"""Stationary noise with a power-law spectrum: white, pink, brown, blue, violet."""

import torch
from pydantic import Field
from torch import Generator, Tensor

from ssl_bench.noise.base import Noise


class PowerLaw(Noise):
    """``power_law(alpha, sigma)``: power spectrum proportional to f^-alpha, variance ``sigma``^2 a pixel.

    f is the radial frequency in cycles per pixel; no power at f = 0; channels are independent. alpha = 0 is white, 1
    pink, 2 brown, -1 blue, -2 violet; a large alpha leaves only the lowest frequencies.
    """

    alpha: float = Field(allow_inf_nan=False)
    sigma: float = Field(ge=0, allow_inf_nan=False)

    def sample(self, images: Tensor, generator: Generator) -> Tensor:
        """See :meth:`Noise.sample`."""
        height, width = images.shape[-2:]
        white = torch.randn(images.shape, generator=generator, device=images.device, dtype=torch.float32)
        gain = amplitude(height, width, self.alpha).to(images.device)
        shaped = torch.fft.irfft2(torch.fft.rfft2(white) * gain, s=(height, width))
        return images + self.sigma * shaped.to(images.dtype)


def amplitude(height: int, width: int, alpha: float) -> Tensor:
    """The filter that turns white noise of unit variance into power-law noise of unit variance.

    The mean of the squared filter over the *full* frequency plane is one (Parseval), so every pixel has variance one.

    Returns: ``(H, W // 2 + 1)``, the half plane of ``rfft2``.
    """
    rows = torch.fft.fftfreq(height, dtype=torch.float64)[:, None]
    columns = torch.fft.fftfreq(width, dtype=torch.float64)[None, :]
    frequency = torch.sqrt(rows**2 + columns**2)
    power = torch.where(frequency > 0, frequency, 1.0) ** -alpha
    power[0, 0] = 0.0
    gain = torch.sqrt(power * power.numel() / power.sum())
    return gain[:, : width // 2 + 1].float()
