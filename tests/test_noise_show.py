"""What show says of a noise, against the definitions; its picture; the command line of noises."""

import json

import pytest
import torch
from commands import ssl_bench

from ssl_bench.config import ShowConfig
from ssl_bench.data.digits import Digits
from ssl_bench.data.moments import eigenbasis
from ssl_bench.data.spectral import Spectral
from ssl_bench.errors import UserError
from ssl_bench.noise import make_noise
from ssl_bench.seeds import make_generator
from ssl_bench.showing import example_images, portray, preview, show, verdict


@pytest.fixture(scope="module")
def data():
    return Spectral(classes=4, size=16, share=0.1, band=(0.15, 0.4), samples=1200, test_samples=100).load(
        [], download=False
    )


def settings(**changes):
    return ShowConfig(latent_dim=20, bands=5, **changes)


def test_additive_noise_by_its_definition(data):
    """nu_k and s_k of stationary noise against sums over samples of the noise itself."""
    portrait = portray("power_law(alpha=2, sigma=0.8)", settings(), data)
    noise = make_noise("power_law(alpha=2, sigma=0.8)")
    drawn = noise.sample(torch.zeros(20_000, 1, 16, 16), torch.Generator().manual_seed(0)).flatten(1).double()
    along = (drawn @ portrait.problem.components).square().mean(0)
    assert torch.allclose(portrait.powers.noise, along, rtol=0.1, atol=1e-4)
    variances = portrait.powers.data
    assert torch.allclose(portrait.powers.scores, variances**2 / (variances + portrait.powers.noise))
    assert not portrait.exact


def test_a_mask_is_noise_at_the_input(data):
    """Half of all pixels gone: E[T] = 1/2, and what is added within patches is what its twin would add."""
    portrait = portray("mask(ratio=0.5, patch=1)", settings(), data)
    second = portrait.problem.train.second
    twin = torch.diag(second.diagonal())
    axes = portrait.problem.components
    assert torch.allclose(portrait.powers.noise, (axes * (twin @ axes)).sum(0), atol=1e-8)


def test_white_noise_leaves_everything_in_place(data):
    result = show("gaussian(sigma=1)", settings(), data)
    assert result["exact"]
    assert "cannot help" in result["verdict"]
    assert max(result["subspace_distance"]) < 1e-4
    assert result["power"] == pytest.approx(1, rel=1e-6)
    for band in result["pca"]:
        assert band["noise"] == pytest.approx(1, rel=1e-6)
        assert band["rank"] == band["rank_with_noise"]
        assert band["kept"] == pytest.approx(band["kept_with_noise"], abs=1e-6)
    for ring in result["radial"]:
        assert ring["noise"] == pytest.approx(1, rel=1e-4)


def test_noise_on_the_first_band_moves_exactly_that_band_down(data):
    result = show("pca(gains=[1e12, 0, 0, 0, 0])", settings(), data)
    first, *others = result["pca"]
    width = first["high"] + 1
    assert result["exact"]
    assert first["rank_with_noise"] == pytest.approx(len(eigenbasis(data).variances) - (width + 1) / 2)
    assert [band["rank_with_noise"] for band in others] == pytest.approx([band["rank"] - width for band in others])
    assert first["kept_with_noise"] == pytest.approx(0, abs=1e-6)
    assert "turns the subspace most at K = " in result["verdict"]


def test_fractions_and_bands_add_up(data):
    result = show("band(low=0.1, high=0.3, sigma=2)", settings(), data)
    for basis in ("pca", "radial"):
        assert sum(band["variance_fraction"] for band in result[basis]) == pytest.approx(1, abs=1e-4)
        assert sum(band["score_fraction"] for band in result[basis]) == pytest.approx(1, abs=1e-4)
    assert sum(band["kept"] * (band["high"] - band["low"] + 1) for band in result["pca"]) == pytest.approx(20)
    kept = sum(band["kept_with_noise"] * (band["high"] - band["low"] + 1) for band in result["pca"])
    assert kept == pytest.approx(20, rel=1e-6)
    assert result["radial"][-1]["noise"] == pytest.approx(0, abs=1e-6)


def test_what_is_removed_altogether_has_no_finite_noise(data):
    result = show("frequency_mask(cutoff=0.25, keep=high)", settings(), data)
    assert result["radial"][0]["noise"] is None
    assert result["radial"][0]["score"] == 0
    json.dumps(result, allow_nan=False)


