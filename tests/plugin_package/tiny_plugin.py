"""A third-party package with one of everything: what a plug-in of ssl_bench looks like."""

import torch
from torch import nn

from ssl_bench.backbones.cnn import CNNBackbone
from ssl_bench.config import Options
from ssl_bench.data.images import ImageData, Split
from ssl_bench.data.source import Source
from ssl_bench.noise.base import Noise
from ssl_bench.objectives.base import Objective, StepOutput


class TinyOptions(Options):
    """Options of the objective."""

    scale: float = 1.0


class TinyObjective(Objective):
    """Predict the mean pixel."""

    options_model = TinyOptions
    default_noise = "gaussian(sigma=0.1)"

    def __init__(self, backbone, options, noise):
        super().__init__(backbone)
        self.options, self.noise = options, noise
        self.head = nn.Linear(backbone.info.dim, 1)

    @classmethod
    def build(cls, backbone, options, given):
        return cls(backbone, options, given.noise)

    def step(self, batch, generator):
        clean = batch.views[0]
        guess = self.head(self.backbone(self.noise.sample(clean, generator)).embedding)[:, 0]
        return StepOutput(self.options.scale * (guess - clean.mean((1, 2, 3))).square().mean())


def build_tiny(config, image_size, channels):
    """One convolution."""
    return CNNBackbone(nn.Conv2d(channels, 4, 3, stride=2), config, image_size, channels, {})


class TinyDataset(Source):
    """Random pixels."""

    samples: int = 100

    def load(self, roots, *, download):
        images = torch.randint(
            0, 256, (self.samples, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
        )
        split = Split(images, torch.arange(self.samples) % 2)
        return ImageData("tiny_dataset", split, split, 2)


class TinyNoise(Noise):
    """A shift."""

    shift: float

    def sample(self, images, generator):
        return images + self.shift

    def second_map(self, matrix, shape):
        return matrix + self.shift**2


def sevens(measurement):
    """Seven, for each band."""
    return [7.0] * len(measurement.targets.basis.bands)
