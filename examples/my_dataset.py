"""Dead leaves: opaque shapes that fall on one another until nothing else is seen, as in images of nature."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import Field

from ssl_bench.data.arrays import to_split
from ssl_bench.data.images import ImageData, Split
from ssl_bench.data.source import Source


class DeadLeaves(Source):
    """Lee, Mumford and Huang (2001): radii follow r^-3. The class is the leaves' form: diamond, disk, square."""

    size: int = Field(16, ge=4, le=256)
    leaves: int = Field(100, ge=1)
    samples: int = Field(900, ge=3)
    test_samples: int = Field(300, ge=3)

    def load(self, roots: Sequence[Path], *, download: bool) -> ImageData:
        """See :meth:`Source.load`; always the same images, and others to test on than to train on."""
        train, test = self._fall(self.samples, seed=0), self._fall(self.test_samples, seed=1)
        return ImageData("dead_leaves", train, test, classes=3)

    def _fall(self, count: int, seed: int) -> Split:
        rng, labels = np.random.default_rng(seed), np.arange(count) % 3
        rows, columns = np.mgrid[: self.size, : self.size]
        images = np.zeros((count, self.size, self.size), np.uint8)
        area = np.sqrt([2, np.pi, 4])[labels, None, None]  # so that leaves of one radius cover as much, whatever form
        for _ in range(self.leaves):
            across, down = rng.uniform(0, self.size, (2, count, 1, 1))
            radius = self.size / 10 / np.sqrt(rng.uniform(0.02, 1, (count, 1, 1))) / area
            x, y = abs(columns - across) / radius, abs(rows - down) / radius
            inside = np.choose(labels[:, None, None], [x + y, np.hypot(x, y), np.maximum(x, y)]) < 1
            images = np.where(inside, rng.integers(0, 256, (count, 1, 1), dtype=np.uint8), images)
        return to_split(images, labels)
