"""Every family's closed moments against 100,000 samples, and the grammar of the families."""

import numpy as np
import pytest
import torch

from ssl_bench.data.images import ImageData, Split
from ssl_bench.errors import UserError
from ssl_bench.noise import NOISES, make_noise
from ssl_bench.spec import parse_spec

SPECS = [
    "gaussian(sigma=0.5)",
    "gaussian(sigma=(0.2, 0.9))",
    "power_law(alpha=1, sigma=0.7)",
    "power_law(alpha=-2, sigma=(0.1, 1))",
    "band(low=0.1, high=0.3, sigma=0.5)",
    "notch(low=0.1, high=0.3, sigma=0.5)",
    "oriented(angle=30, width=20, alpha=1, sigma=0.6)",
    "oriented(angle=90, sigma=0.6)",
    "spectrum(gains=[2, 0, 0.5])",
    "pca(gains=[2, 0, 0.5])",
    "speckle(sigma=0.8)",
    "mask(ratio=0.6, patch=2)",
    "mask(ratio=(0.2, 0.9), patch=4)",
    "block_mask(size=0.5)",
    "color_mask(color=red, ratio=0.6)",
    "color_mask(color=green, ratio=0.3)",
    "color_mask(color=blue, ratio=0.75)",
    "color_mask(color=purple, ratio=0.5)",
    "channel_mask(ratio=0.4)",
    "frequency_mask(cutoff=0.2)",
    "frequency_mask(cutoff=0.2, keep=low)",
    "frequency_mask(cutoff=0.2, keep=high)",
    "pca_mask(ratio=0.3)",
    "pca_mask(ratio=(0.1, 0.9))",
    "patch_pca(patch=2, components=3, sigma=0.7)",
    "blur(sigma=1)",
    "downsample(factor=2)",
    "downsample(factor=4)",
    "compose(parts=[mask(ratio=0.5, patch=2), gaussian(sigma=0.4)])",
    "compose(parts=[power_law(alpha=2, sigma=1), speckle(sigma=0.3), blur(sigma=0.5)])",
    "mixture(parts=[gaussian(sigma=1), mask(ratio=0.5, patch=2), blur(sigma=1)], weights=[1, 2, 1])",
    "schedule(from=gaussian(sigma=2), to=gaussian(sigma=0.5))",
]
SHAPE = (2, 6, 6)


@pytest.fixture(scope="module")
def data():
    generator = torch.Generator().manual_seed(0)
    smooth = torch.randn(500, *SHAPE, generator=generator).cumsum(-1).cumsum(-2)
    split = Split((128 + 10 * smooth).clamp(0, 255).round().to(torch.uint8), torch.arange(500) % 3)
    return ImageData("smooth", split, split, 3)


def prepared(text, data):
    return make_noise(text).prepare(data)


