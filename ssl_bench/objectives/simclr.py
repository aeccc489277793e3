"""SimCLR: two views of an image attract, views of different images repel."""

from __future__ import annotations

from itertools import product
from typing import Self

import torch
from lightly.models.modules.heads import SimCLRProjectionHead
from pydantic import Field
from torch import Generator, Tensor
from torch.nn import functional

from ssl_bench.backbones.base import Backbone
from ssl_bench.config import MOST, Options
from ssl_bench.objectives.base import Batch, Given, Objective, StepOutput, Views
from ssl_bench.processes import from_all, rank


class SimCLROptions(Options):
    """Temperature of the loss, and the projection head, which is thrown away after training."""

    temperature: float = Field(0.5, gt=0)
    hidden_dim: int = Field(256, ge=1, le=MOST)
    output_dim: int = Field(128, ge=1, le=MOST)


class SimCLR(Objective):
    """Chen et al., "A Simple Framework for Contrastive Learning" (arXiv 2002.05709).

    lightly's projection head. Both views go through the backbone in one forward, so that batch statistics, where a
    backbone has them, are those of both.
    """

    options_model = SimCLROptions
    views = Views(count=2, recipe="simclr")

    def __init__(self, backbone: Backbone, options: SimCLROptions) -> None:
        super().__init__(backbone)
        self.head = SimCLRProjectionHead(backbone.info.dim, options.hidden_dim, options.output_dim)
        self.temperature = options.temperature

    @classmethod
    def build(cls, backbone: Backbone, options: Options, given: Given) -> Self:
        """See :meth:`Objective.build`."""
        assert isinstance(options, SimCLROptions)
        return cls(backbone, options)

    def step(self, batch: Batch, generator: Generator) -> StepOutput:
        """See :meth:`Objective.step`."""
        first, second = self.head(self.backbone(batch.views.flatten(0, 1)).embedding).chunk(2)
        return StepOutput(nt_xent(first, second, self.temperature))


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of finding an image's other view among all other views, by cosine similarity; in float32.

    Under several processes the others' views are among them: what comes back is the mean over the own images, and the
    mean of it over the processes is the loss of the whole batch.

    lightly's ``NTXentLoss`` to the bit. There a mask leaves out the similarity of each view with itself, and asks the
    device how many numbers are left; here they are left out by where they lie.

    Shapes: ``(B, D)`` each, of at least two images -> scalar.
    """
    with torch.autocast(first.device.type, enabled=False):
        first, second = (functional.normalize(views.float(), dim=1) for views in (first, second))
        # In lightly's order, which is that in which gradients are added up.
        pairs = product((first, second), (from_all(first), from_all(second)))
        similar = [torch.einsum("nc,mc->nm", these, those) / temperature for these, those in pairs]
        in_first, across, back, in_second = similar
        start = rank() * len(first)
        in_first, in_second = _without_itself(in_first, start), _without_itself(in_second, start)
        rows = torch.cat([torch.cat([across, in_first], dim=1), torch.cat([back, in_second], dim=1)])
        return functional.cross_entropy(rows, (start + torch.arange(len(first), device=first.device)).repeat(2))


def _without_itself(similar: Tensor, start: int) -> Tensor:
    """Each row without the similarity of a view with itself, ``start`` places right of the diagonal.

    Shapes: ``(B, N)`` -> ``(B, N - 1)``.
    """
    rows, columns = similar.shape
    flat = similar.flatten()
    # Between two of them lie as many others as a row has, less one for each, plus the step to the next row.
    between = flat[start + 1 : start + 1 + (rows - 1) * (columns + 1)].view(rows - 1, columns + 1)[:, :-1]
    kept = torch.cat([flat[:start], between.flatten(), flat[start + 1 + (rows - 1) * (columns + 1) :]])
    return kept.view(rows, columns - 1)
