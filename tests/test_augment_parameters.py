"""What is drawn for views: distributed as torchvision draws it; recipes, and the configurations that change them."""

from dataclasses import fields, replace
from itertools import combinations

import pytest
import torch
from scipy import stats
from torchvision.transforms import ColorJitter, RandomResizedCrop
from view_cases import EVERYTHING, seeded

from ssl_bench.config import ViewsConfig
from ssl_bench.data.augment_parameters import sample_parameters
from ssl_bench.data.views import Recipe, recipe_for, resolve_recipe
from ssl_bench.errors import UserError


def test_a_seed_draws_what_it_always_drew():
    # Views are not stored: a run can only be repeated, or go on, if its draws stay what they were.
    drawn = sample_parameters(replace(EVERYTHING, shift=4), 4, (32, 32), seeded())
    assert drawn.shift.tolist() == [[4, -4], [-2, 2], [3, 2], [3, -3]]
    assert drawn.crop.tolist() == [[6, 2, 24, 21], [10, 14, 17, 14], [15, 10, 15, 18], [0, 0, 27, 28]]
    assert drawn.flip.tolist() == [False, False, True, True]
    assert drawn.jitter.chosen.tolist() == [False, False, True, True]
    assert drawn.jitter.factors[2].tolist() == pytest.approx([0.6723758, 1.4747021, 0.5131688, 0.0291802], abs=1e-6)
    assert drawn.jitter.order.tolist() == [[2, 1, 0, 3], [0, 1, 3, 2], [1, 0, 2, 3], [0, 3, 1, 2]]
    assert drawn.grayscale.tolist() == [False] * 4
    assert drawn.blur.chosen.tolist() == [False, False, False, True]
    assert drawn.blur.sigma.tolist() == pytest.approx([0.1965946, 0.5996267, 1.6968600, 1.0438416], abs=1e-6)
    assert drawn.solarize.tolist() == [True] * 4


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


def test_stages_are_chosen_independently():
    drawn = sample_parameters(EVERYTHING, 4000, (16, 16), seeded(11))
    stages = (drawn.flip, drawn.jitter.chosen, drawn.grayscale, drawn.blur.chosen, drawn.solarize)
    for one, other in combinations(stages, 2):
        table = torch.bincount(2 * one.long() + other.long(), minlength=4).view(2, 2)
        assert stats.chi2_contingency(table.numpy()).pvalue > 1e-3


def test_blur_sigma_is_uniform():
    sigma = sample_parameters(Recipe(blur=0.5), 4000, (16, 16), seeded(8)).blur.sigma
    assert stats.kstest(sigma.numpy(), stats.uniform(0.1, 1.9).cdf).pvalue > 1e-3


def test_shifts_are_uniform_and_refused_where_they_leave_the_image():
    drawn = sample_parameters(Recipe(shift=2), 5000, (8, 8), torch.Generator().manual_seed(0)).shift
    counts = torch.stack([(drawn == move).sum(0) for move in range(-2, 3)])
    assert int(counts.sum()) == 10_000
    assert (counts.double() - 1000).abs().max() < 5 * (5000 * 0.2 * 0.8) ** 0.5
    with pytest.raises(UserError, match=r"views\.shift = 8: must be less than the image size, 8"):
        resolve_recipe(ViewsConfig(shift=8), "none", 8)


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
