"""The Probe protocol: frozen features and training labels to answers on the test images; and how answers are scored.

A probe is never given a test label, so none can choose anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Generator, Tensor, nn

from ssl_bench.config import EvaluationConfig
from ssl_bench.errors import UserError
from ssl_bench.evaluation.features import scaling, standardise
from ssl_bench.evaluation.subject import CPU
from ssl_bench.seeds import derive_seed


@dataclass(frozen=True)
class Pictures:
    """The images themselves, for the probe that is not frozen.

    Shapes: uint8 ``(N, C, H, W)`` and ``(M, C, H, W)``. ``standardised`` maps uint8 images to what ``trainable`` takes;
    ``views`` maps them to one random view each, standardised too, with a generator on the images' device as the only
    source of randomness. ``trainable`` makes a fresh module, standardised images to embeddings ``(B, D)``, on the
    device it is to be trained on, with weights that require gradients; ``None`` if the encoder cannot be trained.
    """

    train: Tensor
    test: Tensor
    standardised: Callable[[Tensor], Tensor]
    views: Callable[[Tensor, Generator], Tensor]
    trainable: Callable[[], nn.Module] | None


@dataclass(frozen=True)
class Task:
    """All a probe may see.

    Shapes: train ``(N, D)``, labels ``(N,)``, test ``(M, D)``: features at one feature point. ``tokens`` gives those of
    all positions, ``(N, T, D)`` and ``(M, T, D)``; ``pictures`` the images; each only for the probe that asks. All of
    them are on the CPU; ``device`` is where the encoder is, and :meth:`there` the task for a probe that gains by it.

    Raises: UserError if a feature is not finite.
    """

    train: Tensor
    labels: Tensor
    test: Tensor
    classes: int
    settings: EvaluationConfig
    tokens: Callable[[], tuple[Tensor, Tensor]] | None = None
    pictures: Pictures | None = None
    device: torch.device = CPU

    def __post_init__(self) -> None:
        if not bool(torch.isfinite(self.train).all() and torch.isfinite(self.test).all()):
            raise UserError("the features are not finite; nothing can be probed: look at how the encoder was trained")

    def there(self) -> Task:
        """The same task with its features and labels on :attr:`device`."""
        train, labels, test = (tensor.to(self.device) for tensor in (self.train, self.labels, self.test))
        return replace(self, train=train, labels=labels, test=test)

    def halves(self) -> tuple[Tensor, Tensor]:
        """Indices of the training samples to fit on, and of those held out to choose by.

        Raises: UserError if a class is too small to hold one out, or there are no samples.
        """
        if not len(self.labels):
            raise UserError("there are no training images: a probe needs two of each class; raise dataset.limit")
        labels = self.labels.cpu()  # where the draws are made, so that they are the same everywhere
        sizes = torch.bincount(labels, minlength=self.classes)
        if (sizes == 1).any():
            lonely = int((sizes == 1).nonzero()[0])
            raise UserError(
                f"class {lonely} has one training image and none can be held out of it: a probe needs two of each "
                "class; raise dataset.limit, or leave the class out"
            )
        fit, held_out = split_by_class(labels, self.settings.held_out, derive_seed(self.settings.seed, "held_out"))
        return fit.to(self.labels.device), held_out.to(self.labels.device)

    def scaled(self, features: Tensor, like: Tensor) -> Tensor:
        """Features standardised with the statistics of ``like``, or as they are with ``standardise=false``."""
        return standardise(features, like) if self.settings.standardise else features

    def scaling(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """What is to be subtracted and then multiplied by; 0 and 1 with ``standardise=false``.

        Shapes: ``(M, D)`` -> ``(D,)``, ``(D,)`` float64.
        """
        mean, scale = scaling(like)
        return (mean, scale) if self.settings.standardise else (torch.zeros_like(mean), torch.ones_like(scale))


@dataclass(frozen=True)
class Answer:
    """What a probe says of the test images before anyone knows whether it is right.

    ``predicted`` is ``(M,)``, on any device. ``chosen`` is what was chosen on held-out training images, and
    ``held_out_top1`` the accuracy there; both empty where a probe chooses nothing. ``others`` are further answers by
    name, of a probe that gives several (k of k-NN; the draws of few-shot), each scored like ``predicted``.
    """

    predicted: Tensor
    chosen: dict[str, Any] = field(default_factory=dict)
    held_out_top1: float | None = None
    others: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Probe:
    """A named protocol. A third-party probe is one of these, in the entry-point group ``ssl_bench.probes``.

    ``reads`` is what it looks at: features at the feature point asked for, tokens of all positions there, or the
    pictures themselves.
    """

    protocol: str
    answer: Callable[[Task], Answer]
    reads: Literal["features", "tokens", "pictures"] = "features"


def score(predicted: Tensor, labels: Tensor, classes: int, seed: int) -> dict[str, Any]:
    """Accuracy of answers: top1, its 95 % bootstrap interval over test images, and top1 a class (null without one)."""
    correct = predicted == labels
    count = torch.bincount(labels, minlength=classes)
    right = torch.bincount(labels[correct], minlength=classes)
    return {
        "top1": float(correct.double().mean()),
        "interval": list(bootstrap_interval(int(correct.sum()), len(correct), seed)),
        "per_class": [hits / all_ if all_ else None for hits, all_ in zip(right.tolist(), count.tolist(), strict=True)],
    }


def check_features(features: Tensor, name: str) -> None:
    """Refuse features that say the same of every image.

    Raises: UserError.
    """
    if len(features) < 2 or bool((features == features[:1]).all()):
        raise UserError(f"{name}: its features are the same for every training image; nothing can be probed")


def split_by_class(labels: Tensor, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Indices of the kept and of the held-out samples, ``share`` of each class (at least one where it has two)."""
    generator = torch.Generator().manual_seed(seed)
    kept, held = [], []
    for label in torch.unique(labels).tolist():
        members = torch.nonzero(labels == label).flatten()
        members = members[torch.randperm(len(members), generator=generator)]
        count = min(max(1, round(share * len(members))), len(members) - 1)
        held.append(members[:count])
        kept.append(members[count:])
    return torch.cat(kept).sort().values, torch.cat(held).sort().values


def bootstrap_interval(correct: int, count: int, seed: int, draws: int = 10_000) -> tuple[float, float]:
    """95 % percentile interval of an accuracy when the test images are drawn anew.

    Resampling 0/1 outcomes with replacement is drawing from a binomial distribution, so that is what is drawn.
    """
    resampled = np.random.default_rng(derive_seed(seed, "bootstrap")).binomial(count, correct / count, draws) / count
    low, high = np.quantile(resampled, [0.025, 0.975])
    return float(low), float(high)


def top1(scores: Tensor, labels: Tensor) -> float:
    """Share of the highest scores that are right. Shapes: ``(N, K)``, ``(N,)``."""
    return float((scores.argmax(1) == labels).double().mean())
