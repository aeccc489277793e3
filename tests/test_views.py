"""Batched views as objectives get them: standardised, noisy, reproducible, each in its place."""

import pytest
import torch
from view_cases import EVERYTHING, random_images, seeded

from ssl_bench.data.images import Statistics
from ssl_bench.data.views import Recipe, make_views, recipe_for
from ssl_bench.noise.base import Noise
from ssl_bench.noise.gaussian import Gaussian

RGB = Statistics((0.4, 0.5, 0.6), 0.25)
GREY = Statistics((0.3,), 0.2)


@pytest.mark.parametrize(("channels", "statistics"), [(3, RGB), (1, GREY)])
def test_same_seed_same_views_whatever_the_global_seed(channels, statistics):
    images = random_images(20, channels, 32)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = make_views(images, 2, EVERYTHING, statistics, Gaussian(sigma=0.1), seeded(9))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    again = make_views(images, 2, EVERYTHING, statistics, Gaussian(sigma=0.1), seeded(9))
    other = make_views(images, 2, EVERYTHING, statistics, Gaussian(sigma=0.1), seeded(10))
    assert torch.equal(first, again)
    assert first.shape == (2, 20, channels, 32, 32)
    assert all(not torch.equal(one, two) for one, two in zip(first.flatten(0, 1), other.flatten(0, 1), strict=True))


def test_views_of_one_image_differ_and_keep_their_place():
    # Each image is a constant of its own; crops and flips keep it, so a view out of place shows.
    images = torch.arange(0, 250, 10, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 16, 16)
    views = make_views(images, 3, recipe_for("crop", 16), RGB, None, seeded())
    expected = RGB.standardise(images.float() / 255)
    torch.testing.assert_close(views, expected.expand(3, *expected.shape), rtol=0, atol=1e-5)
    textured = make_views(random_images(10, 3, 16), 2, recipe_for("simclr", 16), RGB, None, seeded())
    assert all(not torch.equal(one, two) for one, two in zip(textured[0], textured[1], strict=True))


def test_views_continue_the_generator():
    images, generator = random_images(4, 3, 16), seeded()
    first = make_views(images, 1, EVERYTHING, RGB, None, generator)
    assert not torch.equal(first, make_views(images, 1, EVERYTHING, RGB, None, generator))


class Offset(Noise):
    """Adds one: whatever comes after it shows."""

    def sample(self, images, generator):
        return images + 1

    def second_map(self, matrix, shape):
        return matrix + 1


@pytest.mark.parametrize("recipe", [Recipe(), EVERYTHING])
def test_noise_acts_after_standardisation(recipe):
    images = random_images(10, 3, 16)
    clean = make_views(images, 2, recipe, RGB, None, seeded())
    assert torch.equal(make_views(images, 2, recipe, RGB, Offset(), seeded()), clean + 1)


def test_noise_alone_makes_independent_views():
    images = random_images(30, 3, 16)
    clean = RGB.standardise(images.float() / 255)
    noise = make_views(images, 2, recipe_for("none", 16), RGB, Gaussian(sigma=0.5), seeded()) - clean
    assert abs(float(noise.std()) - 0.5) < 0.01
    assert abs(float((noise[0] * noise[1]).mean())) < 0.01


@pytest.mark.parametrize(("channels", "statistics"), [(3, RGB), (1, GREY)])
def test_no_recipe_is_the_standardised_image(channels, statistics):
    images = random_images(5, channels, 28)
    before = images.clone()
    expected = statistics.standardise(images.float() / 255)
    for count in (1, 2):
        views = make_views(images, count, recipe_for("none", 28), statistics, None, seeded())
        assert torch.equal(views, torch.stack([expected] * count))
        views.zero_()
    assert torch.equal(images, before)


def test_generator_must_be_on_the_images_device():
    images = torch.empty((2, 3, 8, 8), dtype=torch.uint8, device="meta")
    with pytest.raises(ValueError, match="the generator is on cpu, the images are on meta"):
        make_views(images, 1, EVERYTHING, RGB, None, seeded())