@pytest.mark.parametrize("spec", ["power_law(alpha=3, sigma=1)", "mask(ratio=0.5, patch=2)"])
def test_denoised_images_are_the_least_squares_ones(spec):
    """Slow: regression of clean images on the K codes of many noisy copies, on images with a mean image."""
    digits = Digits().load([], download=False)
    portrait = portray(spec, settings(), digits)
    clean, noisy, denoised = example_images(portrait)
    assert clean.shape == noisy.shape == denoised.shape == (8, 1, 8, 8)
    images = digits.standardised(digits.train.images).repeat(40, 1, 1, 1)
    copies = portrait.noise.sample(images, torch.Generator().manual_seed(5)).flatten(1).double()
    codes = torch.cat([copies @ portrait.solution, torch.ones(len(copies), 1, dtype=torch.float64)], dim=1)
    fitted = torch.linalg.lstsq(codes, images.flatten(1).double()).solution
    shown = portrait.noise.sample(digits.standardised(digits.test.images[:8]), make_generator(0, "noise preview"))
    code = torch.cat([shown.flatten(1).double() @ portrait.solution, torch.ones(8, 1, dtype=torch.float64)], dim=1)
    expected = digits.statistics.restore((code @ fitted).float().view(8, 1, 8, 8))
    assert float((expected - denoised).square().mean() / (clean - denoised).square().mean()) < 0.05


def test_verdicts():
    assert "cannot help" in verdict(torch.zeros(10))
    assert "K = 3" in verdict(torch.tensor([0.0, 0.1, 1.5, 0.4]))


def test_the_picture_and_its_numbers(data, tmp_path):
    out = tmp_path / "noise.png"
    result = preview("mask(ratio=0.5, patch=4)", settings(), out, data)
    assert out.read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "noise.json").read_text()) == result
    assert result["picture"] == str(out)
    with pytest.raises(UserError, match="a picture is"):
        preview("gaussian(sigma=1)", settings(), tmp_path / "noise.jpg", data)


def test_limits(data):
    with pytest.raises(UserError, match="vary in 25"):
        show("gaussian(sigma=1)", ShowConfig(latent_dim=257), data)


def test_noises_on_the_command_line(tmp_path):
    shown = ssl_bench("noise", "show", "gaussian(sigma=1)", "dataset=digits", "latent_dim=8", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "cannot help" in shown.stdout
    drawn = ssl_bench("noise", "preview", "blur(sigma=1)", "dataset=digits", "latent_dim=8", "--json", cwd=tmp_path)
    assert json.loads(drawn.stdout)["picture"] == "noise.png"
    aligned = ssl_bench(
        "align", "dataset=digits", "noise=[gaussian(sigma=1), mask(ratio=0.5, patch=2)]", "--out", "a.png", cwd=tmp_path
    )
    assert aligned.returncode == 0, aligned.stderr
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    made = ssl_bench(
        "noise", "design", "dataset=digits", "--latent-dim", "8", "--side", "both", "--knowledge", "bands",
        "--worth", "0,0,1,1,0", "--out", "d.yaml", "--json", cwd=tmp_path,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    result = json.loads(made.stdout)
    for key in ("noise", "knowledge", "latent_dim", "predicted", "gain_over_none", "gain_over_best_handmade"):
        assert key in result
    assert set(result["predicted"]) == {"k", "alignment", "held_out"}
    trained = ssl_bench("pretrain", "d.yaml", "training.epochs=1", "--out", "run", "--json", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    config = (tmp_path / "run" / "config.yaml").read_text()
    assert f"target: {result['target']}" in config


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "power_law(alpha=)"], "cannot be read here"),
        (["show", "gaussian(sigma=1)", "latent_dm=3"], "did you mean 'latent_dim'"),
        (["preview", "mask(ratio=1.5, patch=2)", "dataset=digits"], "ratio"),
        (["show", "pca(gains=[1,2])", "dataset=digits", "latent_dim=900"], "900"),
        (["design", "dataset=digits", "--knowledge", "magic"], "magic"),
        (["design", "dataset=digits", "latent_dim=5"], "--latent-dim 5"),
        (["design", "dataset=digits", "--labels", "1"], "labels"),
        (["design", "dataset=digits", "--worth", "1,2"], "--worth"),
        (["show", "mask(ratio=1, patch=2)", "dataset=digits"], "leaves nothing of the images"),
        (["show", "spectrum(file='none.json')", "dataset=digits"], "no JSON list"),
        (["show", f"spectrum(gains={[1] * 34})", "dataset=digits"], "34 gains, but at 8 pixels"),
    ],
)
def test_mistakes_are_one_line(words, said, tmp_path):
    result = ssl_bench("noise", *words, cwd=tmp_path)
    assert result.returncode == 2
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
