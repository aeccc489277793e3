"""The Objective protocol."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from torch import Generator, Tensor, nn

from ssl_bench.backbones.base import Backbone, BackboneInfo
from ssl_bench.config import Options
from ssl_bench.data.images import ImageData
from ssl_bench.noise.base import Noise
from ssl_bench.targets.base import Target


@dataclass(frozen=True)
class Views:
    """How many views of an image an objective trains on, and by which recipe unless the user names another."""

    count: int = 1
    recipe: Literal["none", "crop", "simclr"] = "none"


@dataclass(frozen=True)
class Batch:
    """One step's data on the device.

    ``progress`` is the share of training that is done, 0 to 1: what a scheduled noise goes by.

    Shapes: views ``(V, B, C, H, W)``, standardised; labels ``(B,)``, which only a supervised objective may read.
    """

    views: Tensor
    labels: Tensor
    progress: float = 0.0


@dataclass(frozen=True)
class StepOutput:
    """The loss to minimise, and numbers to log (detached scalars on the device)."""

    loss: Tensor
    metrics: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Given:
    """What an objective is built with beside its backbone and its own options.

    ``noise`` is there for an objective that takes one (``default_noise``), ``target`` for one that ``takes_target`` and
    was given one; both are prepared with the dataset. ``classes`` is the number of labels.
    """

    classes: int
    noise: Noise | None = None
    target: Target | None = None


class NoOptions(Options):
    """An objective without options."""


class Objective(nn.Module):
    """What is added to a backbone to train it: heads and a loss.

    What is evaluated is always the bare backbone on the clean image; nothing here is seen by a probe. A third-party
    objective subclasses this and is named in the entry-point group ``ssl_bench.objectives``.

    Class attributes:
        options_model: the objective's own settings, ``objective.KEY=VALUE``.
        views: the views it wants. With recipe ``none`` it takes no ``views`` settings.
        default_noise: the spec used when ``noise`` is not given; ``None`` if it takes no ``noise`` at all.
        takes_target: whether what its loss asks for can be weighted (``target=SPEC``).
        trains: ``False`` for a baseline that is only initialised.
        fixed_backbone: the registered backbone it replaces the user's with, if any.
    """

    options_model: ClassVar[type[Options]] = NoOptions
    views: ClassVar[Views] = Views()
    default_noise: ClassVar[str | None] = None
    takes_target: ClassVar[bool] = False
    trains: ClassVar[bool] = True
    fixed_backbone: ClassVar[str | None] = None

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    @classmethod
    @abstractmethod
    def build(cls, backbone: Backbone, options: Options, given: Given) -> Objective:
        """The objective on a backbone: its heads, freshly initialised from torch's global generator."""

    @classmethod
    def unsupported(cls, info: BackboneInfo) -> str | None:
        """Why this objective cannot train that backbone and what to use instead; ``None`` if it can."""
        return None

    def prepare(self, data: ImageData) -> None:
        """Look once at the training images before step 0. Most objectives need not."""

    @abstractmethod
    def step(self, batch: Batch, generator: Generator) -> StepOutput:
        """The loss of one batch; everything random is drawn from ``generator``.

        Under several processes ``batch`` is this one's share, and gradients are averaged over them: the loss is a mean
        over images, or sees the others' by ``processes.from_all``. The generator is the same everywhere; what is drawn
        goes through ``processes.share().drawn`` or ``Noise.sample_share``, or images of different processes would meet
        the same draws.
        """

    def forward(self, step: Callable[[], StepOutput]) -> tuple[Tensor, dict[str, Tensor]]:
        """Run a step of this objective inside whatever wraps it to share weights or gradients. Loss and metrics."""
        output = step()
        return output.loss, output.metrics

    def corrupt(self, images: Tensor, progress: float, generator: Generator) -> Tensor:
        """What the encoder is shown of standardised images while it trains: the images themselves, unless it says so.

        Shapes: ``(B, C, H, W)`` to the same.
        """
        return images

    def reconstruct(self, images: Tensor) -> Tensor | None:
        """What the objective makes of *clean* standardised images; ``None`` if it reconstructs nothing.

        Shapes: ``(B, C, H, W)`` to the same.
        """
        return None

    def classify(self, images: Tensor) -> Tensor | None:
        """Scores of the objective's own classifier for *clean* standardised images; ``None`` if it has none.

        Shapes: ``(B, C, H, W)`` -> ``(B, K)``, the largest score at the class it answers.
        """
        return None
