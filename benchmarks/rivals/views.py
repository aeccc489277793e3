"""How the others make SimCLR's views: per sample from PIL images or tensors, or a batch at a time.

All of one recipe: crop, flip, colour jitter (p = 0.8), grey (p = 0.2), above 64 px blur (p = 0.5), then standardised.
Each starts from uint8 pixels in memory, since that is where ssl_bench starts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.cases import Steps
from benchmarks.contest import Work
from benchmarks.made import made_images

SCALE, SIGMAS = (0.08, 1.0), (0.1, 2.0)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def lightly(image_size: int, batch: int, turn: float) -> Work:
    """Two views a call of lightly's transform."""
    from benchmarks.rivals.lightly_step import simclr_transform

    transform, pixels = simclr_transform(image_size), _pixels(image_size, batch)

    def make() -> Tensor:
        views = [transform(Image.fromarray(array)) for array in pixels]
        return _first(views[0][0])

    return Steps(make, 2 * batch, turn)


def torchvision_pil(image_size: int, batch: int, turn: float) -> Work:
    """The first transforms of torchvision, on PIL images."""
    from torchvision import transforms as library

    transform, pixels = _composed(library, [library.ToTensor()], image_size), _pixels(image_size, batch)

    def make() -> Tensor:
        images = (Image.fromarray(array) for array in pixels)
        views = [(transform(image), transform(image)) for image in images]
        return _first(views[0][0])

    return Steps(make, 2 * batch, turn)


def torchvision_tensor(image_size: int, batch: int, turn: float) -> Work:
    """The second transforms of torchvision, a uint8 tensor at a time: for a batch they draw one set of parameters."""
    from torchvision.transforms import v2 as library

    to_float = [library.ToDtype(torch.float32, scale=True)]
    transform, images = _composed(library, to_float, image_size), made_images(batch, size=image_size).train.images

    def make() -> Tensor:
        views = [(transform(image), transform(image)) for image in images]
        return _first(views[0][0])

    return Steps(make, 2 * batch, turn)


def kornia(image_size: int, batch: int, turn: float, device: str) -> Work:
    """Augmentations of kornia, eager, of both views in one batch."""
    import kornia.augmentation as library

    reach, turn_of_hue = _jitter(image_size)
    blur = [library.RandomGaussianBlur((_kernel(image_size),) * 2, SIGMAS, p=0.5)] if _blurs(image_size) else []
    transform = torch.nn.Sequential(
        library.RandomResizedCrop((image_size, image_size), scale=SCALE),
        library.RandomHorizontalFlip(p=0.5),
        library.ColorJitter(reach, reach, reach, turn_of_hue, p=0.8),
        library.RandomGrayscale(p=0.2),
        *blur,
        library.Normalize(torch.tensor(MEAN), torch.tensor(STD)),
    ).to(device)
    images = made_images(batch, size=image_size).train.images.to(device)
    return Steps(lambda: _first(transform(images.repeat(2, 1, 1, 1).float() / 255)), 2 * batch, turn)


def stable_pretraining(image_size: int, batch: int, turn: float, device: str) -> Work:
    """stable-pretraining's transforms of collated batches, both views stacked; compiled where it compiles them."""
    from stable_pretraining.data import gpu_transforms as library

    reach, turn_of_hue = _jitter(image_size)
    chain = [
        library.GPURandomResizedCrop(image_size, scale=SCALE),
        library.GPURandomHorizontalFlip(p=0.5),
        library.GPUColorJitter(reach, reach, reach, turn_of_hue, p=0.8),
        library.GPURandomGrayscale(p=0.2),
    ]
    if _blurs(image_size):
        chain.append(library.GPUGaussianBlur(_kernel(image_size), SIGMAS, p=0.5))
    views = library.StackedMultiView(library.GPUCompose([*chain, library.GPUNormalize(MEAN, STD)])).to(device)
    images = made_images(batch, size=image_size).train.images.to(device)
    return Steps(lambda: _first(views({"image": images.float() / 255})["views"][0]["image"]), 2 * batch, turn)


def _composed(library: Any, to_float: list[Any], image_size: int) -> Callable[[Any], Tensor]:
    """The recipe in either of torchvision's two libraries."""
    reach, turn_of_hue = _jitter(image_size)
    blurring = [library.GaussianBlur(_kernel(image_size), SIGMAS)]
    transform: Callable[[Any], Tensor] = library.Compose(
        [
            library.RandomResizedCrop(image_size, scale=SCALE),
            library.RandomHorizontalFlip(p=0.5),
            library.RandomApply([library.ColorJitter(reach, reach, reach, turn_of_hue)], p=0.8),
            library.RandomGrayscale(p=0.2),
            *([library.RandomApply(blurring, p=0.5)] if _blurs(image_size) else []),
            *to_float,
            library.Normalize(MEAN, STD),
        ]
    )
    return transform


def _jitter(image_size: int) -> tuple[float, float]:
    """How far brightness, contrast and saturation move, and the hue."""
    strength = 0.5 if image_size <= 64 else 1.0
    return 0.8 * strength, 0.2 * strength


def _blurs(image_size: int) -> bool:
    return image_size > 64


def _kernel(image_size: int) -> int:
    """A tenth of the image, odd."""
    return image_size // 10 // 2 * 2 + 1


def _pixels(image_size: int, batch: int) -> list[np.ndarray[Any, Any]]:
    return list(made_images(batch, size=image_size).train.images.permute(0, 2, 3, 1).contiguous().numpy())


def _first(view: Tensor) -> Tensor:
    """A scalar of what was made: all of it had to be."""
    return view.flatten()[0]
