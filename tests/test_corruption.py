"""What an encoder is shown while it trains: the examples, and the power of the noise in each band."""

import json

import pytest
import torch
from conftest import make_config
from safetensors.torch import load_file

from ssl_bench.data.load import load_dataset
from ssl_bench.measuring import analyze
from ssl_bench.spectrum.bench import make_bench
from ssl_bench.subjects import load_subject
from ssl_bench.training.pretraining import pretrain

SMALL = ["analysis.view_samples=20", "analysis.views=3", "analysis.altered_samples=20", "analysis.wave_samples=1"]
BASES = ("pca", "patch_pca", "radial", "dct")


def made(folder, *words):
    """A run with its last snapshot analyzed: what was found, the arrays, its bench."""
    config = make_config("training.epochs=1", *SMALL, *words)
    data = load_dataset(config.dataset)
    run = pretrain(config, folder / "run", data)
    found = analyze(run.path, config.analysis.model_copy(update={"snapshot": "last"}), data)
    return run, found, load_file(run.arrays_file), make_bench(data, config.analysis)


def test_white_noise_has_its_power_in_every_direction(tmp_path):
    run, found, arrays, bench = made(tmp_path, "objective=denoising", "backbone=mlp", "noise=gaussian(sigma=2)")
    for targets in bench.targets:
        expected = 4 * targets.basis.directions / targets.reference
        measured = torch.tensor(found["noise_power"][targets.basis.name], dtype=torch.float64)
        assert torch.allclose(measured, expected.double(), rtol=0.3), "within what 100 images scatter"
    assert float(arrays["noisy"].min()) < 0, "its range is kept"
    noise = (arrays["noisy"] - arrays["images"]) / bench.data.statistics.std
    assert float(noise.std()) == pytest.approx(2, rel=0.15)
    last = run.last_step
    assert torch.equal(arrays["reconstructions"], arrays[f"reconstructions/{last}"])
    again = analyze(run.path, None, bench.data)
    arrays = load_file(run.arrays_file)
    steps = [row["step"] for row in again["snapshots"]]
    assert len(steps) > 1
    assert all(f"reconstructions/{step}" in arrays for step in steps)
    assert again["noise_power"] == found["noise_power"]
    assert json.loads(run.spectrum_file.read_text())["noise_power"] == found["noise_power"]


def test_the_noise_of_views_is_measured_where_nothing_is_reconstructed(tmp_path):
    _, found, arrays, bench = made(
        tmp_path, "objective=simclr", "backbone=mlp", "views.noise=band(low=0.25, high=0.5, sigma=1)"
    )
    power = found["noise_power"]["radial"]
    rings = next(one.basis for one in bench.targets if one.basis.name == "radial").bands
    for ring, value in zip(rings, power, strict=True):
        assert (value > 0.01) == (ring.high > 0.25), ring
    assert set(arrays) >= {"images", "noisy"}
    assert not any(name.startswith("reconstructions") for name in arrays)


def test_mae_shows_the_visible_patches_and_the_mean(tmp_path):
    run, found, arrays, bench = made(tmp_path, "objective=mae", "objective.ratio=0.5", "backbone=vit_micro")
    assert all(len(found["noise_power"][basis]) for basis in BASES)
    clean, shown = (bench.data.statistics.standardise(arrays[name]) for name in ("images", "noisy"))
    kept = (shown - clean).abs() < 1e-5
    assert torch.allclose(shown[~kept], torch.zeros(()), atol=1e-5)
    subject = load_subject(run, run.config(), bench.data, run.last_step)
    ones = torch.ones_like(clean)
    mask = subject.corrupt(ones, torch.Generator().manual_seed(0))
    assert sorted(mask.unique().tolist()) == [0, 1]
    assert torch.allclose(mask.flatten(1).mean(1), torch.tensor(0.5))


def test_a_schedule_is_measured_as_it_is_on_average(tmp_path):
    spec = "schedule(from=gaussian(sigma=2), to=gaussian(sigma=1e-6))"
    _, found, _, bench = made(tmp_path, "objective=denoising", "backbone=mlp", f"noise={spec}")
    targets = next(one for one in bench.targets if one.basis.name == "radial")
    total = sum(p * float(r) for p, r in zip(found["noise_power"]["radial"], targets.reference, strict=True))
    size = bench.data.shape[0] * bench.data.shape[1] * bench.data.shape[2]
    assert total / size == pytest.approx(2, rel=0.25), "half of the images get a variance of 4"


@pytest.mark.parametrize("words", [("objective=autoencoder",), ("objective=simclr",)])
def test_where_nothing_is_corrupted_there_is_no_noise(tmp_path, words):
    _, found, arrays, _ = made(tmp_path, "backbone=mlp", *words)
    assert found["noise_power"] is None
    assert "noisy" not in arrays
