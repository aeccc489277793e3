"""ResNets of timm and torchvision as other projects save and alter them."""

from __future__ import annotations

from timm.models.resnet import ResNet as TimmResNet
from torch import nn
from torchvision.models.resnet import ResNet as TorchvisionResNet

from ssl_bench.backbones.timm_models import adapt_resnet
from ssl_bench.encoders.matching import Match, Renaming
from ssl_bench.encoders.weights import Weights

# lightly's own ResNet, for small images, writes its blocks' shortcuts so.
SHORTCUT = {"shortcut": "downsample"}
STAGES = ("layer1", "layer2", "layer3", "layer4")
LIGHTLY = Renaming(
    "numbered parts of lightly's ResNetGenerator: nn.Sequential(*list(resnet.children())[:-1])",
    first={str(index): part for index, part in enumerate(("conv1", "bn1", *STAGES))},
    anywhere=SHORTCUT,
)


def renamings(network: nn.Module) -> tuple[Renaming, ...]:
    """How files write a ResNet's keys beside the library's own way; nothing for other networks.

    lightly's examples save ``nn.Sequential(*list(resnet.children())[:-1])``, whose parts have numbers for names.
    """
    if not isinstance(network, TimmResNet | TorchvisionResNet):
        return ()
    children = {str(index): name for index, (name, _) in enumerate(network.named_children())}
    numbered = Renaming("numbered parts: nn.Sequential(*list(resnet.children())[:-1])", first=children)
    return numbered, LIGHTLY, Renaming("as in lightly's ResNetGenerator", anywhere=SHORTCUT)


def adapt_stem(network: nn.Module, weights: Weights, match: Match) -> tuple[str, ...]:
    """Give a ResNet the stem its weights were trained with, in place.

    A 3 x 3 stem where the architecture has 7 x 7 is that of small images: stride 1, no max-pool. solo-learn pads it by
    2, others by 1; nothing in the weights tells, so solo-learn's files are recognised by the classifier beside their
    backbone. lightly's numbered ResNetGenerator has lost the activation after the first norm, which was no part.

    Returns: What was done, in words; nothing if the file has the stem of the architecture.
    """
    if not isinstance(network, TimmResNet | TorchvisionResNet):
        return ()
    place = match.place("conv1.weight")
    first = network.conv1
    if place is None or not isinstance(first, nn.Conv2d):
        return ()
    notes = []
    if first.kernel_size != (3, 3) and tuple(weights.tensors[place].shape[2:]) == (3, 3):
        padding = 2 if _is_solo_learn(weights, match) else 1
        adapt_resnet(network)
        network.conv1.padding = (padding, padding)
        notes.append(f"stem as in the weights: 3x3 convolution, stride 1, padding {padding}, no max-pool")
    if match.renaming is LIGHTLY:
        setattr(network, "act1" if isinstance(network, TimmResNet) else "relu", nn.Identity())
        notes.append("no activation after the first norm, as in lightly's numbered ResNetGenerator")
    return tuple(notes)


def _is_solo_learn(weights: Weights, match: Match) -> bool:
    """Whether a Lightning module's weights are solo-learn's: an online ``classifier`` beside the backbone, and a head.

    lightly calls its classifier ``online_classifier``; stable-pretraining keeps probes among its callbacks.
    """
    parts = {key.partition(".")[0] for key in weights.tensors}
    heads = {"projector", "momentum_projector", "head", "decoder", "prototypes", "predictor"}
    return match.prefix in ("backbone.", "encoder.") and "classifier" in parts and bool(parts & heads)
