"""Published numbers beside one's own: the nearest there is, with everything in which it differs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from ssl_bench.config import Options, validate
from ssl_bench.reporting.collect import Run
from ssl_bench.reporting.groups import Block, Group
from ssl_bench.reporting.numbers import NOTHING, count, percent
from ssl_bench.reporting.spread import Spread
from ssl_bench.reporting.tables import Cell, Row, Table
from ssl_bench.yaml_files import read_yaml_file

FILE = Path(__file__).with_name("references.yaml")
NONE_FOUND = "no published number found"
Protocol = Literal[
    "linear, offline", "linear, online", "k-NN", "k-NN, best epoch on the test set", "fine-tuned", "accuracy"
]
# Nearest to a linear probe of a frozen encoder first; of a network trained with labels, its own accuracy.
PROTOCOLS: tuple[Protocol, ...] = (
    "linear, offline", "linear, online", "accuracy", "k-NN", "k-NN, best epoch on the test set", "fine-tuned",
)  # fmt: skip
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
    confidence: str


class PublishedSubspace(Options):
    """A published accuracy on images projected on some principal components; ``share`` is nominal."""

    dataset: str
    side: str
    share: float = Field(ge=0, le=1)
    value: str
    remark: str = ""
    source: str
    confidence: str


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


def references_table(block: Block) -> Table | None:
    """The nearest published number of each configuration that has a probe; ``None`` if none has."""
    groups = [group for group in block.groups if group.probed]
    if not groups:
        return None
    dataset = dataset_key(groups[0].runs[0])
    return Table(
        caption=f"Published numbers beside those on {block.dataset}: for each configuration the nearest that was "
        "found, of the same dataset and objective, with everything in which it is known to differ. None of these was "
        "made under the protocol of this report: a number that is higher or lower says nothing by itself.",
        columns=(
            Cell("configuration"),
            Cell("here", "linear top-1, %"),
            Cell("published", "%"),
            Cell("what"),
            Cell("source"),
            Cell("confidence"),
            Cell("differs in"),
        ),
        rows=tuple(_row(group, dataset) for group in groups),
    )


def published_subspaces(group: Group) -> Table | None:
    """What was published of networks trained with labels on PCA subspaces of a configuration's dataset, if anything."""
    dataset, config = dataset_key(group.runs[0]), group.config
    rows = [
        Row(
            (Cell(one.side), Cell(percent(one.share)), Cell(one.value), *map(Cell, (one.remark or NOTHING, one.source)))
        )
        for one in references().subspaces
        if one.dataset == dataset
    ]
    if not rows:
        return None
    own = f"{config.objective.name} on {config.backbone.name}, {count(config.training.epochs)} epochs"
    return Table(
        caption="Published accuracies of a ResNet9 trained with labels (squared error, 50 epochs, batch 512) on such "
        f"subspaces of the same dataset, by the share of variance asked for. Here: {own}. There each image was divided "
        "by its own deviation first, and each subspace normalised anew: the numbers show an order, not a level.",
        columns=(
            Cell("subspace"),
            Cell("nominal", "% of variance"),
            Cell("published", "%"),
            Cell("remark"),
            Cell("source"),
        ),
        rows=tuple(rows),
    )


def dataset_key(run: Run) -> str | None:
    """Which of the known datasets a run is on, by its name, or that of its file; ``None`` for any other."""
    settings = run.config.dataset
    file = (settings.model_extra or {}).get("file")
    said = Path(str(file)).stem if file else settings.name
    plain = "".join(letter for letter in said.lower() if letter.isalnum())
    return next((key for key, one in references().datasets.items() if plain in one.names), None)


def nearest(group: Group, dataset: str | None) -> Published | None:
    """The published number nearest to a configuration: by protocol, then family of backbone, then epochs.

    ``None`` where there is none of the same dataset and objective; and for images of which a part was taken away.
    """
    config = group.config
    if dataset is None or config.dataset.subspace is not None:
        return None
    same = [one for one in references().published if one.dataset == dataset and one.objective == config.objective.name]
    return min(same, key=lambda one: _distance(one, group), default=None)


