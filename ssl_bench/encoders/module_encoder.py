"""Encoders of one's own: ``module:callable``, imported from the current directory or from an installed package."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from ssl_bench.backbones.feature_point import pool_spatial
from ssl_bench.config import EncoderConfig
from ssl_bench.data.images import ImageData
from ssl_bench.encoders.encoder import Encoder
from ssl_bench.encoders.preprocessing import Preprocessing, make_preprocessing
from ssl_bench.encoders.weights import Loaded, Weights
from ssl_bench.errors import UserError, did_you_mean


class ModuleEncoder(Encoder):
    """What a callable returned: images ``(B, C, H, W)`` to embeddings ``(B, D)``, tokens ``(B, N, D)`` or maps.

    Tokens and maps are averaged over positions to make the embedding.
    """

    users_code = True

    def __init__(self, name: str, network: nn.Module, prepare: Preprocessing, notes: tuple[str, ...] = ()) -> None:
        super().__init__(name, network, prepare, notes)
        self.brings_weights = bool(getattr(network, "trained", True))

    def embed(self, inputs: Tensor) -> Tensor:
        """See :meth:`Encoder.embed`."""
        features = self._features(inputs)
        return features if features.dim() == 2 else pool_spatial(features, self.prefix, "mean", self.name)

    def spatial(self, inputs: Tensor) -> Tensor:
        """See :meth:`Encoder.spatial`."""
        features = self._features(inputs)
        if features.dim() == 2:
            raise UserError(f"{self.name} gives embeddings, no map or tokens: use feature_point=embedding")
        return features

    @torch.no_grad()
    def note_pooling(self, images: Tensor) -> None:
        """Note whether the embedding is an average, as what it makes of an image shows."""
        dimensions = self.eval()._features(self._inputs(images)).dim()
        kinds = {3: "the embedding is the mean of the tokens", 4: "the embedding is the mean of the map"}
        self.notes = (kinds[dimensions],) if dimensions in kinds else ()

    def _features(self, inputs: Tensor) -> Tensor:
        features = call(self.name, lambda: self.network(inputs))
        if not isinstance(features, Tensor) or features.dim() not in (2, 3, 4) or len(features) != len(inputs):
            shape = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
            raise UserError(
                f"{self.name} made {shape} of images {tuple(inputs.shape)}: "
                "an encoder returns a tensor (B, D), tokens (B, N, D) or maps (B, C, h, w)"
            )
        return features


class Function(nn.Module):
    """A plain function as a module without weights."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function
        self.trained = getattr(function, "trained", True)

    def forward(self, images: Tensor) -> Any:
        """Whatever the function returns."""
        return self.function(images)


def open_module(
    target: str, config: EncoderConfig, data: ImageData, weights: Weights | None
) -> tuple[ModuleEncoder, Loaded | None]:
    """What the callable of a target ``module:callable`` returns when it is called without arguments.

    It is given images in 0..1 (unless ``mean`` and ``std`` say otherwise) of their own size (unless ``image_size``
    does). A grey image is repeated where its first convolution takes more channels.

    Raises: UserError if it cannot be imported, if its code raises anything, or weights do not fit.
    """
    made = call(target, _find(target))
    if not callable(made):
        raise UserError(
            f"{target} returned {type(made).__name__}: it has to return an nn.Module or a function of images"
        )
    network = made if isinstance(made, nn.Module) else Function(made)
    loaded = None
    if weights is not None:
        if not network.state_dict():
            raise UserError(f"weights {weights.file}: {target} returned nothing that has weights: leave weights out")
        loaded = weights.load(network, weights.match(network), target)
    first = next((part for part in network.modules() if isinstance(part, nn.Conv2d)), None)
    prepare = make_preprocessing(target, config, data, first.in_channels if first is not None else data.channels)
    encoder = ModuleEncoder(target, network, prepare)
    encoder.note_pooling(data.standardised(data.train.images[:1]))
    return encoder, loaded


def call(target: str, run: Callable[[], Any]) -> Any:
    """Run code of the user's.

    Raises: UserError for whatever it raises, with the target and the exception in one line.
    """
    try:
        return run()
    except Exception as error:  # not ours: anything can come out of it
        raise UserError(f"{target} failed: {type(error).__name__}: {error}") from error


def _find(target: str) -> Callable[[], Any]:
    """The callable a target names.

    Raises: UserError if there is no such module, if it does not import, or has no such callable.
    """
    name, _, attribute = target.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # behind installed packages, so that no file here takes the place of one
    module = call(target, lambda: _import(name))
    if isinstance(module, ModuleNotFoundError):
        raise UserError(f"{target}: there is no module {module.name!r} here or among what is installed") from module
    found = getattr(module, attribute, None)
    if not callable(found):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise UserError(f"{target}: {name} has no callable {attribute!r}; {did_you_mean(attribute, known)}")
    result: Callable[[], Any] = found
    return result


def _import(name: str) -> ModuleType | ModuleNotFoundError:
    """A module, or the error if it is itself what is not there; what it imports in vain is its own failure."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            return error
        raise
