"""Encoders of torchvision, by name."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torchvision import models
from torchvision.models.resnet import ResNet
from torchvision.models.swin_transformer import SwinTransformer
from torchvision.models.vision_transformer import VisionTransformer

from ssl_bench.config import EncoderConfig
from ssl_bench.data.images import ImageData
from ssl_bench.encoders.encoder import Encoder, output_of
from ssl_bench.encoders.preprocessing import Preprocessing, make_preprocessing
from ssl_bench.encoders.resnets import STAGES, adapt_stem, renamings
from ssl_bench.encoders.weights import Loaded, Weights
from ssl_bench.errors import UserError, did_you_mean

CHANNELS = 3
CLASSIFIERS = ("fc", "classifier", "head", "heads")
# Two have further classifiers inside, for training only.
WITHOUT_AUXILIARIES = {"googlenet", "inception_v3"}


class TorchvisionEncoder(Encoder):
    """A torchvision model whose last linear layer is gone; the embedding is what that layer was given.

    Blocks are layer1 to layer4 of a ResNet, the layers of a ViT's encoder, or the parts of ``features``.
    """

    def __init__(self, name: str, network: nn.Module, prepare: Preprocessing, notes: tuple[str, ...] = ()) -> None:
        super().__init__(name, network, prepare, notes)
        self.layers = len(self._blocks())
        if isinstance(network, VisionTransformer):
            self.prefix, self.has_class_token = 1, True

    def embed(self, inputs: Tensor) -> Tensor:
        """See :meth:`Encoder.embed`."""
        embedding: Tensor = self.network(inputs)
        return embedding.flatten(1)

    def spatial(self, inputs: Tensor) -> Tensor:
        """See :meth:`Encoder.spatial`. The final normalisation of a transformer is applied."""
        last = self._blocks()[-1:]
        if isinstance(self.network, VisionTransformer):
            last = [self.network.encoder]
        elif isinstance(self.network, SwinTransformer):
            last = [self.network.norm]
        if not last:
            raise UserError(f"{self.name} gives no map or tokens: use feature_point=embedding")
        return self._output(last[0], inputs)

    def after_layer(self, inputs: Tensor, layer: int) -> Tensor:
        """See :meth:`Encoder.after_layer`."""
        return self._output(self._blocks()[layer - 1], inputs)

    def _blocks(self) -> list[nn.Module]:
        if isinstance(self.network, ResNet):
            return [getattr(self.network, name) for name in STAGES]
        if isinstance(self.network, VisionTransformer):
            return list(self.network.encoder.layers)
        features = getattr(self.network, "features", None)
        return list(features) if isinstance(features, nn.Sequential) else []

    def _output(self, part: nn.Module, inputs: Tensor) -> Tensor:
        output = output_of(part, lambda: self.network(inputs))
        return output.permute(0, 3, 1, 2) if isinstance(self.network, SwinTransformer) else output


def open_torchvision(
    target: str, config: EncoderConfig, data: ImageData, weights: Weights | None
) -> tuple[TorchvisionEncoder, Loaded | None]:
    """A torchvision classifier by its target ``torchvision:NAME``, with the preprocessing of its default weights.

    Raises: UserError for an unknown name, an image size it cannot take, or weights that do not fit.
    """
    name = target.removeprefix("torchvision:")
    known = models.list_models(module=models)
    if name not in known:
        raise UserError(f"unknown torchvision model {name!r}; {did_you_mean(name, known)}")
    network = _create(target, name, config.image_size)
    own = models.get_model_weights(name).DEFAULT.transforms()
    side = network.image_size if isinstance(network, VisionTransformer) else own.crop_size[0]
    loaded: Loaded | None = None
    stem: tuple[str, ...] = ()
    if weights is not None:
        match = weights.match(network, renamings(network))
        stem = adapt_stem(network, weights, match)
        if stem:
            match, side = weights.match(network, renamings(network)), data.image_size
        loaded = weights.load(network, match, target)
    prepare = make_preprocessing(
        target, config, data, CHANNELS, (side, side), own.mean, own.std, own.interpolation.value
    )
    return TorchvisionEncoder(target, network, prepare, stem), loaded


def _create(target: str, name: str, image_size: int | None) -> Any:
    """A model without its last linear layer; architectures of one fixed image size are built for the one asked for."""
    settings: dict[str, Any] = {}
    if name in WITHOUT_AUXILIARIES:
        settings = {"aux_logits": False, "init_weights": False}
    if image_size is not None and name.startswith("vit_"):
        settings["image_size"] = image_size
    if image_size is not None and name.startswith("maxvit"):
        settings["input_size"] = (image_size, image_size)
    try:
        network = models.get_model(name, weights=None, **settings)
    except (AssertionError, ValueError) as error:
        raise UserError(f"{target} cannot be built for images of {image_size} px: {error}") from error
    _remove_classifier(network)
    return network


def _remove_classifier(network: nn.Module) -> None:
    """Put nothing in place of the last linear layer, or 1 x 1 convolution, of the classifier.

    That is ``fc``, ``classifier``, ``head`` or ``heads``. What stands before the layer there stays: it makes the
    embedding.
    """
    owner = next(name for name in CLASSIFIERS if hasattr(network, name))
    layers = [name for name, part in network.named_modules() if isinstance(part, nn.Linear | nn.Conv2d)]
    last = [name for name in layers if name.split(".")[0] == owner][-1]
    parent, _, name = last.rpartition(".")
    setattr(network.get_submodule(parent), name, nn.Identity())
