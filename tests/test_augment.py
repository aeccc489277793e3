"""Views of given parameters: what torchvision makes of them, whichever way they are computed."""

import colorsys
from dataclasses import replace
from functools import partial
from itertools import permutations

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as reference
from view_cases import EVERYTHING, STAGES, largest_error, random_images, seeded

from ssl_bench.data import augment
from ssl_bench.data.augment import apply
from ssl_bench.data.augment_changes import BRIGHTNESS, CONTRAST, SATURATION, blend, hue, shifted
from ssl_bench.data.augment_parameters import BlurParameters, JitterParameters, ViewParameters, sample_parameters


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    # Thousands of tiny operations: on a busy machine, threads waiting for each other cost ten times the work.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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
    checks = [
        (partial(one_blend, BRIGHTNESS), reference.adjust_brightness, 0.0, 2.0),
        (partial(one_blend, CONTRAST), reference.adjust_contrast, 0.0, 2.0),
        (partial(one_blend, SATURATION), reference.adjust_saturation, 0.0, 2.0),
        (hue, reference.adjust_hue, -0.5, 0.5),
    ]
    for ours, theirs, low, high in checks:
        factors = torch.linspace(low, high, 50)
        expected = torch.stack([theirs(image, float(factor)) for image, factor in zip(images, factors, strict=True)])
        torch.testing.assert_close(ours(images, factors), expected, rtol=0, atol=5e-6)


def one_blend(operation, images, factors):
    return blend(images, torch.full((len(images),), operation), factors)


def test_a_blend_is_each_images_own():
    images, operations = random_images(30, 3, 16).float() / 255, torch.arange(30) % 3
    factors = torch.linspace(0, 2, 30)
    mixed = blend(images, operations, factors)
    for operation in range(3):
        chosen = operations == operation
        torch.testing.assert_close(mixed[chosen], one_blend(operation, images, factors)[chosen], rtol=0, atol=1e-7)
    assert torch.equal(blend(images, operations, torch.ones(30)), images)


@pytest.mark.parametrize("turn", [-0.5, -0.31, -1 / 6, 0.0, 0.04, 0.2, 0.5])
def test_hue_is_the_one_of_colorsys(turn):
    levels = torch.linspace(0, 1, 7)
    # Every order of the channels, ties, greys and pure colours among them.
    pixels = torch.cartesian_prod(levels, levels, levels)
    expected = []
    for pixel in pixels.tolist():
        angle, saturation, value = colorsys.rgb_to_hsv(*pixel)
        expected.append(colorsys.hsv_to_rgb((angle + turn) % 1, saturation, value))
    turned = hue(pixels.T.reshape(1, 3, 7, 49), torch.tensor([turn])).view(3, -1).T
    torch.testing.assert_close(turned.double(), torch.tensor(expected, dtype=torch.float64), rtol=0, atol=2e-6)


def test_every_order_of_the_colour_operations():
    orders = torch.tensor(list(permutations(range(4))))
    images = random_images(24, 3, 12)
    factors = torch.tensor([1.6, 0.4, 1.8, 0.3]).expand(24, 4)
    parameters = ViewParameters(jitter=JitterParameters(torch.ones(24, dtype=torch.bool), factors, orders))
    for grouped in (True, False):
        assert largest_error(apply(images, parameters, grouped=grouped), images, parameters) <= 1e-5


@pytest.mark.parametrize(("channels", "size"), [(3, 32), (3, 96), (1, 28), (4, 12)])
def test_what_is_chosen_for_is_done_one_way_or_the_other(channels, size, monkeypatch):
    # Without solarize, which makes a jump of a rounding error.
    images = random_images(40, 3, size)[:, [0, 1, 2, 1][:channels]]
    parameters = sample_parameters(replace(EVERYTHING, solarize=0, shift=3), 40, (size, size), seeded(3))
    at_once = apply(images, parameters, grouped=False)
    for block in (1, 7 * images[0].numel(), 1 << 30):
        monkeypatch.setattr(augment, "BLOCK", block)
        torch.testing.assert_close(apply(images, parameters, grouped=True), at_once, rtol=0, atol=1e-6)


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


def test_shifted_is_numpys_reflect_padding():
    images = torch.randint(0, 256, (3, 2, 9, 9), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    offsets = torch.tensor([[3, -2], [0, 4], [-4, -1]])
    moved = shifted(images, offsets)
    for image, result, (down, right) in zip(images.numpy(), moved.numpy(), offsets.tolist(), strict=True):
        padded = np.pad(image, ((0, 0), (4, 4), (4, 4)), mode="reflect")
        assert np.array_equal(result, padded[:, 4 - down : 13 - down, 4 - right : 13 - right])
