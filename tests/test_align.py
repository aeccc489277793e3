"""The verb align: short cuts against the long way, targets beside noises, the cache."""

import importlib
import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch

from ssl_bench.aligning import align, make_problem, solve
from ssl_bench.data.digits import Digits
from ssl_bench.data.images import ImageData, Split
from ssl_bench.data.spectral import Spectral
from ssl_bench.errors import UserError
from ssl_bench.files import cache_folder
from ssl_bench.noise import make_noise
from ssl_bench.noise.base import Noise
from ssl_bench.targets import make_target
from ssl_bench.theory.alignment import subspace_distance
from ssl_bench.theory.solutions import denoising, generalised


@pytest.fixture(scope="module")
def data():
    return Spectral(signal="template", classes=4, size=12, share=0.05, samples=1500, test_samples=400).load(
        [], download=False
    )


PAIRS = [
    ("gaussian(sigma=0.7)", None),
    ("pca(gains=[50, 3, 0, 0.1])", None),
    ("pca_mask(ratio=0.4)", None),
    (None, "pca(gains=[0.1, 1, 3])"),
    (None, "bottom(share=0.3)"),
    ("pca(gains=[5, 3, 0, 0.1])", "pca(gains=[0.5, 1, 0.2])"),
    ("gaussian(sigma=1)", "top(share=0.6)"),
]


@pytest.mark.parametrize(("noise", "target"), PAIRS)
def test_the_diagonal_path_is_the_long_way(noise, target, data, monkeypatch):
    """Re-ordered components span what the eigenproblem finds, wherever the K-th score stands apart from the next."""
    problem = make_problem(data)
    prepared = make_noise(noise).prepare(data) if noise else None
    asked = make_target(target).prepare(data) if target else None
    quick = solve(problem, prepared, asked, 144)
    monkeypatch.setattr(Noise, "diagonal", lambda *_: None)
    for kind in {type(thing) for thing in (prepared, asked) if thing is not None}:
        monkeypatch.setattr(kind, "diagonal", lambda *_: None)
    slow = solve(problem, prepared, asked, 144)
    second = problem.train.second
    assert torch.allclose(quick.T @ second @ quick, torch.eye(144, dtype=torch.float64), atol=1e-8)
    cross = second if prepared is None else prepared.mean_map(second, (1, 12, 12))
    noisy = second if prepared is None else prepared.second_map(second, (1, 12, 12))
    weight = None if asked is None else asked.weight_map((1, 12, 12))
    scores = denoising(cross, noisy, weight)[0]
    apart = (scores[:-1] - scores[1:]) > 1e-5 * scores[0]
    assert int(apart.sum()) >= 10
    distance = subspace_distance(quick, slow, second)[:-1]
    assert float(distance[apart].max()) < 1e-6


def test_few_solutions_are_the_first_of_all():
    generator = torch.Generator().manual_seed(0)
    left, right = (root @ root.T for root in torch.randn(2, 40, 40, generator=generator, dtype=torch.float64))
    scores, vectors = generalised(left, right)
    few, columns = generalised(left, right, 7)
    assert torch.allclose(few, scores[:7])
    assert torch.allclose((columns * vectors[:, :7]).sum(0).abs(), (vectors[:, :7] ** 2).sum(0))


def test_few_k_report_what_all_k_do(data):
    noises = ["mask(ratio=0.5, patch=3)", "pca(gains=[9, 0, 0])"]
    every = align(data, noise=noises)
    few = align(data, noise=noises, k=[3, 10, 40])
    for whole, short in zip([every, *every["noises"]], [few, *few["noises"]], strict=True):
        for key in ("alignment", "alignment_r2", "alignment_balanced", "held_out", "variance_explained"):
            assert [whole[key][k - 1] for k in (3, 10, 40)] == pytest.approx(short[key], abs=1e-6), key


def test_a_target_weights_the_loss(data):
    """The scores are the spectrum of the covariance of what is asked for, W^1/2 S W^1/2."""
    target = make_target("spectrum(gains=[0.05, 1, 2])").prepare(data)
    second = make_problem(data).train.second
    weight = target.weight_map((1, 12, 12))
    scores, _ = denoising(second, second, weight)
    root = torch.linalg.cholesky(weight)
    expected = torch.linalg.eigvalsh(root.T @ second @ root).flip(0)
    assert torch.allclose(scores, expected, rtol=1e-6, atol=1e-9)


def test_pairs_of_noises_and_targets(data):
    result = align(data, noise=[None, "gaussian(sigma=1)"], target=[None, "band(low=0.2)"], k=[5])
    assert [(entry["noise"], entry["target"]) for entry in result["noises"]] == [
        (None, "band(low=0.2)"),
        ("gaussian(sigma=1)", None),
        ("gaussian(sigma=1)", "band(low=0.2)"),
    ]
    assert result["noise"] is None
    flat = align(data, target="band(low=0.2)", k=[5])
    assert (flat["noise"], flat["target"]) == (None, "band(low=0.2)")
    assert flat["alignment"] == result["noises"][0]["alignment"]
    assert json.dumps(flat, allow_nan=False)


