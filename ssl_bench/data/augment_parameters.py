"""What a view may look like (the recipe), and the draw of one set of parameters per image.

Drawing and applying (:mod:`ssl_bench.data.augment`) are apart, so that applying is pure: a test can feed the same
parameters to torchvision, and a resumed run repeats its views. Nothing here waits for the device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

import torch
from torch import Generator, Tensor

from ssl_bench.config import ViewsConfig
from ssl_bench.errors import UserError, did_you_mean

RecipeName = Literal["none", "crop", "simclr"]

# Up to this side the SimCLR paper (appendix B.9, CIFAR-10) halves the colour distortion and leaves the blur out.
SMALL_IMAGE = 64
CROP_TRIES = 10
BLUR_SIGMA = (0.1, 2.0)
# Of strength s, SimCLR's s: brightness, contrast and saturation move by 0.8 s, hue by 0.2 s turns.
COLOUR_REACH = 0.8
HUE_REACH = 0.2


@dataclass(frozen=True)
class Recipe:
    """Which random changes make a view; every value resolved. Probabilities are per view, 0 leaves the stage out.

    Attributes:
        crop_scale: Least and largest share of the image's area in the crop; None for no crop.
        crop_ratio: Least and largest width / height of the crop.
        shift: Largest move in pixels, up or down and left or right, the image reflected at its border; no resampling.
        flip: Probability of mirroring left and right.
        jitter: Probability of colour jitter (brightness, contrast, saturation, hue in random order).
        jitter_strength: SimCLR's *s*.
        grayscale: Probability of dropping the colours.
        blur: Probability of Gaussian blur, its sigma uniform in 0.1 .. 2 pixels, its kernel a tenth of the image.
        solarize: Probability of inverting the pixels of at least 128 / 255.

    Raises: UserError for values no image can be cropped or jittered by.
    """

    crop_scale: tuple[float, float] | None = None
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    shift: int = 0
    flip: float = 0.0
    jitter: float = 0.0
    jitter_strength: float = 0.0
    grayscale: float = 0.0
    blur: float = 0.0
    solarize: float = 0.0

    def __post_init__(self) -> None:
        if self.crop_scale is not None and not 0 < self.crop_scale[0] <= self.crop_scale[1] <= 1:
            raise UserError(
                f"views.crop_scale = {list(self.crop_scale)}: the least and the largest share of the image's area, "
                "0 < least <= largest <= 1, such as [0.2, 1]"
            )
        if not 0 < self.crop_ratio[0] <= self.crop_ratio[1]:
            raise UserError(f"crop_ratio = {list(self.crop_ratio)}: must be 0 < least <= largest")
        for name in ("flip", "jitter", "grayscale", "blur", "solarize"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"views.{name} = {getattr(self, name)}: a probability, from 0 to 1")
        if self.shift < 0:
            raise UserError(f"views.shift = {self.shift}: pixels, 0 or more")
        strongest = 0.5 / HUE_REACH
        if not 0 <= self.jitter_strength <= strongest:
            raise UserError(
                f"views.jitter_strength = {self.jitter_strength}: must be from 0 to {strongest}, "
                "where the hue already goes all the way round"
            )

    @property
    def is_identity(self) -> bool:
        """Whether every view is the image itself."""
        chances = (self.flip, self.jitter, self.grayscale, self.blur, self.solarize)
        return self.crop_scale is None and not self.shift and not any(chances)


def recipe_for(name: RecipeName, image_size: int) -> Recipe:
    """A named recipe for square images of ``image_size`` pixels.

    ``none`` is the image itself; ``crop`` is masked autoencoding's random resized crop and flip (He et al. 2022);
    ``simclr`` is Chen et al. 2020, in its CIFAR-10 variant up to 64 pixels.

    Raises: UserError for another name.
    """
    small = image_size <= SMALL_IMAGE
    strength = 0.5 if small else 1.0
    if name == "none":
        return Recipe(jitter_strength=strength)
    if name == "crop":
        return Recipe(crop_scale=(0.2, 1.0), flip=0.5, jitter_strength=strength)
    if name == "simclr":
        return Recipe(
            crop_scale=(0.08, 1.0),
            flip=0.5,
            jitter=0.8,
            jitter_strength=strength,
            grayscale=0.2,
            blur=0.0 if small else 0.5,
        )
    raise UserError(f"unknown views.recipe {name!r}; {did_you_mean(name, get_args(RecipeName))}")


def resolve_recipe(config: ViewsConfig, default: RecipeName, image_size: int) -> Recipe:
    """The recipe a configuration asks for: its named one, else ``default``, under the values it sets itself.

    Raises: UserError for values out of range.
    """
    recipe = recipe_for(config.recipe or default, image_size)
    known = {field.name for field in fields(Recipe)}
    given = {key: value for key, value in config.model_dump(include=known).items() if value is not None}
    recipe = replace(recipe, **given)
    if recipe.shift >= image_size:
        raise UserError(f"views.shift = {recipe.shift}: must be less than the image size, {image_size}")
    # On square images the rule below ends at the whole image anyway: the way to say "no crop" over a named recipe.
    return replace(recipe, crop_scale=None) if recipe.crop_scale == (1.0, 1.0) else recipe


@dataclass(frozen=True, eq=False)
class JitterParameters:
    """Colour jitter. Operations are numbered brightness 0, contrast 1, saturation 2, hue 3.

    Shapes: chosen bool ``(B,)``, factors ``(B, 4)`` by operation, order int64 ``(B, 4)``: the operation at each place.
    """

    chosen: Tensor
    factors: Tensor
    order: Tensor


@dataclass(frozen=True, eq=False)
class BlurParameters:
    """Gaussian blur. Shapes: chosen bool ``(B,)``, sigma ``(B,)`` in pixels."""

    chosen: Tensor
    sigma: Tensor


@dataclass(frozen=True, eq=False)
class ViewParameters:
    """What happens to each image; None where it happens to none. Masks are bool ``(B,)``.

    Shapes: shift int64 ``(B, 2)``: rows down, columns right; crop int64 ``(B, 4)``: top, left, height, width in pixels.
    """

    shift: Tensor | None = None
    crop: Tensor | None = None
    flip: Tensor | None = None
    jitter: JitterParameters | None = None
    grayscale: Tensor | None = None
    blur: BlurParameters | None = None
    solarize: Tensor | None = None

    def rows(self, index: Tensor) -> ViewParameters:
        """The parameters of some of the views. Shapes: int64 ``(n,)``."""
        chosen: ViewParameters = _rows(self, index)
        return chosen


def _rows(parameters: Any, index: Tensor) -> Any:
    """Of parameters, tensors or none: the same with the rows chosen."""
    if parameters is None:
        return None
    if isinstance(parameters, Tensor):
        return parameters.index_select(0, index)
    return replace(parameters, **{one.name: _rows(getattr(parameters, one.name), index) for one in fields(parameters)})


def sample_parameters(recipe: Recipe, count: int, image_size: tuple[int, int], generator: Generator) -> ViewParameters:
    """Parameters of ``count`` views, independent of each other, on the generator's device.

    Args:
        recipe: What may happen.
        count: Number of views B.
        image_size: Height and width in pixels.
        generator: The only source of randomness; the same state gives the same parameters.
    """
    return ViewParameters(
        shift=_sample_shift(recipe.shift, count, generator),
        crop=_sample_crop(recipe, count, image_size, generator),
        flip=_chosen(recipe.flip, count, generator),
        jitter=_sample_jitter(recipe, count, generator),
        grayscale=_chosen(recipe.grayscale, count, generator),
        blur=_sample_blur(recipe, count, generator),
        solarize=_chosen(recipe.solarize, count, generator),
    )


def _sample_crop(recipe: Recipe, count: int, image_size: tuple[int, int], generator: Generator) -> Tensor | None:
    """The rule of torchvision for all images at once: ten tries, the first that fits, else the centre. ``(B, 4)``."""
    if recipe.crop_scale is None:
        return None
    height, width = image_size
    area = height * width * _uniform(recipe.crop_scale, (count, CROP_TRIES), generator)
    narrow, broad = recipe.crop_ratio
    ratio = _uniform((math.log(narrow), math.log(broad)), (count, CROP_TRIES), generator).exp()
    corner = _uniform((0.0, 1.0), (count, 2), generator)
    tall, wide = (area / ratio).sqrt().round(), (area * ratio).sqrt().round()
    fits = (tall > 0) & (tall <= height) & (wide > 0) & (wide <= width)
    first = fits.to(torch.uint8).argmax(1, keepdim=True)
    central_tall, central_wide = _central_crop(recipe.crop_ratio, height, width)
    found = fits.any(1)
    tall = torch.where(found, tall.gather(1, first).squeeze(1), central_tall)
    wide = torch.where(found, wide.gather(1, first).squeeze(1), central_wide)
    # A uniform number below 1 times n rounds to less than n in float32, so the corner needs no clamp.
    top = torch.where(found, (corner[:, 0] * (height - tall + 1)).floor(), (height - central_tall) // 2)
    left = torch.where(found, (corner[:, 1] * (width - wide + 1)).floor(), (width - central_wide) // 2)
    return torch.stack((top, left, tall, wide), 1).long()


def _sample_shift(reach: int, count: int, generator: Generator) -> Tensor | None:
    if reach == 0:
        return None
    return torch.randint(-reach, reach + 1, (count, 2), generator=generator, device=generator.device)


def _central_crop(ratio: tuple[float, float], height: int, width: int) -> tuple[int, int]:
    """Height and width of the largest central crop whose width / height is within ``ratio``."""
    if width / height < ratio[0]:
        return round(width / ratio[0]), width
    if width / height > ratio[1]:
        return height, round(height * ratio[1])
    return height, width


def _sample_jitter(recipe: Recipe, count: int, generator: Generator) -> JitterParameters | None:
    chosen = _chosen(recipe.jitter, count, generator)
    if chosen is None or recipe.jitter_strength == 0:
        return None
    reach = COLOUR_REACH * recipe.jitter_strength
    turn = HUE_REACH * recipe.jitter_strength
    colours = _uniform((max(0.0, 1 - reach), 1 + reach), (count, 3), generator)
    hue = _uniform((-turn, turn), (count, 1), generator)
    order = _uniform((0.0, 1.0), (count, 4), generator).argsort(1)
    return JitterParameters(chosen, torch.cat((colours, hue), 1), order)


def _sample_blur(recipe: Recipe, count: int, generator: Generator) -> BlurParameters | None:
    chosen = _chosen(recipe.blur, count, generator)
    return None if chosen is None else BlurParameters(chosen, _uniform(BLUR_SIGMA, (count,), generator))


def _chosen(probability: float, count: int, generator: Generator) -> Tensor | None:
    """Which images a stage acts on, bool ``(B,)``; None where it can act on none."""
    return _uniform((0.0, 1.0), (count,), generator) < probability if probability > 0 else None


def _uniform(limits: tuple[float, float], shape: tuple[int, ...], generator: Generator) -> Tensor:
    low, high = limits
    return low + (high - low) * torch.rand(shape, generator=generator, device=generator.device)
