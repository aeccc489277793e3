"""From a dataset's settings to images in memory: find the source, load it, check it, take a subset."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ssl_bench.config import DatasetConfig, section_options
from ssl_bench.data import DATASETS
from ssl_bench.data.images import ImageData, Split
from ssl_bench.data.plainer import plainer
from ssl_bench.data.subspace import project
from ssl_bench.errors import UserError
from ssl_bench.files import given_path


def load_dataset(config: DatasetConfig) -> ImageData:
    """The dataset that the settings name, checked and cut to ``limit`` and ``test_limit``; then changed as they ask.

    First it is made plainer (``grey``, ``crop``), then projected (``subspace``).

    Raises: UserError for an unknown name or option, data that are not there or are corrupt, a limit too large, or a
        subspace that these images do not have.
    """
    source_class = DATASETS.get(config.name)
    source = section_options(config, source_class, "dataset")
    data = source.load(data_roots(config), download=config.download)
    _check(config.name, data)
    if config.limit is not None or config.test_limit is not None:
        train = _subset(data.train, config.limit, f"dataset {config.name!r}: limit", "training")
        test = _subset(data.test, config.test_limit, f"dataset {config.name!r}: test_limit", "test")
        # A plain dataset: what a source knows of the whole is not true of a part.
        data = ImageData(data.name, train, test, data.classes, data.details)
    data = plainer(data, config.grey, config.crop)
    return data if config.subspace is None else project(data, config.subspace)


def data_roots(config: DatasetConfig) -> list[Path]:
    """Where data are looked for, in this order: ``dataset.root``, ``$SSL_BENCH_DATA``, the user's cache folder.

    Raises: UserError for a name that no folder can have.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "ssl_bench" / "data"
    given = {"dataset.root": config.root, "SSL_BENCH_DATA": os.environ.get("SSL_BENCH_DATA")}
    return [*(given_path(root, where) for where, root in given.items() if root), cache.expanduser()]


def stratified_index(labels: Tensor, count: int, seed: int = 0) -> Tensor:
    """Which samples make a subset with the classes in the proportions of the whole.

    Each class gets its share rounded down; what is left over goes to the largest remainders. Within a class the choice
    is random, but depends on the number of samples and ``seed`` alone. The original order is kept.

    Shapes: labels ``(N,)`` -> int64 ``(count,)``, ascending.

    Raises: ValueError if ``count`` is not in 0..N.
    """
    total = len(labels)
    if not 0 <= count <= total:
        raise ValueError(f"count must be in 0..{total}, not {count}")
    if count == 0:
        return torch.empty(0, dtype=torch.int64)
    sizes = torch.bincount(labels).numpy()
    # In whole numbers, so that an exact share is never rounded the wrong way.
    quota, remainder = sizes * count // total, sizes * count % total
    quota[np.argsort(-remainder, kind="stable")[: count - quota.sum()]] += 1
    order = np.random.default_rng(seed).permutation(total)
    # By class, and within a class in the order drawn.
    drawn = order[np.argsort(labels.numpy()[order], kind="stable")]
    place = np.arange(total) - np.repeat(sizes.cumsum() - sizes, sizes)
    return torch.from_numpy(np.sort(drawn[place < np.repeat(quota, sizes)]))


def _subset(split: Split, limit: int | None, where: str, what: str) -> Split:
    if limit is None:
        return split
    if limit > len(split):
        raise UserError(f"{where} = {limit} is more than its {len(split)} {what} images; leave it out to take all")
    return split.take(stratified_index(split.labels, limit))


def _check(name: str, data: ImageData) -> None:
    """What everything downstream relies on, whoever wrote the source."""
    for what, split in (("training", data.train), ("test", data.test)):
        where = f"dataset {name!r}: {what}"
        images, labels = split.images, split.labels
        if images.dtype != torch.uint8 or images.ndim != 4:
            raise UserError(f"{where} images must be uint8 (N, C, H, W), not {images.dtype} {tuple(images.shape)}")
        if not images.numel():
            raise UserError(f"{where} images: there are none")
        if images.shape[2] != images.shape[3]:
            height, width = images.shape[2:]
            raise UserError(f"{where} images must be square, not {height} x {width}: crop or pad them first")
        if labels.dtype != torch.int64 or labels.shape != images.shape[:1]:
            raise UserError(f"{where} labels must be int64 ({len(images)},), not {labels.dtype} {tuple(labels.shape)}")
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= data.classes:
            raise UserError(f"{where} labels must be in 0..{data.classes - 1}, not {low}..{high}")
    if data.train.images.shape[1:] != data.test.images.shape[1:]:
        sizes = f"{tuple(data.train.images.shape[1:])} and {tuple(data.test.images.shape[1:])}"
        raise UserError(f"dataset {name!r}: training and test images differ in (C, H, W): {sizes}")
