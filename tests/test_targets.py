"""Targets: what a loss asks for, its weight, and the way back."""

import pytest
import torch

from ssl_bench.config import Config, validate
from ssl_bench.data.images import ImageData, Split
from ssl_bench.data.moments import eigenbasis
from ssl_bench.errors import UserError
from ssl_bench.objectives import OBJECTIVES
from ssl_bench.resolve import drop_unused, resolve
from ssl_bench.targets import TARGETS, canonical_target, make_target

SPECS = [
    "pca(gains=[0, 1, 3])",
    "pca(gains=[2, 1, 0.5])",
    "bottom(share=0.2)",
    "top(share=0.7)",
    "spectrum(gains=[0, 1, 4])",
    "spectrum(gains=[1, 1])",
    "band(low=0.2)",
    "band(low=0.1, high=0.3)",
]
SHAPE = (2, 6, 6)


@pytest.fixture(scope="module")
def data():
    generator = torch.Generator().manual_seed(0)
    smooth = torch.randn(500, *SHAPE, generator=generator).cumsum(-1).cumsum(-2) + 3 * torch.randn(SHAPE)
    split = Split((128 + 10 * smooth).clamp(0, 255).round().to(torch.uint8), torch.arange(500) % 3)
    return ImageData("smooth", split, split, 3)


def centred(data):
    images = data.standardised(data.train.images)
    return images, images - images.mean(0)


@pytest.mark.parametrize("text", SPECS)
def test_contract_every_target(text, data):
    """The weight map is A^T A of what is asked, the variance stays, and the way back is exact where asked."""
    target = make_target(text).prepare(data)
    images, about_mean = centred(data)
    asked = target.ask(images)
    assert asked.shape == images.shape
    assert asked.dtype == images.dtype
    assert float(asked.square().sum()) == pytest.approx(float(about_mean.square().sum()), rel=1e-4)
    weight = target.weight_map(SHAPE)
    flat = about_mean.flatten(1).double()
    expected = (flat @ weight * flat).sum(1)
    assert torch.allclose(asked.flatten(1).double().square().sum(1), expected, rtol=1e-4, atol=1e-4)
    again = target.ask(target.undo(asked))
    assert torch.allclose(again, asked, atol=1e-4)
    assert torch.allclose(target.undo(torch.zeros_like(images)), images.mean(0).expand_as(images), atol=1e-5)


def test_every_target_is_under_contract():
    assert {text.partition("(")[0] for text in SPECS} == set(TARGETS)


def test_weights_by_component(data):
    basis = eigenbasis(data)
    diagonal = make_target("pca(gains=[0, 1, 3])").prepare(data).diagonal(basis.variances, basis.components)
    full = basis.components.T @ make_target("pca(gains=[0, 1, 3])").prepare(data).weight_map(SHAPE) @ basis.components
    assert torch.allclose(full, torch.diag(diagonal), atol=1e-9)
    levels = diagonal.unique()
    assert len(levels) == 3
    assert float(levels[2] / levels[1]) == pytest.approx(3)
    assert make_target("band(low=0.2)").prepare(data).diagonal(basis.variances, basis.components) is None


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.9, 1.0])
def test_shares_of_variance(share, data):
    """The fewest components from the end that hold the share."""
    variances = eigenbasis(data).variances
    for name, order in (("bottom", variances.flip(0)), ("top", variances)):
        kept = make_target(f"{name}(share={share})").weights(variances)
        count = int(kept.sum())
        held = order.cumsum(0) / variances.sum()
        assert held[count - 1] >= share - 1e-9
        assert count == 1 or held[count - 2] < share
        assert torch.equal(kept, kept.sort(descending=name == "top").values)


def test_a_uniform_target_is_the_image_about_its_mean(data):
    images, about_mean = centred(data)
    for text in ("spectrum(gains=[1, 1])", "bottom(share=1)", "pca(gains=[2, 2])"):
        assert torch.allclose(make_target(text).prepare(data).ask(images), about_mean, atol=1e-4), text


def test_band_is_a_high_pass(data):
    images, about_mean = centred(data)
    asked = make_target("band(low=0.2)").prepare(data).ask(images)
    power = torch.fft.fft2(asked).abs()
    frequency = torch.hypot(torch.fft.fftfreq(6)[:, None], torch.fft.fftfreq(6)[None, :])
    assert float(power[..., frequency < 0.2].max()) < 1e-3
    before = torch.fft.fft2(about_mean).abs()[..., frequency >= 0.2]
    ratio = power[..., frequency >= 0.2] / before
    assert float(ratio.std() / ratio.mean()) < 1e-3


def test_canonical_form():
    assert canonical_target("band( high=0.3,low = 0.10)") == "band(low=0.1, high=0.3)"
    assert canonical_target("pca(gains=[1,2.0])") == "pca(gains=[1, 2])"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pac(gains=[1])", "did you mean 'pca'"),
        ("pca(gain=[1])", "did you mean 'gains'"),
        ("pca(gains=[])", "gains"),
        ("pca(gains=[-1])", "gains"),
        ("bottom(share=0)", "share"),
        ("bottom(share=1.2)", "share"),
        ("band(low=0.3, high=0.2)", "is above"),
        ("band(low=0.6)", "low"),
        ("pca(gains=", "cannot be read"),
    ],
)
def test_bad_targets_are_one_line(text, words):
    with pytest.raises(UserError) as caught:
        make_target(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_targets_that_ask_for_nothing_and_too_many_gains(data):
    with pytest.raises(UserError, match="every weight is zero"):
        make_target("pca(gains=[0, 0])").prepare(data)
    with pytest.raises(UserError, match="asks for nothing"):
        make_target("spectrum(gains=[0, 0])").prepare(data)
    with pytest.raises(UserError, match="100 gains"):
        make_target(f"pca(gains={[1] * 100})").prepare(data)
    with pytest.raises(UserError, match="prepare it"):
        make_target("pca(gains=[1])").ask(torch.zeros(1, *SHAPE))


def test_only_reconstructing_objectives_take_a_target(data):
    taking = {name for name in OBJECTIVES if OBJECTIVES.get(name).takes_target}
    assert taking == {"autoencoder", "denoising", "mae"}
    config = validate(Config, {"objective": {"name": "simclr"}, "target": "band(low=0.2)"})
    assert drop_unused(config).target is None
    with pytest.raises(UserError, match="takes no target"):
        resolve(config, data)