def test_images_without_variance_in_some_pixels():
    digits = Digits().load([], download=False)
    result = align(digits, noise=["gaussian(sigma=0.5)", "pca_mask(ratio=0.5)"], k=[5, 64])
    assert result["noises"][0]["alignment"][0] == pytest.approx(result["alignment"][0], rel=1e-6)
    assert result["alignment"][1] == pytest.approx(100)


def assert_same(measured: dict[str, Any], expected: dict[str, Any]) -> None:
    """Equal but for the last digits, which follow where in memory a matrix lies."""
    assert measured.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, list) and isinstance(value[0], float):
            assert measured[name] == pytest.approx(value, rel=1e-9, abs=1e-9)
        else:
            assert measured[name] == value


def test_moments_are_cached_and_a_damaged_cache_costs_time_only(data, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = align(data, k=[5])
    files = sorted(cache_folder().glob("*.safetensors"))
    assert [file.name.split("_")[0] for file in files] == ["eigenbasis", "moments"]
    monkeypatch.setattr("ssl_bench.theory.moments.pixel_moments", None)
    monkeypatch.setattr("ssl_bench.data.images.pixel_moments", None)
    assert_same(align(replace(data), k=[5]), first)
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for file in files:
        file.write_bytes(file.read_bytes()[:100])
    assert_same(align(data, k=[5]), first)


def test_the_covariance_of_the_training_images_is_computed_once(data, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    computed = []
    for where in ("data.images", "theory.moments"):
        original = importlib.import_module(f"ssl_bench.{where}").pixel_moments

        def counted(images, original=original):
            computed.append(len(images))
            return original(images)

        monkeypatch.setattr(f"ssl_bench.{where}.pixel_moments", counted)
    first = align(replace(data), noise="pca(gains=[2, 1])", k=[5])
    assert sorted(computed) == [400, 1500]
    monkeypatch.undo()
    assert_same(align(data, noise="pca(gains=[2, 1])", k=[5]), first)


@pytest.mark.parametrize("noise", ["frequency_mask(cutoff=0.25, keep=high)", "downsample(factor=4)", "blur(sigma=4)"])
def test_noises_that_remove_directions_altogether(noise, data):
    """What is gone comes last: alignment of the K that are left, and no failure of a singular second moment."""
    result = align(data, noise=noise)
    assert result["alignment"][-1] == pytest.approx(100, abs=1e-3)
    assert all(later >= earlier - 1e-9 for earlier, later in pairwise(result["alignment"]))
    assert json.dumps(result, allow_nan=False)


def test_bad_targets_and_dimensions(data):
    with pytest.raises(UserError, match="from 1 to 144"):
        align(data, k=[0])
    with pytest.raises(UserError, match="did you mean 'band'"):
        align(data, target="bnd(low=0.2)")


def test_one_class_and_equal_images_are_refused():
    images = torch.randint(0, 256, (50, 1, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    one = Split(images, torch.zeros(50, dtype=torch.int64))
    with pytest.raises(UserError, match="of one class"):
        align(ImageData("one", one, one, 2), k=[3])
    alike = Split(torch.full_like(images, 7), torch.arange(50) % 2)
    with pytest.raises(UserError, match="all alike"):
        align(ImageData("alike", alike, alike, 2), k=[3])


def test_fewer_images_than_dimensions():
    """Slow: from the N x N side, by the singular vectors of the images; beside it noise that changes nothing."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (50, 1, 12, 12), dtype=torch.uint8, generator=generator)
    labels = torch.arange(50) % 3
    split = Split(images, labels)
    result = align(ImageData("few", split, split, 3), noise=["gaussian(sigma=1)", "mask(ratio=0.5, patch=2)"])
    flat = images.flatten(1).double()
    left = torch.linalg.svd(flat - flat.mean(0), full_matrices=False).U[:, :49]
    onehot = torch.nn.functional.one_hot(labels, 3).double()
    energy = ((left.T @ (onehot - onehot.mean(0))).square() * onehot.mean(0)).sum(1)
    expected = 100 * (energy.cumsum(0) / energy.sum()).sqrt()
    assert result["alignment"][:49] == pytest.approx(expected.tolist(), rel=1e-6)
    assert result["noises"][0]["alignment"][:49] == pytest.approx(expected.tolist(), rel=1e-6)
    assert result["noises"][1]["alignment"][143] == pytest.approx(100)
    assert result["chance"][48] == pytest.approx(100)
