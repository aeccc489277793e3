"""Names of what is measured of bands: the bases, the quantities with a half-time, and what they are called in words."""

from __future__ import annotations

BASES = ("pca", "patch_pca", "radial", "dct")
# The quantities whose order over bands is a question about learning, each with the key of its half-time.
HALF_TIMES = {"relative_error": "half_time", "decodability": "decodability_half_time"}
BASIS_NAMES = {
    "pca": "principal components",
    "patch_pca": "principal components of patches",
    "radial": "radial Fourier bands",
    "dct": "bands of the cosine transform",
}
QUANTITY_NAMES = {"relative_error": "error of the reconstructions", "decodability": "decodability from the embedding"}
