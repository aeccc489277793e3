"""What others have published, and which of it is nearest to a configuration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field

from ssl_bench.config import Options, validate
from ssl_bench.reporting.collect import UNTRAINED, Run
from ssl_bench.reporting.groups import Group
from ssl_bench.yaml_files import read_yaml_file

FILE = Path(__file__).with_name("references.yaml")
Measure = Literal["linear_top1", "knn_top1"]
Protocol = Literal[
    "linear, offline", "linear, online", "k-NN", "k-NN, best epoch on the test set", "fine-tuned", "accuracy"
]
Confidence = Literal["high", "read in the repository", "medium", "secondary", "medium to low", "unverified", "a thread"]
# What may stand beside each of our measures, and how far it is from it. All distances are in doublings of the epochs: a
# number that was chosen by its test images is as far as one of half the training. Fine-tuning reads another network.
PROTOCOLS: dict[Measure, dict[Protocol, float]] = {
    "linear_top1": {"linear, offline": 0.0, "accuracy": 0.0, "linear, online": 1.0, "fine-tuned": 8.0},
    "knn_top1": {"k-NN": 0.0, "k-NN, best epoch on the test set": 1.0},
}
CONFIDENCES: dict[Confidence, float] = {
    "high": 0.0,
    "read in the repository": 0.0,
    "medium": 1.0,
    "secondary": 1.0,
    "medium to low": 1.5,
    "unverified": 2.0,
    "a thread": 2.0,
}
ANOTHER_BACKBONE, ANOTHER_FAMILY = 1.0, 3.0
# What does not say its epochs, or its batches, is as far as of a thousand times as many.
UNKNOWN = 10.0
# Batch sizes decide between numbers that are equal in all else.
BATCH_WEIGHT = 0.01
FAMILIES = ("resnet", "vit")


class Known(Options):
    """A dataset: how it may be called, with letters and digits alone, and what it is in full."""

    names: tuple[str, ...]
    train_samples: int | None
    image_size: int | None


class Published(Options):
    """One published number. ``value`` is in percent, as its source writes it; ``None`` is what no source says."""

    dataset: str
    objective: str
    backbone: str | None
    family: str | None
    epochs: int | None
    batch: int | str | None
    protocol: Protocol
    value: str
    remark: str = ""
    source: str
    confidence: Confidence


class PublishedSubspace(Options):
    """A published accuracy on images projected on some principal components; ``share`` is nominal."""

    dataset: str
    side: str
    share: float = Field(ge=0, le=1)
    value: str
    remark: str = ""
    source: str
    confidence: Confidence


class First(Options):
    """Where no number of an objective was found, in a search for one."""

    datasets: tuple[str, ...]
    objectives: tuple[str, ...]


class References(Options):
    """All of ``references.yaml``."""

    datasets: dict[str, Known]
    first: First
    published: tuple[Published, ...]
    subspaces: tuple[PublishedSubspace, ...]


@cache
def references() -> References:
    """What is known, read once."""
    return validate(References, read_yaml_file(FILE), FILE.name)


def dataset_key(run: Run) -> str | None:
    """Which of the known datasets a run is on, by its name, or that of its file; ``None`` for any other."""
    settings = run.config.dataset
    file = (settings.model_extra or {}).get("file")
    said = Path(str(file)).stem if file else settings.name
    return next((key for key, one in references().datasets.items() if _plain(said) in one.names), None)


def nearest(group: Group, dataset: str | None, measure: Measure = "linear_top1") -> Published | None:
    """The published number nearest to a configuration's: by backbone, epochs, protocol and confidence together.

    What was said in a forum's thread counts only where there is no number of a repository or a paper.

    Args:
        group: The configuration.
        dataset: Which of the known ones it is on.
        measure: Beside which of its two accuracies the number is to stand.

    Returns: ``None`` where there is none of the same dataset, objective and measure; and for images of which a part
        was taken away.
    """
    config = group.config
    if dataset is None or config.dataset.subspace is not None:
        return None
    same = [
        one
        for one in references().published
        if one.dataset == dataset and one.objective == config.objective.name and one.protocol in PROTOCOLS[measure]
    ]
    written = [one for one in same if one.confidence != "a thread"]
    return min(written or same, key=lambda one: distance(one, group, PROTOCOLS[measure]), default=None)


def distance(one: Published, group: Group, protocols: Mapping[Protocol, float]) -> float:
    """How far a number is from a configuration's, in doublings of the epochs."""
    training = group.config.training
    own = 0 if group.config.objective.name in UNTRAINED else training.epochs
    epochs = UNKNOWN if one.epochs is None else abs(math.log2((one.epochs + 1) / (own + 1)))
    batch = abs(math.log2(one.batch / training.batch_size)) if isinstance(one.batch, int) else UNKNOWN
    backbone = _backbone_distance(one, group.config.backbone.name)
    return backbone + epochs + protocols[one.protocol] + CONFIDENCES[one.confidence] + BATCH_WEIGHT * batch


def _backbone_distance(one: Published, own: str) -> float:
    """None for the same, as far as names say it: ``ViT-T/2`` and ``vit_tiny``, but not ``ViT-S``."""
    if one.family != family(own):
        return ANOTHER_FAMILY
    said = _plain((one.backbone or "").replace("/", ",").split(",")[0])
    return 0.0 if said and said in _plain(own) else ANOTHER_BACKBONE


def family(backbone: str) -> str:
    """Of which kind a backbone is, by its name: ``resnet``, ``vit``, or its name."""
    return next((kind for kind in FAMILIES if kind in backbone.lower()), backbone)


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
