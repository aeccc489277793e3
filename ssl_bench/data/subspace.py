"""Images projected on a subspace of their principal components: what do the large, or the small, directions hold?

The protocol of Balestriero and LeCun 2024 (arXiv 2402.11337, figure 1, first row), with every statistic from the
training images. Each image is divided by its own standard deviation, no mean removed; the mean training image is taken
off; a part of the components is kept; each projected image is divided by its own deviation again, and the mean of the
projected training images is taken off. Pixels are uint8 in memory, here as everywhere: one affine map, the same for all
pixels and images, brings them there, and what that costs is measured and recorded.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ssl_bench.data.cache import cached
from ssl_bench.data.images import ImageData, Split
from ssl_bench.data.levels import choose_levels, chunks, store
from ssl_bench.data.moments import Eigenbasis
from ssl_bench.data.subspace_specs import Random, Side, Subspace, make_subspace
from ssl_bench.errors import UserError
from ssl_bench.seeds import make_generator

# Part of the fingerprint of projected images, and of the names of cached bases: to be raised with the rules.
PROTOCOL = "subspace/1"
# Added to every deviation, of images in 0..1.
EPSILON = 1e-6
# An image that deviates by less than one grey level is even, and has nothing to be divided by: divided by so little it
# would outweigh all others together. It is divided by what pictures commonly have instead.
EVEN, COMMON_DEVIATION = 1 / 255, 0.25
# Variances below this share of the largest are rounding: with float64 the two are eight powers of ten apart.
RANK_TOLERANCE = 1e-12
# The full matrix of second moments, as published: 12,288 dimensions are 64 px in colour, and 1.2 GB.
LARGEST_DIMENSION = 12288


@dataclass(frozen=True)
class ProjectedData(ImageData):
    """Projected images. Their fingerprint is that of the images they were made from, and of how.

    Not of the pixels: eigenvectors differ in the last digits between machines, and a value on the border of two grey
    levels falls to either side. A run is to find its images again on any machine.
    """

    origin: str = ""

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the original images and labels, the subspace and the protocol, 16 hex digits."""
        return hashlib.sha256(self.origin.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Choice:
    """A subspace of the images' own: orthonormal axes ``(D, k)`` float64, and the share of the variance it holds."""

    axes: Tensor
    variance: float


def project(data: ImageData, text: str) -> ImageData:
    """The dataset with all images projected; ``details["subspace"]`` says on what, and what of them is left.

    Args:
        data: The images; only those of training decide anything.
        text: The subspace: ``top(share=0.9)``.

    Raises: UserError for text that is no subspace, or one that these images do not have.
    """
    subspace = make_subspace(text)
    basis = components(data.train.images)
    choice = choose(subspace, basis, text)
    projection = _Projection(basis.mean, _factors(choice.axes), subspace.renormalise)
    values, _ = projection.apply(data.train.images)
    offset = _mean(values) if subspace.renormalise else torch.zeros(values.shape[1])
    levels = choose_levels(values.sub_(offset))
    train = store(values, levels)
    del values
    values, test_variance = projection.apply(data.test.images)
    test = store(values.sub_(offset), levels)
    details = {
        "spec": text,
        "components": choice.axes.shape[1],
        "of": len(basis.variances),
        "nominal": subspace.share if isinstance(subspace, Side) else None,
        "variance": choice.variance,
        "test_variance": test_variance,
        "quantisation": train.noise,
        "clipped": train.clipped,
        "test_clipped": test.clipped,
        "renormalised": subspace.renormalise,
        "levels": [levels.low, levels.high],
        "protocol": PROTOCOL,
        "origin": data.fingerprint,
    }
    return ProjectedData(
        name=data.name,
        train=Split(train.images.view(data.train.images.shape), data.train.labels),
        test=Split(test.images.view(data.test.images.shape), data.test.labels),
        classes=data.classes,
        details={**data.details, "subspace": details},
        origin=f"{data.fingerprint} {PROTOCOL} {text}",
    )


def check_subspace(data: ImageData, text: str) -> None:
    """Whether the dataset can be projected so, without doing it.

    Raises: UserError as :func:`project` does.
    """
    make_subspace(text).count(components(data.train.images).variances, text)


def normalised(images: Tensor) -> Tensor:
    """Each image, in 0..1, divided by its own standard deviation.

    Shapes: uint8 ``(N, C, H, W)`` -> float64 ``(N, D)``.
    """
    flat = images.flatten(1).double() / 255
    deviation = flat.std(1, correction=0, keepdim=True)
    return flat / (torch.where(deviation < EVEN, COMMON_DEVIATION, deviation) + EPSILON)


def components(images: Tensor) -> Eigenbasis:
    """Mean and principal components of normalised training images, kept in the user's cache by the images' content.

    Shapes: uint8 ``(N, C, H, W)``; of the components those that hold any variance are there, largest first.

    Raises: UserError if the images are all alike, or too large.
    """
    dimension = images[0].numel()
    if dimension > LARGEST_DIMENSION:
        raise UserError(
            f"dataset.subspace needs the covariance of all {dimension} pixel values, and more than {LARGEST_DIMENSION} "
            "are too many: choose smaller images"
        )
    content = hashlib.sha256(f"{PROTOCOL} {tuple(images.shape)}".encode())
    for chunk in chunks(images):
        content.update(chunk.contiguous().numpy().data)
    stored = cached(f"subspace_{content.hexdigest()[:16]}", lambda: _compute(images))
    if not len(stored["variances"]):
        raise UserError("dataset.subspace needs training images that differ; these are all alike")
    return Eigenbasis(stored["mean"], stored["variances"], stored["components"])


def choose(subspace: Subspace, basis: Eigenbasis, text: str) -> Choice:
    """The axes a subspace stands for on these images, and the share of the training images' variance they hold.

    A random subspace lies in the span of the images, and is a function of that span, its dimension and its seed.

    Raises: UserError, which names ``text``, if there are not that many components, or none is left.
    """
    if isinstance(subspace, Side):
        kept = subspace.kept(basis.variances, text)
        share = basis.variances[kept].sum() / basis.variances.sum()
        return Choice(basis.components[:, kept].contiguous(), float(share))
    assert isinstance(subspace, Random)
    return _random(basis, subspace.count(basis.variances, text), subspace.seed)


@dataclass(frozen=True)
class _Projection:
    """Normalised, less the mean image, projected, and (or not) divided by its own deviation again."""

    mean: Tensor
    factors: tuple[Tensor, ...]
    renormalise: bool

    def apply(self, images: Tensor) -> tuple[Tensor, float]:
        """Projected images, and the share of their energy about the mean that is left.

        Shapes: uint8 ``(N, C, H, W)`` -> float32 ``(N, D)``; float64 for some images at a time only.
        """
        made = torch.empty(len(images), len(self.mean))
        before = after = 0.0
        for chunk, part in zip(chunks(images), chunks(made), strict=True):
            flat = normalised(chunk) - self.mean
            before += float(flat.square().sum())
            for factor in self.factors:
                flat = flat @ factor
            after += float(flat.square().sum())
            if self.renormalise:
                flat = flat / (flat.std(1, correction=0, keepdim=True) + EPSILON)
            part.copy_(flat)
        return made, after / before if before > 0 else 0.0


def _factors(axes: Tensor) -> tuple[Tensor, ...]:
    """The projector: as two thin factors, or one square one where that is less work."""
    return (axes @ axes.T,) if 2 * axes.shape[1] > axes.shape[0] else (axes, axes.T)


def _random(basis: Eigenbasis, count: int, seed: int) -> Choice:
    """A uniformly random subspace of the images' span."""
    draws = torch.randn(len(basis.mean), count, generator=make_generator(seed, "subspace"), dtype=torch.float64)
    if len(basis.variances) < len(basis.mean):
        # Projected on the span, not combined from the components: their signs are the eigensolver's whim.
        draws = basis.components @ (basis.components.T @ draws)
    axes = torch.linalg.qr(draws)[0]
    held = basis.variances @ (basis.components.T @ axes).square()
    return Choice(axes, float(held.sum() / basis.variances.sum()))


def _compute(images: Tensor) -> dict[str, Tensor]:
    """Exact moments in two passes, without cancellation, and the eigenvectors of all that is above rounding."""
    dimension = images[0].numel()
    mean = torch.zeros(dimension, dtype=torch.float64)
    for chunk in chunks(images):
        mean += normalised(chunk).sum(0)
    mean /= len(images)
    moments = torch.zeros(dimension, dimension, dtype=torch.float64)
    for chunk in chunks(images):
        centred = normalised(chunk) - mean
        moments.addmm_(centred.T, centred)
    variances, vectors = torch.linalg.eigh(moments / len(images))
    variances, vectors = variances.flip(0), vectors.flip(1)
    # The mean square is far above rounding even where the images do not differ.
    scale = max(float(variances[0]), RANK_TOLERANCE * float(mean.square().sum()))
    rank = int((variances > RANK_TOLERANCE * scale).sum())
    return {"mean": mean, "variances": variances[:rank].contiguous(), "components": vectors[:, :rank].contiguous()}


def _mean(values: Tensor) -> Tensor:
    """The mean image, summed in float64. Shapes: float32 ``(N, D)`` -> ``(D,)``."""
    total = torch.zeros(values.shape[1], dtype=torch.float64)
    for part in chunks(values):
        total += part.double().sum(0)
    # Back in float32: taken off a whole set of images in float64, it would make a float64 copy of them.
    return (total / len(values)).float()
