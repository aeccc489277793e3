"""Noise distributions: one text form, one file a family, seeded and batched.

A noise corrupts the input of a denoising objective or makes the views of a contrastive one. It acts on *standardised*
images, so that a strength means the same on every dataset. Importing this package imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ssl_bench.config import validate
from ssl_bench.registry import Entry, Registry
from ssl_bench.spec import Spec, parse_spec

if TYPE_CHECKING:
    from ssl_bench.noise.base import Noise

_HOME = "ssl_bench.noise"

NOISES: Registry[type[Noise]] = Registry(
    "noise",
    {
        name: Entry(f"{_HOME}.{target}", summary)
        for name, target, summary in [
            ("band", "band:Band", "equal power in a ring of frequencies: band(low, high, sigma)"),
            ("block_mask", "mask:BlockMask", "one square set to zero: block_mask(size)"),
            ("blur", "linear:Blur", "Gaussian blur: blur(sigma)"),
            ("channel_mask", "mask:ChannelMask", "whole channels set to zero: channel_mask(ratio)"),
            ("color_mask", "color_mask:ColorMask", "thresholded filtered noise: color_mask(color, ratio)"),
            ("compose", "combine:Compose", "one noise after another: compose(parts=[...])"),
            ("downsample", "linear:Downsample", "means of squares: downsample(factor)"),
            ("frequency_mask", "linear:FrequencyMask", "low or high frequencies kept: frequency_mask(cutoff, keep)"),
            ("gaussian", "gaussian:Gaussian", "white noise: gaussian(sigma)"),
            ("mask", "mask:Mask", "whole patches set to zero: mask(ratio, patch)"),
            ("mixture", "combine:Mixture", "one of several noises an image: mixture(parts=[...], weights=[...])"),
            ("notch", "band:Notch", "equal power outside a ring of frequencies: notch(low, high, sigma)"),
            ("oriented", "oriented:Oriented", "stripes: oriented(angle, width, alpha, sigma)"),
            ("patch_pca", "pca:PatchPCA", "noise in top components of patches: patch_pca(patch, components, sigma)"),
            ("pca", "pca:PCANoise", "one variance a band of principal components: pca(gains=[...])"),
            ("pca_mask", "pca:PCAMask", "principal components set to zero: pca_mask(ratio)"),
            ("power_law", "power_law:PowerLaw", "stationary noise with power ~ f^-alpha: power_law(alpha, sigma)"),
            ("schedule", "combine:Schedule", "one noise turning into another: schedule(from, to)"),
            ("speckle", "speckle:Speckle", "multiplicative noise: speckle(sigma)"),
            ("spectrum", "spectrum:Spectrum", "one variance a ring of frequencies: spectrum(gains=[...])"),
        ]
    },
)


def make_noise(text: str) -> Noise:
    """The noise a spec names: ``power_law(alpha=1, sigma=0.3)``.

    Raises: UserError for an unknown name, an unknown or ill-typed argument, or text that is no spec.
    """
    return from_spec(parse_spec(text))


def from_spec(spec: Spec) -> Noise:
    """The noise of a parsed spec; its parts, where it has any, are noises too.

    Raises: UserError as :func:`make_noise` does.
    """
    return validate(NOISES.get(spec.name), spec.arguments, f"noise '{spec}'")


def canonical(text: str) -> str:
    """The one way to write a noise: validated values, in the order of its fields, ``sigma`` last.

    Raises: UserError as :func:`make_noise` does.
    """
    return str(_canonical(parse_spec(text)))


def _canonical(spec: Spec) -> Spec:
    validated = from_spec(spec).model_dump(exclude_unset=True, by_alias=True)
    order = sorted(validated, key=lambda key: key == "sigma")
    # An argument that was not given came from a file: a list of numbers.
    given = {key: spec.arguments.get(key, []) for key in order}
    return Spec(spec.name, {key: _value(given[key], validated[key]) for key in order})


def _value(given: Any, validated: Any) -> Any:
    """A spec, or a list of specs, by its own canonical form; anything else as it was validated."""
    if isinstance(given, Spec):
        return _canonical(given)
    if isinstance(given, list) and any(isinstance(item, Spec) for item in given):
        return [_value(item, item) for item in given]
    return list(validated) if isinstance(given, list) else validated
