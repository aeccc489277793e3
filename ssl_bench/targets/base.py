"""The Target protocol."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Self

from pydantic import Field
from torch import Tensor

from ssl_bench.config import Options
from ssl_bench.data.images import ImageData
from ssl_bench.noise.strength import STRONGEST

# How much an error in a band costs, relative to other bands.
Weight = Annotated[float, Field(ge=0, le=STRONGEST**2)]


class Target(Options):
    """What the loss asks for in place of the image: A (x - m), m the mean training image, A a fixed linear map.

    Its fields are the arguments of its spec. With squared error, asking for A x weights the error of x by A^T A: a
    weight w on a direction multiplies its score as theory counts it. Weights are relative: A is scaled so that target
    and image have the same variance, and a learning rate means the same for both.
    """

    @abstractmethod
    def prepare(self, data: ImageData) -> Self:
        """A copy fitted to a dataset: its mean image, its components, the scale."""

    @abstractmethod
    def ask(self, images: Tensor) -> Tensor:
        """A (x - m). Shapes: standardised images ``(B, C, H, W)`` to the same."""

    @abstractmethod
    def undo(self, made: Tensor) -> Tensor:
        """The image whose target this is; where the weight is zero nothing was asked, and the mean is the answer.

        Shapes: ``(B, C, H, W)`` to the same, standardised.
        """

    @abstractmethod
    def weight_map(self, shape: tuple[int, int, int]) -> Tensor:
        """A^T A. Shapes: ``(D, D)`` float64, D = C H W."""

    def diagonal(self, variances: Tensor, components: Tensor) -> Tensor | None:
        """The weight of each principal component, where A^T A is diagonal in them; else ``None``.

        Shapes: variances ``(R,)``, components ``(D, R)`` -> ``(R,)`` float64.
        """
        return None
