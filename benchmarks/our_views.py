"""ssl_bench as a contestant: views, as the loop makes them."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from benchmarks.cases import Steps
from benchmarks.contest import Work
from benchmarks.made import made_images
from ssl_bench.data.augment_parameters import Recipe
from ssl_bench.data.views import make_views, render


def views(recipe: Recipe, image_size: int, batch: int, device: str, turn: float, compiled: bool = False) -> Work:
    """Two views of each image of a batch, from uint8 images on the device."""
    data = made_images(batch, size=image_size)
    images, statistics = data.train.images.to(device), data.statistics
    generator = Generator(device).manual_seed(0)
    rendered = torch.compile(render, dynamic=False, fullgraph=True) if compiled else render

    def step() -> Tensor:
        return make_views(images, 2, recipe, statistics, None, generator, render=rendered).flatten()[0]

    return Steps(step, 2 * batch, turn)
