"""Encoders of timm, by name."""

from __future__ import annotations

import inspect
import math
from typing import Any

import timm
import torch
from timm.data import resolve_model_data_config
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from ssl_bench.config import EncoderConfig
from ssl_bench.data.images import ImageData
from ssl_bench.encoders.encoder import Encoder
from ssl_bench.encoders.matching import Match
from ssl_bench.encoders.preprocessing import Preprocessing, make_preprocessing
from ssl_bench.encoders.resnets import adapt_stem, renamings
from ssl_bench.encoders.weights import Loaded, Weights
from ssl_bench.errors import UserError, did_you_mean


class TimmEncoder(Encoder):
    """A timm model without its classifier.

    The embedding is what the model gives its classifier. Blocks are those of ``forward_intermediates``: the blocks of a
    ViT, or a CNN's stages, the stem the first of them.
    """

    def __init__(self, name: str, network: nn.Module, prepare: Preprocessing, notes: tuple[str, ...] = ()) -> None:
        super().__init__(name, network, prepare, notes)
        self.prefix = int(getattr(network, "num_prefix_tokens", 0) or 0)
        self.has_class_token = self.prefix > 0 and getattr(network, "cls_token", None) is not None
        if hasattr(network, "forward_intermediates"):
            self.layers = len(getattr(network, "feature_info", None) or ())

    def embed(self, inputs: Tensor) -> Tensor:
        """See :meth:`Encoder.embed`."""
        embedding: Tensor = self.network(inputs)
        return embedding.flatten(1)

    def spatial(self, inputs: Tensor) -> Tensor:
        """See :meth:`Encoder.spatial`. The final normalisation is applied."""
        features = self.network.forward_features(inputs)
        if not isinstance(features, Tensor) or features.dim() not in (3, 4):
            raise UserError(f"{self.name} gives no map or tokens: use feature_point=embedding")
        width = self.network.num_features
        channels_last = features.dim() == 4 and features.shape[1] != width and features.shape[-1] == width
        return features.permute(0, 3, 1, 2) if channels_last else features

    def after_layer(self, inputs: Tensor, layer: int) -> Tensor:
        """See :meth:`Encoder.after_layer`. The final normalisation acts at the end only."""
        read = self.network.forward_intermediates
        how: dict[str, Any] = {"indices": [layer - 1], "stop_early": True, "intermediates_only": True}
        if self.prefix and "return_prefix_tokens" in inspect.signature(read).parameters:
            how |= {"return_prefix_tokens": True, "output_fmt": "NLC"}
        (features,) = read(inputs, **how)
        return features if isinstance(features, Tensor) else torch.cat(features[::-1], dim=1)


def open_timm(
    target: str, config: EncoderConfig, data: ImageData, weights: Weights | None
) -> tuple[TimmEncoder, Loaded | None]:
    """A timm model by its target ``timm:NAME``, with timm's preprocessing for it.

    Raises: UserError for an unknown name, an image size it cannot take, or weights that do not fit.
    """
    name = target.removeprefix("timm:")
    if not timm.is_model(name):
        raise UserError(f"unknown timm model {name!r}; {did_you_mean(name, timm.list_models())}")
    network = _create(target, name, config.image_size)
    own = resolve_model_data_config(network)
    size: tuple[int, int] = tuple(own["input_size"][1:])
    loaded: Loaded | None = None
    notes: tuple[str, ...] = ()
    if weights is not None:
        match = weights.match(network, renamings(network))
        patching = _patching(network, weights, match, config.image_size)
        if patching:
            network = _create(target, name, patching["img_size"], patch_size=patching["patch_size"])
            size = (patching["img_size"], patching["img_size"])
            notes = (f"patches of {patching['patch_size']} px as in the weights",)
        notes += (stem := adapt_stem(network, weights, match))
        if patching or stem:
            match = weights.match(network, renamings(network))
        size = (data.image_size, data.image_size) if stem else size
        loaded = weights.load(network, match, target)
    prepare = make_preprocessing(
        target, config, data, own["input_size"][0], size, own["mean"], own["std"], own["interpolation"]
    )
    return TimmEncoder(target, network, prepare, notes), loaded


def _create(target: str, name: str, image_size: int | None, **settings: int) -> Any:
    """A model without its classifier; architectures of one fixed image size are built for the one asked for."""
    try:
        published = timm.models.get_pretrained_cfg(name)
        if image_size is not None and published is not None and published.fixed_input_size:
            settings["img_size"] = image_size
        network = timm.create_model(name, pretrained=False, num_classes=0, **settings)
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        size = f" for images of {image_size} px" if image_size else ""
        raise UserError(f"{target} cannot be built{size}: {error}") from error
    patch = getattr(getattr(network, "patch_embed", None), "patch_size", None)
    if image_size is not None and patch is not None and image_size % int(patch[0]):
        raise UserError(f"image_size={image_size}: {target} cuts images in patches of {patch[0]} px: give a multiple")
    return network


def _patching(network: Any, weights: Weights, match: Match, image_size: int | None) -> dict[str, int]:
    """The patch and the image size a ViT was trained with, from the shapes of its weights.

    Nothing if they are those of the network, or cannot be told: then the weights do not fit, and loading says so.
    """
    if not isinstance(network, VisionTransformer) or network.pos_embed is None:
        return {}
    places = [match.place(key) for key in ("patch_embed.proj.weight", "pos_embed")]
    kernel, positions = (weights.tensors[place].shape if place is not None else () for place in places)
    if len(kernel) != 4 or len(positions) != 3:
        return {}
    embed = network.patch_embed
    patches = positions[1] - (network.pos_embed.shape[1] - embed.num_patches)
    side = math.isqrt(max(patches, 0))
    if side == 0 or side**2 != patches:
        return {}
    found = {"patch_size": int(kernel[-1]), "img_size": image_size or side * int(kernel[-1])}
    there = {"patch_size": int(embed.patch_size[0]), "img_size": int(embed.img_size[0])}
    return {} if found == there else found
