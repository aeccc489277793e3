"""The handwritten digits that come with scikit-learn: a real dataset without a download."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ssl_bench.data.arrays import to_split
from ssl_bench.data.images import ImageData
from ssl_bench.data.source import Source

TEST_SAMPLES = 360


class Digits(Source):
    """1,797 digits of 8 x 8 pixels, ten classes; 1,437 to train on and 360 to test on, stratified, always the same.

    The original values 0..16 become 0..255.
    """

    def load(self, roots: Sequence[Path], *, download: bool) -> ImageData:
        """See :meth:`Source.load`; nothing is looked for or fetched."""
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        digits = load_digits()
        images = np.rint(digits.images * 255 / 16).astype(np.uint8)
        labels = digits.target
        order = np.arange(len(labels))
        parts = train_test_split(order, test_size=TEST_SAMPLES, stratify=labels, random_state=0)
        train, test = (to_split(images[np.sort(part)], labels[np.sort(part)]) for part in parts)
        return ImageData("digits", train, test, classes=10)
