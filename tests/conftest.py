"""Shared by all tests: two threads, a cache of their own, small configurations."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from ssl_bench.config import Config, validate
from ssl_bench.overrides import load_config

torch.set_num_threads(min(2, torch.get_num_threads()))
REAL_DATA = Path(os.environ.get("SSL_BENCH_DATA", "/nonexistent"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or fills the user's cache; one cache a session, so that bases are computed once."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def one_thread() -> Iterator[None]:
    """For small tensors, on which threads only wait for each other: on a busy machine for most of the time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make_config(*overrides: str) -> Config:
    """A small configuration: digits, a tiny schedule, few images to analyze; then the overrides."""
    small = [
        "dataset=digits",
        "dataset.limit=300",
        "training.epochs=2",
        "training.batch_size=64",
        "training.snapshots=4",
    ]
    small += ["analysis.fit_samples=200", "analysis.test_samples=100", "backbone.latent_dim=16"]
    return validate(Config, load_config(None, [*small, *overrides]))
