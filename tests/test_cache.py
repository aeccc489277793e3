"""What was computed is kept, as far as there is room; a cache costs time, never results."""

import os

import pytest
import torch

from ssl_bench.data import cache as module
from ssl_bench.data.cache import cached
from ssl_bench.files import cache_folder


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return cache_folder()


def tensors(value=1.0):
    return {"value": torch.full((1000,), value)}


def made():
    pytest.fail("computed, though it is there")


def names(folder):
    return sorted(file.stem for file in folder.glob("*.safetensors"))


def test_what_was_computed_is_not_computed_again():
    assert torch.equal(cached("one", tensors)["value"], tensors()["value"])
    assert torch.equal(cached("one", made)["value"], tensors()["value"])


def test_damage_and_folders_that_cannot_be_used_cost_time_only(folder, tmp_path, monkeypatch):
    cached("one", tensors)
    file = folder / "one.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    assert torch.equal(cached("one", lambda: tensors(2.0))["value"], tensors(2.0)["value"])
    assert torch.equal(cached("one", made)["value"], tensors(2.0)["value"])
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert torch.equal(cached("one", lambda: tensors(3.0))["value"], tensors(3.0)["value"])


def test_the_least_recently_used_make_room(folder, monkeypatch):
    for age, name in enumerate(("newest", "middle", "oldest")):
        cached(name, tensors)
        os.utime(folder / f"{name}.safetensors", (1000 - age, 1000 - age))
    other = folder / "images.npy"
    other.write_bytes(b"x" * 10_000)
    loaded = cached("oldest", made)  # and so it is the newest now
    monkeypatch.setattr(module, "ROOM", 3 * (folder / "newest.safetensors").stat().st_size)
    cached("another", tensors)
    assert names(folder) == ["another", "newest", "oldest"]
    monkeypatch.setattr(module, "ROOM", 1)
    cached("last", tensors)
    assert names(folder) == []
    assert torch.equal(loaded["value"], tensors()["value"])  # a file that is deleted stays readable for who loaded it
    assert other.exists()