def mismatches(one: Published, group: Group) -> list[str]:
    """Everything in which a published number differs from a configuration's, or may, in words."""
    return [words for words in _mismatches(one, group) if words]


def _distance(one: Published, group: Group) -> tuple[int, int, float]:
    """How far a number is from a configuration: what is compared first matters most."""
    own = group.config.training.epochs
    apart = math.inf if one.epochs is None else abs(math.log((one.epochs + 1) / (own + 1)))
    return PROTOCOLS.index(one.protocol), int(one.family != family(group.config.backbone.name)), apart


def family(backbone: str) -> str:
    """Of which kind a backbone is, by its name: ``resnet``, ``vit``, or its name."""
    return next((kind for kind in FAMILIES if kind in backbone.lower()), backbone)


def _mismatches(one: Published, group: Group) -> Iterator[str]:
    config, known = group.config, references().datasets[one.dataset]
    training = config.training
    facts: dict[str, Any] = next((run.record["dataset"] for run in group.runs if run.fingerprint), {})
    trains = config.objective.name not in ("random", "pixels")
    yield f"backbone: {one.backbone or 'not recorded'}, here {config.backbone.name}"
    if trains:
        yield _unless_same("epochs", one.epochs, training.epochs)
        yield _unless_same("batch", one.batch, training.batch_size)
    if one.protocol != "linear, offline":
        yield f"protocol: {one.protocol}, here linear, offline"
    else:
        yield "protocol: a linear probe of its own, here linear/1"
    changed = ["grey"] if config.dataset.grey else []
    changed += [f"cropped to {config.dataset.crop} px"] if config.dataset.crop else []
    yield f"images: as they are, here {' and '.join(changed)}" if changed else ""
    images = facts.get("train_samples")
    if images is not None and images != known.train_samples:
        whole = "" if known.train_samples is None else f" (the set has {count(known.train_samples)})"
        yield f"training images: not recorded{whole}, here {count(images)}"
    size = _size(group)
    if size is not None and size != known.image_size:
        native = "not recorded" if known.image_size is None else f"{known.image_size} px, as the set is"
        yield f"resolution: {native}, here {size} px"


def _unless_same(what: str, published: int | str | None, own: int) -> str:
    if published is None:
        return f"{what}: not recorded, here {count(own)}"
    said = count(published) if isinstance(published, int) else published
    return "" if published == own else f"{what}: {said}, here {count(own)}"


def _size(group: Group) -> int | None:
    info: dict[str, Any] = next(
        (run.record["backbone"] for run in group.runs if isinstance(run.record.get("backbone"), dict)), {}
    )
    size = info.get("image_size")
    return size if isinstance(size, int) else None


def _row(group: Group, dataset: str | None) -> Row:
    name, here = Cell(group.label, group.note), _here(group.linear)
    one = nearest(group, dataset)
    missing = _missing(group, dataset)
    if one is None:
        return Row((name, here, Cell(NONE_FOUND), Cell(missing or NOTHING), *[Cell(NOTHING)] * 3), group.reference)
    what = ", ".join(part for part in (one.protocol, one.remark, missing) if part)
    cells = (name, here, Cell(one.value), Cell(what), Cell(one.source), Cell(one.confidence))
    return Row((*cells, Cell("; ".join(mismatches(one, group)))), group.reference)


def _missing(group: Group, dataset: str | None) -> str:
    """That nobody was found to have measured this objective there, where that was looked for."""
    first = references().first
    if dataset not in first.datasets or group.config.objective.name not in first.objectives:
        return ""
    return (
        f"of a plain {group.config.objective.name} with a ResNet-18 or a ViT, read by a modern linear probe, no number "
        "was found: this would be the first"
    )


def _here(value: Spread | None) -> Cell:
    if value is None:
        return Cell(NOTHING)
    text = percent(value.mean) if value.sd is None else f"{percent(value.mean)} ± {percent(value.sd)}"
    return Cell(text, f"n = {value.n}", value=value.mean)