@pytest.mark.parametrize("text", SPECS)
def test_closed_moments_against_samples(text, data):
    """100,000 noisy copies of a few images whose second moment is known exactly: every entry within 6.5 deviations."""
    count, dimension = 100_000, 72
    base = data.standardised(data.train.images[:5])
    flat = base.flatten(1).double()
    second = flat.T @ flat / 5
    noise = prepared(text, data)
    generator = torch.Generator().manual_seed(1)
    clean = base.repeat(count // 5, 1, 1, 1)
    noisy = torch.cat([noise.sample(part, generator) for part in clean.split(10_000)]).flatten(1).double()
    expected = noise.mean_map(second, SHAPE), noise.second_map(second, SHAPE)
    for other, closed in ((clean.flatten(1).double(), expected[0]), (noisy, expected[1])):
        mean = noisy.T @ other / count
        deviation = ((noisy**2).T @ other**2 / count - mean**2).clamp(min=0).sqrt() / count**0.5
        assert closed.shape == (dimension, dimension)
        assert ((mean - closed).abs() <= 6.5 * deviation + 2e-5).all(), float(
            ((mean - closed).abs() - 6.5 * deviation).max()
        )


@pytest.mark.parametrize("text", SPECS)
@pytest.mark.parametrize("shape", [SHAPE, (3, 8, 8)])
def test_contract_every_family(text, shape, data):
    if shape != SHAPE and any(name in text for name in ("pca",)):
        images = torch.randint(0, 256, (300, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        split = Split(images, torch.arange(300) % 3)
        data = ImageData("other", split, split, 3)
    noise = prepared(text, data)
    images = torch.randn((4, *shape), generator=torch.Generator().manual_seed(1))
    before = images.clone()
    first, again, other = (noise.sample(images, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))
    assert first.shape == images.shape
    assert first.dtype == images.dtype
    assert torch.isfinite(first).all()
    assert torch.equal(images, before)
    assert torch.equal(first, again)
    fixed = parse_spec(text).name in ("blur", "downsample") or "keep=low" in text or "keep=high" in text
    assert torch.equal(first, other) == fixed


def test_every_family_is_under_contract():
    assert {parse_spec(text).name for text in SPECS} == set(NOISES)


def test_second_maps_are_positive_and_symmetric(data):
    flat = data.standardised(data.train.images).flatten(1).double()
    second = flat.T @ flat / len(flat)
    for text in SPECS:
        moments = prepared(text, data).second_map(second, SHAPE)
        assert torch.allclose(moments, moments.T, atol=1e-9), text
        assert torch.linalg.eigvalsh(moments).min() > -1e-8, text


def test_a_schedule_moves_from_one_to_the_other():
    noise = make_noise("schedule(from=gaussian(sigma=2), to=gaussian(sigma=0.5))")
    images = torch.zeros(4000, 1, 6, 6)
    spread = [
        float(noise.at(progress).sample(images, torch.Generator().manual_seed(0)).square().mean())
        for progress in (0, 0.5, 1)
    ]
    assert spread == pytest.approx([4, 2.125, 0.25], rel=0.05)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gaussian(sigma=(0.5, 0.1))", "goes down"),
        ("mask(ratio=(0.5, 1.1), patch=2)", "ratio"),
        ("band(low=0.1, high=0.7, sigma=1)", "'high' = 0.7"),
        ("spectrum(gains=[])", "gains"),
        ("spectrum(sigma=1)", "give either gains"),
        ("color_mask(color=pink, ratio=0.5)", "color"),
        ("compose(parts=[gausian(sigma=1)])", "did you mean 'gaussian'"),
        ("compose(parts=[gaussian(sigma=-1)])", "'sigma"),
        ("mixture(parts=[gaussian(sigma=1)], weights=[1, 2])", "1 parts but 2 weights"),
        ("frequency_mask(cutoff=0.9)", "'cutoff' = 0.9"),
    ],
)
def test_bad_specs_are_one_line(text, words):
    with pytest.raises(UserError) as caught:
        make_noise(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_noise_of_components_wants_its_dataset(data):
    with pytest.raises(UserError, match="prepare it with a dataset"):
        make_noise("pca_mask(ratio=0.5)").sample(torch.zeros(1, *SHAPE), torch.Generator())
    with pytest.raises(UserError, match="does not divide the image size 6"):
        prepared("patch_pca(patch=4, components=2, sigma=1)", data)
    with pytest.raises(UserError, match="has only 8 pixels"):
        prepared("patch_pca(patch=2, components=20, sigma=1)", data)


def test_stationary_covariance_is_the_transform_of_its_power():
    noise = make_noise("power_law(alpha=2, sigma=0.7)")
    covariance = noise.second_map(torch.zeros(48, 48, dtype=torch.float64), (1, 6, 8)).numpy()
    fourier = np.fft.fft2(np.eye(48).reshape(48, 6, 8), norm="ortho").reshape(48, 48)
    diagonal = (fourier.conj().T @ covariance @ fourier).real.diagonal().reshape(6, 8)
    rows, columns = np.fft.fftfreq(6)[:, None], np.fft.fftfreq(8)[None, :]
    with np.errstate(divide="ignore"):
        power = np.where(np.hypot(rows, columns) > 0, 1 / (rows**2 + columns**2), 0)
    assert np.allclose(diagonal, 0.49 * 48 * power / power.sum())
