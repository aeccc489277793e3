"""Batched views: parity with torchvision for equal parameters, equal distributions of the parameters, determinism."""

from dataclasses import fields, replace
from itertools import permutations

import numpy as np
import pytest
import torch
from scipy import stats
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode
from torchvision.transforms import ColorJitter, RandomResizedCrop
from torchvision.transforms.v2 import functional as reference

from ssl_bench.config import ViewsConfig
from ssl_bench.data import augment
from ssl_bench.data.augment import apply, shifted
from ssl_bench.data.augment_parameters import BlurParameters, JitterParameters, ViewParameters, sample_parameters
from ssl_bench.data.images import Statistics
from ssl_bench.data.views import Recipe, make_views, recipe_for, resolve_recipe
from ssl_bench.errors import UserError
from ssl_bench.noise.base import Noise
from ssl_bench.noise.gaussian import Gaussian

EVERYTHING = Recipe(
    crop_scale=(0.08, 1.0), flip=0.5, jitter=0.8, jitter_strength=1.0, grayscale=0.2, blur=0.5, solarize=0.3
)
STAGES = {
    "crop": Recipe(crop_scale=(0.08, 1.0)),
    "crop_flip": Recipe(crop_scale=(0.2, 1.0), flip=0.5),
    "jitter": Recipe(jitter=0.8, jitter_strength=1.0),
    "grayscale": Recipe(grayscale=0.5),
    "blur": Recipe(blur=0.7),
    "solarize": Recipe(solarize=0.5),
    "everything": EVERYTHING,
}
RGB = Statistics((0.4, 0.5, 0.6), 0.25)
GREY = Statistics((0.3,), 0.2)


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    # Thousands of tiny operations: on a busy machine, threads waiting for each other cost ten times the work.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def random_images(count, channels, size, seed=0):
    """Noise is the hardest case of interpolation; the first image is grey and the second has flat areas."""
    images = torch.randint(0, 256, (count, channels, size, size), generator=seeded(seed), dtype=torch.uint8)
    images[0] = images[0, :1]
    images[1, :, : size // 2] = torch.tensor([0, 255, 128][:channels], dtype=torch.uint8).view(-1, 1, 1)
    return images


def torchvision_view(image, parameters, row):
    """One view by torchvision's functional calls, before solarize, and whether that follows. Shape ``(C, H, W)``."""
    image = image.float() / 255
    size = list(image.shape[-2:])
    if parameters.crop is not None:
        top, left, height, width = parameters.crop[row].tolist()
        image = reference.resized_crop(image, top, left, height, width, size, antialias=True)
    if parameters.flip is not None and parameters.flip[row]:
        image = reference.horizontal_flip(image)
    if parameters.jitter is not None and parameters.jitter.chosen[row]:
        adjust = [
            reference.adjust_brightness,
            reference.adjust_contrast,
            reference.adjust_saturation,
            reference.adjust_hue,
        ]
        for number in parameters.jitter.order[row].tolist():
            image = adjust[number](image, float(parameters.jitter.factors[row, number]))
    if parameters.grayscale is not None and parameters.grayscale[row]:
        image = reference.rgb_to_grayscale(image, num_output_channels=image.shape[0])
    if parameters.blur is not None and parameters.blur.chosen[row]:
        kernel = max(3, size[0] // 10 // 2 * 2 + 1)
        image = reference.gaussian_blur(image, [kernel, kernel], [float(parameters.blur.sigma[row])])
    return image, parameters.solarize is not None and bool(parameters.solarize[row])


def largest_error(views, images, parameters):
    errors = []
    for row, (view, image) in enumerate(zip(views, images, strict=True)):
        expected, inverted = torchvision_view(image, parameters, row)
        # At the threshold the last bit decides, and inverting is a jump: where it was rounded, leave such pixels out.
        decided = ((expected - 128 / 255).abs() > 1e-5) | (parameters.crop is None)
        expected = reference.solarize(expected, 128 / 255) if inverted else expected
        errors.append(float((view - expected).abs()[decided].max()))
    return max(errors)


@pytest.mark.parametrize("grouped", [True, False])
@pytest.mark.parametrize(("channels", "size", "count"), [(3, 32, 100), (1, 28, 60), (3, 64, 30), (3, 8, 40)])
@pytest.mark.parametrize("stage", STAGES)
def test_equals_torchvision(stage, channels, size, count, grouped):
    images = random_images(count, channels, size)
    parameters = sample_parameters(STAGES[stage], count, (size, size), seeded(1))
    views = apply(images, parameters, grouped=grouped)
    assert views.dtype == torch.float32
    assert largest_error(views, images, parameters) <= 1e-5


@pytest.mark.parametrize("stage", ["crop_flip", "everything"])
@pytest.mark.parametrize("size", [96, 224])
def test_equals_torchvision_on_large_images(stage, size):
    images = random_images(6, 3, size)
    parameters = sample_parameters(STAGES[stage], 6, (size, size), seeded(2))
    assert largest_error(apply(images, parameters), images, parameters) <= 1e-5


def test_each_colour_operation_alone():
    images = random_images(50, 3, 16).float() / 255
    checks = {
        augment.brightness: (reference.adjust_brightness, 0.0, 2.0),
        augment.contrast: (reference.adjust_contrast, 0.0, 2.0),
        augment.saturation: (reference.adjust_saturation, 0.0, 2.0),
        augment.hue: (reference.adjust_hue, -0.5, 0.5),
    }
    for ours, (theirs, low, high) in checks.items():
        factors = torch.linspace(low, high, 50)
        expected = torch.stack([theirs(image, float(factor)) for image, factor in zip(images, factors, strict=True)])
        torch.testing.assert_close(ours(images, factors), expected, rtol=0, atol=5e-6)


def test_every_order_of_the_colour_operations():
    orders = torch.tensor(list(permutations(range(4))))
    images = random_images(24, 3, 12)
    factors = torch.tensor([1.6, 0.4, 1.8, 0.3]).expand(24, 4)
    parameters = ViewParameters(jitter=JitterParameters(torch.ones(24, dtype=torch.bool), factors, orders))
    for grouped in (True, False):
        assert largest_error(apply(images, parameters, grouped=grouped), images, parameters) <= 1e-5


def test_images_of_other_channel_counts_keep_brightness_and_contrast():
    images = random_images(8, 3, 16)[:, [0, 1, 2, 0, 1]]
    parameters = sample_parameters(EVERYTHING, 8, (16, 16), seeded())
    assert apply(images, parameters).shape == images.shape
    jitter = JitterParameters(
        torch.ones(1, dtype=torch.bool), torch.tensor([[1.0, 0.5, 9.0, 0.4]]), torch.arange(4)[None]
    )
    one = images[:1].double() / 255
    expected = one.mean() + 0.5 * (one - one.mean())
    torch.testing.assert_close(apply(images[:1], ViewParameters(jitter=jitter)).double(), expected, rtol=0, atol=1e-6)


def test_a_crop_lets_nothing_in_from_outside():
    images = torch.full((1, 1, 20, 20), 255, dtype=torch.uint8)
    images[..., 5:9, 10:13] = 51
    view = apply(images, ViewParameters(crop=torch.tensor([[5, 10, 4, 3]])))
    torch.testing.assert_close(view, torch.full_like(view, 0.2))


def test_flip_alone_is_exact():
    images = random_images(40, 3, 9)
    flip = torch.arange(40) % 2 == 0
    expected = torch.where(flip[:, None, None, None], images.flip(-1), images).float() / 255
    assert torch.equal(apply(images, ViewParameters(flip=flip)), expected)


def test_images_given_are_left_alone():
    images = random_images(10, 3, 8).float() / 255
    before = images.clone()
    views = apply(images, sample_parameters(replace(EVERYTHING, crop_scale=None, flip=0), 10, (8, 8), seeded()))
    assert torch.equal(images, before)
    assert not torch.equal(views, before)


def test_blur_keeps_its_precision_under_autocast():
    images = random_images(4, 3, 32)
    parameters = ViewParameters(blur=BlurParameters(torch.ones(4, dtype=torch.bool), torch.full((4,), 1.5)))
    expected = apply(images, parameters)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(apply(images, parameters), expected)


def test_nothing_waits_for_the_device():
    # A fake tensor has no values: whatever asks for one (.item(), nonzero, a mask as an index) raises.
    with FakeTensorMode():
        images = torch.empty((6, 3, 32, 32), dtype=torch.uint8)
        parameters = sample_parameters(EVERYTHING, 6, (32, 32), torch.Generator())
        assert apply(images, parameters, grouped=False).shape == images.shape
        with pytest.raises((DataDependentOutputException, DynamicOutputShapeException)):
            apply(images, parameters, grouped=True)


@pytest.mark.parametrize(
    ("height", "width", "scale"), [(32, 32, (0.08, 1.0)), (32, 32, (0.9, 1.0)), (20, 48, (0.2, 1.0))]
)
def test_crops_are_distributed_as_in_torchvision(height, width, scale):
    count = 4000
    crop = sample_parameters(Recipe(crop_scale=scale), count, (height, width), seeded(3)).crop
    with torch.random.fork_rng():
        torch.manual_seed(4)
        blank = torch.empty(3, height, width)
        theirs = [RandomResizedCrop.get_params(blank, list(scale), [3 / 4, 4 / 3]) for _ in range(count)]
    ours, theirs = crop.double(), torch.tensor(theirs).double()
    assert bool(((ours[:, :2] >= 0) & (ours[:, 2:] > 0)).all())
    assert bool((ours[:, :2] + ours[:, 2:] <= torch.tensor([height, width])).all())
    for measure in (lambda box: box[:, 0], lambda box: box[:, 1], lambda box: box[:, 2], lambda box: box[:, 3],
                    lambda box: box[:, 2] * box[:, 3], lambda box: box[:, 3] / box[:, 2],
                    lambda box: box[:, 0] - (height - box[:, 2]) / 2):  # fmt: skip
        assert stats.ks_2samp(measure(ours).numpy(), measure(theirs).numpy(), method="asymp").pvalue > 1e-3


@pytest.mark.parametrize(("height", "width"), [(10, 60), (60, 10), (32, 32)])
def test_a_crop_that_cannot_fit_is_the_centre(height, width):
    scale = (0.99, 1.0)
    crop = sample_parameters(Recipe(crop_scale=scale, crop_ratio=(1.1, 1.2)), 5, (height, width), seeded()).crop
    expected = RandomResizedCrop.get_params(torch.empty(3, height, width), list(scale), [1.1, 1.2])
    assert crop.tolist() == [list(expected)] * 5


def test_colours_are_distributed_as_in_torchvision():
    count, strength = 4000, 1.0
    jitter = sample_parameters(Recipe(jitter=0.8, jitter_strength=strength), count, (8, 8), seeded(5)).jitter
    theirs = ColorJitter(0.8 * strength, 0.8 * strength, 0.8 * strength, 0.2 * strength)
    with torch.random.fork_rng():
        torch.manual_seed(6)
        draws = [
            theirs.get_params(theirs.brightness, theirs.contrast, theirs.saturation, theirs.hue) for _ in range(count)
        ]
    expected = torch.tensor([draw[1:] for draw in draws])
    for number in range(4):
        assert stats.ks_2samp(jitter.factors[:, number].numpy(), expected[:, number].numpy()).pvalue > 1e-3
    code = (jitter.order * torch.tensor([64, 16, 4, 1])).sum(1)
    _, times = code.unique(return_counts=True)
    assert len(times) == 24
    assert stats.chisquare(times.numpy()).pvalue > 1e-3
    # Independent of each other: no correlation between the factors, nor between images.
    correlation = torch.corrcoef(torch.cat((jitter.factors, jitter.chosen[:, None].float()), 1).T)
    assert float((correlation - torch.eye(5)).abs().max()) < 4 / count**0.5
    assert len(jitter.factors[:, 0].unique()) > 0.99 * count


def test_factors_stop_at_zero():
    factors = sample_parameters(Recipe(jitter=1, jitter_strength=2.0), 500, (8, 8), seeded()).jitter.factors
    assert float(factors[:, :3].min()) >= 0
    assert float(factors[:, :3].max()) > 2.4
    assert 0.38 < float(factors[:, 3].abs().max()) <= 0.4


@pytest.mark.parametrize("stage", ["flip", "jitter", "grayscale", "blur", "solarize"])
def test_probabilities(stage):
    def chosen(probability):
        recipe = Recipe(**{stage: probability, "jitter_strength": 0.5})
        drawn = getattr(sample_parameters(recipe, 4000, (16, 16), seeded(7)), stage)
        return drawn.chosen if stage in ("jitter", "blur") else drawn

    assert stats.binomtest(int(chosen(0.3).sum()), 4000, 0.3).pvalue > 1e-3
    assert bool(chosen(1.0).all())
    empty = sample_parameters(Recipe(jitter_strength=0.5), 4, (16, 16), seeded())
    assert all(getattr(empty, field.name) is None for field in fields(empty))


def test_blur_sigma_is_uniform():
    sigma = sample_parameters(Recipe(blur=0.5), 4000, (16, 16), seeded(8)).blur.sigma
    assert stats.kstest(sigma.numpy(), stats.uniform(0.1, 1.9).cdf).pvalue > 1e-3


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


def test_no_recipe_is_the_standardised_image():
    images = random_images(5, 1, 28)
    views = make_views(images, 2, recipe_for("none", 28), GREY, None, seeded())
    expected = GREY.standardise(images.float() / 255)
    assert torch.equal(views, torch.stack((expected, expected)))


def test_generator_must_be_on_the_images_device():
    images = torch.empty((2, 3, 8, 8), dtype=torch.uint8, device="meta")
    with pytest.raises(ValueError, match="the generator is on cpu, the images are on meta"):
        make_views(images, 1, EVERYTHING, RGB, None, seeded())


def test_named_recipes():
    assert recipe_for("none", 32).is_identity
    small, large = recipe_for("simclr", 64), recipe_for("simclr", 65)
    assert (small.jitter_strength, small.blur) == (0.5, 0.0)
    assert (large.jitter_strength, large.blur) == (1.0, 0.5)
    assert (small.crop_scale, small.flip, small.jitter, small.grayscale, small.solarize) == (
        (0.08, 1),
        0.5,
        0.8,
        0.2,
        0,
    )
    assert recipe_for("crop", 32) == Recipe(crop_scale=(0.2, 1), flip=0.5, jitter_strength=0.5)
    with pytest.raises(UserError, match="did you mean 'simclr'"):
        recipe_for("simcl", 32)


def test_a_configuration_overrides_the_recipe():
    assert resolve_recipe(ViewsConfig(), "simclr", 32) == recipe_for("simclr", 32)
    assert resolve_recipe(ViewsConfig(recipe="crop"), "simclr", 32) == recipe_for("crop", 32)
    changed = resolve_recipe(
        ViewsConfig(crop_scale=(0.5, 1), jitter=0, blur=0.25, noise="gaussian(sigma=1)"), "simclr", 32
    )
    assert changed == replace(recipe_for("simclr", 32), crop_scale=(0.5, 1), jitter=0, blur=0.25)
    assert resolve_recipe(ViewsConfig(crop_scale=(1, 1)), "crop", 32).crop_scale is None


@pytest.mark.parametrize("scale", [(0.0, 1.0), (0.5, 0.2), (0.5, 1.5)])
def test_an_impossible_crop_is_refused(scale):
    with pytest.raises(UserError, match=r"views\.crop_scale = .* 0 < least <= largest <= 1"):
        resolve_recipe(ViewsConfig(crop_scale=scale), "crop", 32)


@pytest.mark.parametrize("values", [{"jitter_strength": 3.0}, {"flip": 1.5}, {"crop_ratio": (0.0, 1.0)}])
def test_other_impossible_values_are_refused(values):
    with pytest.raises(UserError, match=next(iter(values))):
        Recipe(**values)


def test_shifted_is_numpys_reflect_padding():
    images = torch.randint(0, 256, (3, 2, 9, 9), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    offsets = torch.tensor([[3, -2], [0, 4], [-4, -1]])
    moved = shifted(images, offsets)
    for image, result, (down, right) in zip(images.numpy(), moved.numpy(), offsets.tolist(), strict=True):
        padded = np.pad(image, ((0, 0), (4, 4), (4, 4)), mode="reflect")
        assert np.array_equal(result, padded[:, 4 - down : 13 - down, 4 - right : 13 - right])


def test_shifts_are_uniform_and_refused_where_they_leave_the_image():
    drawn = sample_parameters(Recipe(shift=2), 5000, (8, 8), torch.Generator().manual_seed(0)).shift
    counts = torch.stack([(drawn == move).sum(0) for move in range(-2, 3)])
    assert int(counts.sum()) == 10_000
    assert (counts.double() - 1000).abs().max() < 5 * (5000 * 0.2 * 0.8) ** 0.5
    with pytest.raises(UserError, match=r"views\.shift = 8: must be less than the image size, 8"):
        resolve_recipe(ViewsConfig(shift=8), "none", 8)
