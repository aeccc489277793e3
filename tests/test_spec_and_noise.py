import math

import pytest
import torch

from ssl_bench.data.frequency import radial_frequency
from ssl_bench.errors import UserError
from ssl_bench.noise import canonical, make_noise
from ssl_bench.noise.stationary import unit_gain
from ssl_bench.spec import parse_spec

SPECS = [
    "gaussian(sigma=0.5)",
    "power_law(alpha=1, sigma=0.3)",
    "power_law(alpha=-2, sigma=1)",
    "band(low=0.1, high=0.3, sigma=0.5)",
    "mask(ratio=0.6, patch=4)",
    "mask(ratio=0.5, patch=5)",
]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    "text",
    ["gaussian(sigma=0.5)", "compose(parts=[gaussian(sigma=1), mask(ratio=0.5, patch=4)], p=(0.1, 0.5))", "white()"],
)
def test_the_text_form_reads_back(text):
    assert str(parse_spec(text)) == text
    assert parse_spec(str(parse_spec(text))) == parse_spec(text)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("power_law(alpha=)", "power_law(alpha=>>>)"),
        ("gaussian(0.5)", "gaussian(>>>0.5)"),
        ("gaussian(sigma=1+)", ">>>"),
        ("gaussian(sigma=__import__('os'))", "needs a key"),
        ("3", "is not a name"),
        ("", "cannot be read"),
        ("gaussian(sigma=x.y)", "gaussian(sigma=>>>x.y)"),
    ],
)
def test_bad_text_points_at_the_place(text, place):
    with pytest.raises(UserError) as caught:
        parse_spec(text)
    assert place in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gausian(sigma=1)", "did you mean 'gaussian'"),
        ("mask(ratio=1.5, patch=4)", "'ratio' = 1.5"),
        ("mask(rato=0.5, patch=4)", "did you mean 'ratio'"),
        ("gaussian(sigma=-1)", "'sigma' = -1"),
        ("gaussian()", "'sigma' is missing"),
        ("power_law(alpha=inf, sigma=1)", "alpha"),
        ("band(low=0.3, high=0.2, sigma=1)", "low=0.3 is above high=0.2"),
        ("band(low=0, high=0.6, sigma=1)", "'high' = 0.6"),
    ],
)
def test_bad_arguments_are_named(text, words):
    with pytest.raises(UserError) as caught:
        make_noise(text)
    assert words in str(caught.value)


@pytest.mark.parametrize("text", SPECS)
@pytest.mark.parametrize("shape", [(3, 1, 8, 8), (2, 3, 28, 28), (2, 3, 9, 13)])
def test_contract_every_noise(text, shape):
    noise, images = make_noise(text), torch.randn(shape, generator=generator(1))
    before = images.clone()
    first, again, other = (noise.sample(images, generator(seed)) for seed in (3, 3, 4))
    assert first.shape == images.shape
    assert first.dtype == images.dtype
    assert torch.equal(images, before), "the input must not change"
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first[0] - images[0], first[1] - images[1]), "each image has its own draw"


def test_gaussian_and_power_law_have_the_variance_they_say():
    images = torch.zeros(2000, 1, 16, 16)
    for text in (
        "gaussian(sigma=0.5)",
        "power_law(alpha=2, sigma=0.5)",
        "power_law(alpha=-1, sigma=0.5)",
        "band(low=0, high=0.3, sigma=0.5)",
    ):
        variance = make_noise(text).sample(images, generator()).double().square().mean((0, 1))
        # 2,000 draws of a variance have a relative deviation of sqrt(2 / 2000) = 3 %; six of them over 256 pixels.
        assert torch.allclose(variance, torch.full_like(variance, 0.25), rtol=6 * math.sqrt(2 / 2000))


