"""The views an objective trains on, as the configuration has them."""

from __future__ import annotations

import torch
from torch import Generator

from ssl_bench.config import Config
from ssl_bench.data.images import ImageData, Split
from ssl_bench.data.views import make_views, render, resolve_recipe
from ssl_bench.noise import make_noise
from ssl_bench.objectives.base import Batch, Objective
from ssl_bench.processes import share
from ssl_bench.training.compiling import SETTINGS


class ViewMaker:
    """Makes the views a configuration asks for, on the device the images are on.

    ``compiled`` is for accelerators: a CPU works on the images that a change concerns, which is no one graph.
    """

    def __init__(self, config: Config, objective: Objective, data: ImageData, compiled: bool) -> None:
        self.count = objective.views.count
        self.recipe = resolve_recipe(config.views, objective.views.recipe, data.image_size)
        self.noise = make_noise(config.views.noise).prepare(data) if config.views.noise else None
        self.statistics = data.statistics
        self.render = torch.compile(render, fullgraph=True, **SETTINGS) if compiled else render

    def batch(self, images: Split, progress: float, generator: Generator) -> Batch:
        """Views of this process's images and their labels, at a point of training from 0 to 1."""
        noise = self.noise.at(progress) if self.noise is not None else None
        views = make_views(
            images.images,
            self.count,
            self.recipe,
            self.statistics,
            noise,
            generator,
            render=self.render,
            share=share(),
        )
        return Batch(views, images.labels, progress)
