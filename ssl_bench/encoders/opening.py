"""A target and its weights to a Subject."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from ssl_bench.backbones.feature_point import EMBEDDING
from ssl_bench.config import EncoderConfig
from ssl_bench.data.images import ImageData
from ssl_bench.encoders.encoder import Encoder
from ssl_bench.encoders.weights import Loaded, Weights, load_state
from ssl_bench.errors import UserError
from ssl_bench.evaluation.subject import Subject
from ssl_bench.memory import keep_freed_memory
from ssl_bench.seeds import derive_seed, make_generator


def open_encoder(target: str, config: EncoderConfig, data: ImageData) -> Subject:
    """An encoder as something to measure on a dataset.

    Without weights it is untrained, and the same every time. On a GPU if there is one.

    Args:
        target: ``timm:NAME``, ``torchvision:NAME`` or ``module:callable``.
        config: Its weights, and what replaces its own preprocessing.
        data: The images it will be given, standardised.

    Raises: UserError if there is no such encoder, if it cannot take the images, or its weights cannot be read or do
        not fit.
    """
    weights = Weights(config.weights, load_state(config.weights), config.partial) if config.weights else None
    with _fixed_seed():
        encoder, loaded = _open(target, config, data, weights)
    encoder.eval().requires_grad_(False)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    encoder.to(device)
    if device.type == "cpu":
        keep_freed_memory()
    dim = _try(encoder, data)
    return Subject(
        name=target,
        read=encoder.read,
        weights=_fingerprint(encoder, data),
        trained=loaded is not None or encoder.brings_weights,
        transform=encoder.transform,
        trainable=(lambda: _trainable(encoder)) if any(True for _ in encoder.parameters()) else None,
        device=device,
        details=_details(encoder, data, loaded, dim),
    )


def _open(
    target: str, config: EncoderConfig, data: ImageData, weights: Weights | None
) -> tuple[Encoder, Loaded | None]:
    """Each kind of target imports no more than it needs."""
    kind = target.partition(":")[0]
    if kind == "timm":
        from ssl_bench.encoders.timm_encoder import open_timm

        return open_timm(target, config, data, weights)
    if kind == "torchvision":
        from ssl_bench.encoders.torchvision_encoder import open_torchvision

        return open_torchvision(target, config, data, weights)
    from ssl_bench.encoders.module_encoder import open_module

    return open_module(target, config, data, weights)


@contextmanager
def _fixed_seed() -> Iterator[None]:
    """Initial weights that are the same every time, and a global generator that goes on as if nothing had happened."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(0, "encoder"))
        yield


def _try(encoder: Encoder, data: ImageData) -> int:
    """The embedding's dimension, from one image.

    Raises: UserError if the encoder cannot take it.
    """
    image = data.standardised(data.train.images[:1])
    try:
        with torch.no_grad():
            return encoder.read(image, EMBEDDING).shape[1]
    except (AssertionError, RuntimeError, ValueError) as error:
        height, width = encoder.prepare.size or image.shape[-2:]
        raise UserError(f"{encoder.name} cannot take images of {height} x {width} px: {error}") from error


def _trainable(encoder: Encoder) -> Encoder:
    return copy.deepcopy(encoder).requires_grad_(True).train()


def _fingerprint(encoder: Encoder, data: ImageData) -> str:
    """A hash of the weights and of what they are the weights of: 16 hex digits.

    Of a callable of the user's also what it makes of a few images: its code may change while its weights do not.
    """
    digest = hashlib.sha256(encoder.name.encode())
    for key, value in sorted(encoder.network.state_dict().items()):
        if isinstance(value, Tensor):
            digest.update(f"{key} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(_bytes(value))
    if encoder.users_code:
        shape = (4, data.channels, *data.train.images.shape[2:])
        with torch.no_grad():
            images = torch.randn(shape, generator=make_generator(0, "encoder"))
            digest.update(_bytes(encoder.read(images, EMBEDDING)))
    return digest.hexdigest()[:16]


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()


def _details(encoder: Encoder, data: ImageData, loaded: Loaded | None, dim: int) -> dict[str, Any]:
    file = asdict(loaded) if loaded is not None else {}
    return {
        "target": encoder.name,
        "weights_file": file.pop("file", None),
        **file,
        "transform": encoder.transform,
        "input_size": list(encoder.prepare.size or data.train.images.shape[2:]),
        "dim": dim,
    }
