"""Published numbers beside one's own: the nearest there is, with everything in which it differs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ssl_bench.reporting.collect import UNTRAINED
from ssl_bench.reporting.groups import Block, Group
from ssl_bench.reporting.numbers import NOTHING, count, percent
from ssl_bench.reporting.published import (
    PROTOCOLS,
    Protocol,
    Published,
    dataset_key,
    nearest,
    references,
)
from ssl_bench.reporting.spread import Spread
from ssl_bench.reporting.tables import Cell, Row, Table

NONE_FOUND = "no published number found"


def references_table(block: Block) -> Table | None:
    """What is nearest to the accuracies of each configuration that has a probe; ``None`` if none has."""
    groups = [group for group in block.groups if group.probed]
    if not groups:
        return None
    dataset = dataset_key(groups[0].runs[0])
    return Table(
        caption=f"Published numbers beside those on {block.dataset}: for each configuration the nearest that was "
        "found to its linear probe, and the nearest to its k-NN where there is one, of the same dataset and objective, "
        "with everything in which it is known to differ. Nearest is by backbone, epochs, protocol and confidence "
        "together. None of these was made under the protocol of this report: a number that is higher or lower says "
        "nothing by itself.",
        columns=(
            Cell("configuration"),
            Cell("here", "top-1, %"),
            Cell("published", "%"),
            Cell("what"),
            Cell("source"),
            Cell("confidence"),
            Cell("differs in"),
        ),
        rows=tuple(row for group in groups for row in _rows(group, dataset)),
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


def mismatches(one: Published, group: Group) -> list[str]:
    """Everything in which a published number differs from a configuration's, or may, in words."""
    return [words for words in _mismatches(one, group) if words]


def _mismatches(one: Published, group: Group) -> Iterator[str]:
    config, known = group.config, references().datasets[one.dataset]
    training = config.training
    facts: dict[str, Any] = next((run.record["dataset"] for run in group.runs if run.fingerprint), {})
    trains = config.objective.name not in UNTRAINED
    yield f"backbone: {one.backbone or 'not recorded'}, here {config.backbone.name}"
    if trains:
        yield _unless_same("epochs", one.epochs, training.epochs)
        yield _unless_same("batch", one.batch, training.batch_size)
    yield f"protocol: {_protocols_differ(one.protocol, config.evaluation.knn_k[0])}"
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


def _protocols_differ(published: Protocol, k: int) -> str:
    """In what a number was read otherwise than here; ``k`` is of our k-NN."""
    if published == "linear, offline":
        return "a linear probe of its own, here linear/1"
    if published == "k-NN":
        return f"a k-NN of its own, here knn/1 with k = {k}"
    if published in PROTOCOLS["knn_top1"]:
        return f"{published}, here knn/1 with k = {k} of the last epoch"
    return f"{published}, here linear, offline"


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


def _rows(group: Group, dataset: str | None) -> Iterator[Row]:
    """What is nearest to the linear probe, or that nothing is; and to k-NN, where there is something."""
    name, missing = Cell(group.label, group.note), _missing(group, dataset)
    linear, near = nearest(group, dataset), nearest(group, dataset, "knn_top1")
    here = _here("linear", group.linear)
    if linear is None:
        nothing = Cell(NONE_FOUND), Cell(missing or NOTHING), *[Cell(NOTHING)] * 3
        yield Row((name, here, *nothing), group.reference)
    else:
        yield Row((name, here, *_published_cells(linear, group, missing)), group.reference)
    if near is not None:
        yield Row((name, _here("k-NN", group.knn), *_published_cells(near, group)), group.reference)


def _published_cells(one: Published, group: Group, missing: str = "") -> tuple[Cell, ...]:
    what = ", ".join(part for part in (one.protocol, one.remark, missing) if part)
    texts = one.value, what, one.source, one.confidence, "; ".join(mismatches(one, group))
    return tuple(Cell(text) for text in texts)


def _missing(group: Group, dataset: str | None) -> str:
    """That nobody was found to have measured this objective there, where that was looked for."""
    first = references().first
    if dataset not in first.datasets or group.config.objective.name not in first.objectives:
        return ""
    return (
        f"of a plain {group.config.objective.name} with a ResNet-18 or a ViT, read by a modern linear probe, no number "
        "was found: this would be the first"
    )


def _here(measure: str, value: Spread | None) -> Cell:
    if value is None:
        return Cell(NOTHING)
    text = percent(value.mean) if value.sd is None else f"{percent(value.mean)} ± {percent(value.sd)}"
    return Cell(text, f"{measure}, n = {value.n}", value=value.mean)
