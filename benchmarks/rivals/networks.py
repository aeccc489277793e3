"""The networks of the others: those that ssl_bench builds, of the layers that torch and timm have."""

from __future__ import annotations

from typing import Any, TypeVar

from torch import nn

from benchmarks.cases import Case, config_of
from ssl_bench.backbones import make_backbone
from ssl_bench.backbones.base import Backbone
from ssl_bench.backbones.linear import OneDNNLinear
from ssl_bench.data.images import ImageData

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def backbone_of(case: Case, data: ImageData) -> Backbone:
    """The backbone of a case, as torch and timm have it."""
    return with_usual_layers(make_backbone(config_of(case).backbone, case.image_size, data.channels))


def with_usual_layers(module: ModuleT) -> ModuleT:
    """The module itself, without ssl_bench's own way to compute a linear layer; weights and their names stay."""
    for layer in module.modules():
        if type(layer) is OneDNNLinear:
            changed: Any = layer
            changed.__class__ = nn.Linear
    return module
