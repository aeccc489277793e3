"""Works of the section ``growth``, each a function of one size."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import torch

from benchmarks.cases import Case
from benchmarks.contest import Work
from benchmarks.decomposing import our_basis, our_moments
from benchmarks.extracting import Ours
from benchmarks.made import made_images
from benchmarks.ours import config_of, step
from benchmarks.probing import ours
from ssl_bench.config import AnalysisConfig
from ssl_bench.measuring import analyze
from ssl_bench.resolve import resolve
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.spectrum.analyzer import Measurement
from ssl_bench.spectrum.bands import decodability
from ssl_bench.spectrum.bench import Bench, make_bench
from ssl_bench.training.loop import save_snapshot
from ssl_bench.training.pretraining import build_objective


def extraction(images: int, size: int, device: str) -> Work:
    """Features of a small CNN."""
    return Ours("resnet_micro", images, 16, size, device)


def training_step(images: int, size: int, batch: int, device: str) -> Work:
    """One step of SimCLR with a small CNN."""
    return step(Case("simclr", "resnet_micro", size, images, batch, device))


def moments(images: int, size: int) -> Work:
    """Mean and covariance of colour images."""
    return our_moments(images, size)


def basis(images: int, size: int) -> Work:
    """Their principal components, nothing cached."""
    return our_basis(images, size, cached=False)


def probe(name: str, count: int, dimension: int) -> Work:
    """A probe on features."""
    return ours(name, count, dimension)


def band_decodability(count: int, size: int, dimension: int) -> Work:
    """Decodability of all bands of one basis from features that say nothing."""
    with tempfile.TemporaryDirectory() as cache:
        made = _bench(count, size, cache)
    generator = torch.Generator().manual_seed(0)
    fit, test = (torch.randn(len(split), dimension, generator=generator) for split in (made.fit, made.test))
    measurement = Measurement(made.targets[0], fit, test, None)

    def work() -> int:
        decodability(measurement)
        return 1

    return work


def analysis(snapshots: int, count: int, size: int) -> Work:
    """All of ``analyze``, of an autoencoder's run with so many snapshots; images and bases are there already."""
    folder = tempfile.TemporaryDirectory()
    bench = _bench(count, size, folder.name)
    config = resolve(config_of(Case("autoencoder", "resnet_micro", size, batch=2)), bench.data)
    run = RunDirectory(Path(folder.name) / "run")
    run.claim(config)
    objective = build_objective(config, bench.data)
    generator = torch.Generator().manual_seed(0)
    for number in range(snapshots):
        with torch.no_grad():
            # Other weights, or their features would be those of the snapshot before.
            for weights in objective.parameters():
                weights.add_(0.01 * torch.randn(weights.shape, generator=generator))
        save_snapshot(run, number, objective)

    def work() -> int:
        # As long as there is this work, there is its folder.
        assert folder.name
        shutil.rmtree(run.cache, ignore_errors=True)
        for file in (run.spectrum_file, run.arrays_file):
            file.unlink(missing_ok=True)
        analyze(run.path, bench.settings, bench.data, bench)
        return 1

    return work


def _bench(count: int, size: int, cache: str) -> Bench:
    os.environ["XDG_CACHE_HOME"] = cache
    settings = AnalysisConfig(
        bands=min(8, size // 2),
        fit_samples=count,
        test_samples=count // 2,
        view_samples=min(100, count // 2),
        altered_samples=min(20, count // 2),
    )
    return make_bench(made_images(count, count // 2, size), settings)
