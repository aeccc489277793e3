"""VICReg (Bardes, Ponce and LeCun, arXiv 2105.04906): views agree, no dimension dies, no two say the same."""

from lightly.models.modules.heads import VICRegProjectionHead
from torch import Generator, Tensor
from torch.nn.functional import mse_loss

from ssl_bench.backbones.base import Backbone
from ssl_bench.config import Options
from ssl_bench.objectives.base import Batch, Given, Objective, StepOutput, Views
from ssl_bench.processes import from_all


class VICReg(Objective):
    """Two views of an image, behind a head that no probe sees."""

    views = Views(count=2, recipe="simclr")

    def __init__(self, backbone: Backbone) -> None:
        super().__init__(backbone)
        self.head = VICRegProjectionHead(backbone.info.dim, 256, 256)

    @classmethod
    def build(cls, backbone: Backbone, options: Options, given: Given) -> "VICReg":
        """See :meth:`Objective.build`."""
        return cls(backbone)

    def step(self, batch: Batch, generator: Generator) -> StepOutput:
        """See :meth:`Objective.step`; 25 and 1 are the paper's weights."""
        both = self.head(self.backbone(batch.views.flatten(0, 1)).embedding).float().chunk(2)
        views = [from_all(view) for view in both]  # statistics are those of the images of all processes
        return StepOutput(25 * mse_loss(*views) + sum(map(regularity, views)))


def regularity(view: Tensor) -> Tensor:
    """Deviations below 1 (25 / 2 for each view), and covariances between dimensions. Shapes: ``(B, D)`` -> scalar."""
    centred = view - view.mean(0)
    covariance = centred.T @ centred / (len(view) - 1)
    spread = (1 - (covariance.diagonal() + 1e-4).sqrt()).relu().mean()
    return 12.5 * spread + (covariance.square().sum() - covariance.diagonal().square().sum()) / len(covariance)
