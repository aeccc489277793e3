"""Noise distributions: one text form, one file a family, seeded and batched.

A noise corrupts the input of a denoising objective or makes the views of a contrastive one. It acts on *standardised*
images, so that a strength means the same on every dataset. Importing this package imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssl_bench.config import validate
from ssl_bench.registry import Entry, Registry
from ssl_bench.spec import Spec, parse_spec

if TYPE_CHECKING:
    from ssl_bench.noise.base import Noise

NOISES: Registry[type[Noise]] = Registry(
    "noise",
    {
        "gaussian": Entry("ssl_bench.noise.gaussian:Gaussian", "white noise: gaussian(sigma)"),
        "power_law": Entry(
            "ssl_bench.noise.power_law:PowerLaw", "stationary noise with power ~ f^-alpha: power_law(alpha, sigma)"
        ),
        "band": Entry("ssl_bench.noise.band:Band", "stationary noise in a ring of frequencies: band(low, high, sigma)"),
        "mask": Entry("ssl_bench.noise.mask:Mask", "whole patches set to zero: mask(ratio, patch)"),
    },
)


def make_noise(text: str) -> Noise:
    """The noise a spec names: ``power_law(alpha=1, sigma=0.3)``.

    Raises: UserError for an unknown name, an unknown or ill-typed argument, or text that is no spec.
    """
    spec = parse_spec(text)
    return validate(NOISES.get(spec.name), spec.arguments, f"noise {text!r}")


def canonical(text: str) -> str:
    """The one way to write a noise: validated values, in the order of its fields.

    Raises: UserError as :func:`make_noise` does.
    """
    return str(Spec(parse_spec(text).name, make_noise(text).model_dump(exclude_unset=True)))
