"""Image files for the tests of sources that read them."""

import numpy as np
from PIL import Image


def save_image(path, rng, size=(12, 12), mode="RGB"):
    """A file of random pixels, which are returned."""
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = {"RGB": (3,), "L": ()}[mode]
    pixels = rng.integers(0, 256, (size[1], size[0], *channels), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels
