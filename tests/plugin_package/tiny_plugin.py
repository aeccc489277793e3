"""A third-party package with one of everything: what a plug-in of ssl_bench looks like."""

import torch
from pydantic import PrivateAttr
from torch import nn

from ssl_bench.backbones.cnn import CNNBackbone
from ssl_bench.config import Options
from ssl_bench.data.images import ImageData, Split
from ssl_bench.data.source import Source
from ssl_bench.evaluation.probe import Answer, Probe
from ssl_bench.noise.base import Noise
from ssl_bench.objectives.base import Objective, StepOutput
from ssl_bench.processes import share
from ssl_bench.targets.base import Target


class TinyOptions(Options):
    """Options of the objective."""

    scale: float = 1.0


class TinyObjective(Objective):
    """Predict the mean pixel."""

    options_model = TinyOptions
    default_noise = "gaussian(sigma=0.1)"
    takes_target = True

    def __init__(self, backbone, options, given):
        super().__init__(backbone)
        self.options, self.noise, self.target = options, given.noise, given.target
        self.head = nn.Linear(backbone.info.dim, 1)

    @classmethod
    def build(cls, backbone, options, given):
        return cls(backbone, options, given)

    def step(self, batch, generator):
        clean = batch.views[0]
        noisy = self.noise.sample_share(clean, generator, share())
        guess = self.head(self.backbone(noisy).embedding)[:, 0]
        asked = clean if self.target is None else self.target.ask(clean)
        return StepOutput(self.options.scale * (guess - asked.mean((1, 2, 3))).square().mean())


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


class TinyTarget(Target):
    """The image about its mean, unweighted."""

    _mean: torch.Tensor = PrivateAttr(default_factory=lambda: torch.zeros(0))

    def prepare(self, data):
        fitted = self.model_copy()
        fitted._mean = data.standardised_mean.float()
        return fitted

    def ask(self, images):
        return images - self._mean

    def undo(self, made):
        return made + self._mean

    def weight_map(self, shape):
        return torch.eye(shape[0] * shape[1] * shape[2], dtype=torch.float64)


def sevens(measurement):
    """Seven, for each band."""
    return [7.0] * len(measurement.targets.basis.bands)


def nearest_mean(task):
    """The class whose mean is nearest."""
    means = torch.stack([task.train[task.labels == label].mean(0) for label in range(task.classes)])
    return Answer(torch.cdist(task.test, means).argmin(1))


NEAREST_MEAN = Probe("nearest_mean/1", nearest_mean)