def test_power_law_has_the_spectrum_it_says():
    noise = make_noise("power_law(alpha=2, sigma=1)").sample(torch.zeros(4000, 1, 16, 16), generator()).double()
    power = torch.fft.fft2(noise, norm="ortho").abs().square().mean((0, 1))
    frequency = torch.hypot(torch.fft.fftfreq(16)[:, None], torch.fft.fftfreq(16)[None, :]).double()
    expected = torch.where(frequency > 0, frequency, torch.inf).pow(-2)
    expected = expected * 256 / expected.sum()
    assert power[0, 0] < 1e-9
    ratio = (power / expected).flatten()[1:]
    assert (ratio - 1).abs().max() < 6 * math.sqrt(2 / 4000)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 9), (8, 9)])
def test_a_gain_is_scaled_to_unit_variance_over_the_full_plane(height, width):
    half = radial_frequency(height, width).add(0.1).pow(-1.5)
    rows, columns = torch.fft.fftfreq(height).double()[:, None], torch.fft.fftfreq(width).double()[None, :]
    full = torch.hypot(rows, columns).add(0.1).pow(-1.5)
    expected = (full * full.numel() / full.sum()).sqrt()[:, : width // 2 + 1]
    assert torch.allclose(unit_gain(half, width).double(), expected, rtol=1e-6)


def test_band_noise_stays_in_its_band():
    noise = make_noise("band(low=0.125, high=0.25, sigma=2)").sample(torch.zeros(3000, 1, 16, 16), generator()).double()
    power = torch.fft.fft2(noise, norm="ortho").abs().square().mean((0, 1))
    frequency = torch.hypot(torch.fft.fftfreq(16)[:, None], torch.fft.fftfreq(16)[None, :])
    inside = (frequency >= 0.125) & (frequency <= 0.25)
    assert power[~inside].max() < 1e-9
    assert torch.allclose(power[inside], torch.full_like(power[inside], 4 * 256 / int(inside.sum())), rtol=0.15)
    assert noise.square().mean() == pytest.approx(4, rel=0.02)


def test_mask_drops_whole_patches_at_its_ratio():
    masked = make_noise("mask(ratio=0.3, patch=4)").sample(torch.ones(4000, 2, 8, 8), generator())
    assert torch.equal(masked[:, 0], masked[:, 1]), "all channels together"
    patches = masked[:, 0].unfold(1, 4, 4).unfold(2, 4, 4).flatten(3)
    assert torch.equal(patches.amin(3), patches.amax(3)), "a patch is whole or gone"
    dropped = (patches[..., 0] == 0).double().mean((0, 1, 2))
    assert abs(float(dropped) - 0.3) < 5 * math.sqrt(0.3 * 0.7 / 16000)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("power_law( sigma=0.30,alpha=1.0 )", "power_law(alpha=1, sigma=0.3)"),
        ("gaussian(sigma=(0.1, 0.5))", "gaussian(sigma=(0.1, 0.5))"),
        ("color_mask(ratio=0.5, color=red)", "color_mask(color=red, ratio=0.5)"),
        (
            "compose(parts=[mask(patch=4, ratio=.5), gaussian(sigma=1.)])",
            "compose(parts=[mask(ratio=0.5, patch=4), gaussian(sigma=1)])",
        ),
        ("schedule(to=blur(sigma=1), from=gaussian(sigma=1))", "schedule(from=gaussian(sigma=1), to=blur(sigma=1))"),
        ("spectrum(gains=[1, 0.5])", "spectrum(gains=[1, 0.5])"),
    ],
)
def test_there_is_one_way_to_write_a_noise(text, expected):
    assert canonical(text) == expected
    assert canonical(expected) == expected


def test_a_spectrum_from_a_file_is_recorded_as_its_gains(tmp_path):
    file = tmp_path / "gains.json"
    file.write_text("[1, 0.5]")
    assert canonical(f"spectrum(file='{file}', sigma=2)") == "spectrum(gains=[1, 0.5], sigma=2)"
    for text in ("[1, NaN]", "[-1]", "[]", "123", '{"4": 1}'):
        file.write_text(text)
        with pytest.raises(UserError):
            make_noise(f"spectrum(file='{file}')")
