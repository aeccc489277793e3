"""Designs against brute force, against the closed forms, and against what is known of synthetic images."""

import itertools

import pytest
import torch

from ssl_bench.config import DesignConfig, validate
from ssl_bench.data.images import ImageData, Split
from ssl_bench.data.moments import eigenbasis
from ssl_bench.data.spectral import Spectral
from ssl_bench.design.directions import make_directions
from ssl_bench.design.exact import design_gains, scores
from ssl_bench.design.knowledge import FLOOR, Relevance, from_bands, from_flat, from_invariance, from_labels
from ssl_bench.design.masks import _Problem, design_mask, value
from ssl_bench.design.nonlinear import band_passed, from_nonlinear
from ssl_bench.design.smoothing import shrunk, smoothed
from ssl_bench.design.soft import soft_projector, soft_top
from ssl_bench.designing import propose
from ssl_bench.errors import UserError
from ssl_bench.noise import make_noise
from ssl_bench.targets import make_target
from ssl_bench.theory.alignment import alignment, whitened
from ssl_bench.theory.moments import dataset_moments
from ssl_bench.theory.solutions import denoising


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def template():
    """Class in a band of 2 % of the variance: a linear signal."""
    return Spectral(signal="template", classes=4, size=16, share=0.02, samples=2000, test_samples=500).load(
        [], download=False
    )


@pytest.fixture(scope="module")
def texture():
    """Class in the same band, but in no linear function of the pixels."""
    return Spectral(signal="texture", classes=4, size=16, share=0.2, samples=2000, test_samples=500).load(
        [], download=False
    )


def test_soft_top_adds_up_and_orders():
    values = torch.rand(3, 50, generator=seeded(), dtype=torch.float64)
    for count in (1, 10, 49):
        shares = soft_top(values, count)
        assert torch.allclose(shares.sum(-1), torch.full((3,), float(count), dtype=torch.float64))
        assert torch.equal(shares.argsort(-1), values.argsort(-1))
    apart = torch.logspace(10, -10, 21, dtype=torch.float64)
    assert torch.allclose(soft_top(apart, 7), (torch.arange(21) < 7).double(), atol=0.2)


def test_soft_projector_is_a_function_of_the_matrix_with_the_right_gradient():
    root = torch.randn(7, 7, generator=seeded(), dtype=torch.float64)
    matrix = root @ root.T + 0.1 * torch.eye(7, dtype=torch.float64)
    projector = soft_projector(matrix, 3)
    assert float(projector.trace()) == pytest.approx(3)
    assert torch.allclose(projector @ matrix, matrix @ projector, atol=1e-9)

    def of(free):
        return soft_projector((free + free.T) / 2, 3)

    assert torch.autograd.gradcheck(of, matrix.requires_grad_(True), atol=1e-5)


def test_the_gradient_is_finite_where_eigenvalues_meet():
    matrix = torch.eye(6, dtype=torch.float64).requires_grad_(True)
    torch.autograd.backward(soft_projector(matrix, 2)[0, 1])
    assert torch.isfinite(matrix.grad).all()


def test_smoothing_keeps_lines_and_shrinking_trusts_what_is_sure():
    line = torch.linspace(0, 3, 12, dtype=torch.float64)
    assert torch.allclose(smoothed(line, torch.ones(12, dtype=torch.float64), 100.0), line)
    bumpy = line + torch.tensor([0.0, 0.5] * 6, dtype=torch.float64)
    assert torch.allclose(shrunk(bumpy, torch.full((12,), 1e-4, dtype=torch.float64)), bumpy, atol=1e-3)
    unsure = shrunk(bumpy, torch.full((12,), 5.0, dtype=torch.float64))
    assert unsure.diff().diff().abs().max() < 0.2 * bumpy.diff().diff().abs().max()


@pytest.mark.parametrize("side", ["input", "target", "both"])
@pytest.mark.parametrize("stationary", [False, True])
def test_without_a_limit_the_best_directions_are_kept(side, stationary, template):
    """Brute force over the bands: the K directions of the designed scores are worth what the best K are."""
    directions = make_directions(template, 6, stationary)
    relevance = from_bands(directions, [0.1, 0.0, 0.3, 1.0, 0.05, 0.2])
    count = int(directions.widths[3])
    found = design_gains(directions, relevance, count, side, 1e12, "free")
    reached = scores(directions, found.noise, found.weights)
    worth = relevance.worth[directions.band_of]
    kept = worth[reached.argsort(descending=True)[:count]].sum()
    # Gains are one a band: inside a band the larger variances stay ahead, and a few of other bands slip in.
    assert float(kept) >= 0.9 * float(worth.sort(descending=True).values[:count].sum())
    plain = worth[directions.variances.argsort(descending=True)[:count]].sum()
    assert float(kept) > 1.5 * float(plain)
    assert (side == "target") == (float(found.noise.max()) == 0)
    assert (side == "input") == (float(found.weights.min()) == 1)


@pytest.mark.parametrize("power", [0.5, 2.0, 20.0])
def test_power_is_a_limit_and_is_the_noise_s(power, template):
    directions = make_directions(template, 6, False)
    relevance = from_bands(directions, [0, 0, 0, 1, 0, 0])
    found = design_gains(directions, relevance, 20, "input", power, "free")
    assert found.power <= power
    gains = found.noise.tolist()
    noise = make_noise(f"pca(gains={gains})").prepare(template)
    zero = torch.zeros(256, 256, dtype=torch.float64)
    added = noise.second_map(zero, (1, 16, 16)).trace() / 256
    assert float(added) == pytest.approx(found.power, rel=1e-6)


def test_more_power_is_worth_more(template):
    directions = make_directions(template, 6, False)
    relevance = from_bands(directions, [0, 0, 0, 1, 0, 0])
    values = [design_gains(directions, relevance, 20, "input", power, "free").value for power in (1, 10, 100, 1000)]
    assert values == sorted(values)
    assert values[-1] > values[0] + 0.1


def test_curves(template):
    directions = make_directions(template, 8, False)
    relevance = from_bands(directions, [0.1, 0.0, 0.3, 0.0, 1.0, 0.05, 0.2, 0.0])
    monotone = design_gains(directions, relevance, 20, "input", 50, "monotone")
    assert (monotone.noise.diff() <= 1e-9).all()
    weights = design_gains(directions, relevance, 20, "target", 50, "monotone").weights
    assert (weights.diff() >= -1e-9).all()
    free, smooth = (
        design_gains(directions, relevance, 20, "target", 50, curve).weights for curve in ("free", "smooth")
    )
    assert smooth.log().diff().diff().abs().max() < free.log().diff().diff().abs().max()


def test_what_is_best_already_is_left_alone(template):
    directions = make_directions(template, 6, False)
    falling = from_bands(directions, [1, 0.5, 0.2, 0.1, 0.05, 0.01])
    found = design_gains(directions, falling, 20, "input", 50, "free")
    assert float(found.noise.max()) == 0
    assert (found.value, found.power) == (found.plain, 0)


def test_flat_uses_the_power_it_may(template):
    directions = make_directions(template, 6, False)
    found = [design_gains(directions, from_flat(directions), 20, "input", power, "free") for power in (1, 30)]
    assert all(0.5 * power < one.power <= power for one, power in zip(found, (1, 30), strict=True))
    whitening = design_gains(directions, from_flat(directions), 20, "target", 30, "free")
    assert torch.allclose(whitening.weights * directions.levels, (whitening.weights * directions.levels)[0])


def test_noise_and_weights_are_twins_in_theory(template):
    """Weights and noise of the same scores keep the same directions: alignment at K agrees."""
    directions = make_directions(template, 6, False)
    relevance = from_labels(template, directions, 100, seeded())
    sides = [design_gains(directions, relevance, 16, side, 1e12, "free") for side in ("input", "target")]
    train, _ = dataset_moments(template)
    noise = make_noise(f"pca(gains={sides[0].noise.tolist()})").prepare(template)
    target = make_target(f"pca(gains={sides[1].weights.tolist()})").prepare(template)
    shape = (1, 16, 16)
    found = []
    for cross, noisy in (
        (train.second, noise.second_map(train.second, shape)),
        (train.second @ torch.linalg.cholesky(target.weight_map(shape) + 1e-12 * torch.eye(256)), train.second),
    ):
        basis = whitened(denoising(cross, noisy)[1], train.second)
        found.append(float(alignment(basis, train)[15]))
    plain = float(alignment(whitened(denoising(train.second, train.second)[1], train.second), train)[15])
    assert found[0] == pytest.approx(found[1], rel=0.05)
    assert min(found) > 1.2 * plain


def test_labels_find_the_band_and_random_labels_find_nothing(template):
    directions = make_directions(template, 8, False)
    found = from_labels(template, directions, 40, seeded())
    assert found.samples == 160
    energy = whitened_between(template, directions)
    assert int(found.worth.argmax()) == int(energy.argmax())
    shuffled = ImageData(
        "shuffled",
        Split(template.train.images, template.train.labels[torch.randperm(2000, generator=seeded(1))]),
        template.test,
        4,
    )
    scatter, empty = [], 0
    for seed in range(30):
        nothing = from_labels(shuffled, directions, 10, seeded(seed))
        scatter.append(nothing.estimates / nothing.errors)
        designed = propose(DesignConfig(labels=10, latent_dim=16, bands=8, seed=seed), shuffled)
        empty += designed.noise is None
    z = torch.stack(scatter)
    assert empty >= 27
    assert z.mean().abs() < 0.3
    assert 0.6 < float(z.std()) < 1.6


def whitened_between(data, directions):
    """Slow: variance of the class means of whitened coordinates, all training labels, averaged over a band."""
    coordinates = directions.whitened(data.standardised(data.train.images))
    energy = torch.zeros(coordinates.shape[1], dtype=torch.float64)
    for label in range(data.classes):
        mine = coordinates[data.train.labels == label]
        energy += len(mine) / len(coordinates) * mine.mean(0).square()
    bands = range(len(directions.levels))
    return torch.tensor([float(energy[directions.band_of == band].mean()) for band in bands])


def test_nonlinear_knowledge_sees_what_labels_cannot(texture):
    directions = make_directions(texture, 6, True)
    linear = from_labels(texture, directions, 40, seeded())
    bent = from_nonlinear(texture, directions, 40, seeded())
    assert float((linear.estimates / linear.errors).abs().max()) < 5
    # The signal lies between 0.2 and 0.35 cycles per pixel: rings 2, 3 and 4 of 6.
    assert int(bent.worth.argmax()) in (2, 3)
    assert float(bent.estimates.max()) > 0.5
    assert float(bent.worth[0]) < 0.3


def test_band_passed_images_hold_one_band(template):
    for stationary in (False, True):
        directions = make_directions(template, 5, stationary)
        images = template.standardised(template.train.images[:50])
        for band in range(5):
            inside = directions.basis.coefficients(band_passed(directions, images, band)).square().sum(0)
            assert float(inside[directions.band_of == band].sum() / inside.sum()) > 0.999


def test_invariance_follows_the_views(template):
    """Blurred views agree on low frequencies and not on high ones; equal views are refused."""
    directions = make_directions(template, 6, True)
    views = {"recipe": "simclr", "crop_scale": (1, 1), "flip": 0, "jitter": 0, "grayscale": 0, "blur": 0, "shift": 1}
    settings = validate(DesignConfig, {"views": views}).views
    moved = from_invariance(template, directions, settings, seeded())
    assert int(moved.worth.argmax()) == 0
    assert float(moved.worth[-1]) < 0.5
    with pytest.raises(UserError, match="all alike"):
        from_invariance(template, directions, settings.model_copy(update={"shift": 0}), seeded())


def exact_worth(noise, worth, count, data):
    """Slow: what the K directions of the exact solution are worth, as a share of the best K."""
    basis = eigenbasis(data)
    second = (basis.components * basis.variances) @ basis.components.T
    prepared = make_noise(noise).prepare(data)
    shape = (1, 16, 16)
    solution = whitened(denoising(prepared.mean_map(second, shape), prepared.second_map(second, shape))[1], second)
    held = (basis.components.T @ second @ solution[:, :count]).square().sum(1) / basis.variances
    return float((held * worth).sum() / worth.sort(descending=True).values[:count].sum())


def test_mask_value_counts_what_is_kept_and_not_how_strong_the_noise_is():
    variances = torch.logspace(8, -8, 9, dtype=torch.float64)
    worth = torch.rand(9, generator=seeded(), dtype=torch.float64)
    problem = _Problem(variances, worth, 4, 1.0)
    for strength in (0.0, 1.0, 100.0):
        alike = float(value(problem, strength * torch.diag(variances)))
        assert alike == pytest.approx(float(worth[:4].sum()), abs=0.05), strength
    root = torch.randn(9, 9, generator=seeded(), dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda strength: value(problem, strength * (root @ root.T)),
        torch.tensor(0.3, dtype=torch.float64, requires_grad=True),
        atol=1e-4,
    )


@pytest.mark.parametrize("family", ["mask", "mixture", "color_mask"])
def test_designed_masks_are_near_the_best_of_a_grid_by_the_exact_solution(family, template):
    directions = make_directions(template, 8, False)
    worth = from_labels(template, directions, 40, seeded()).worth[directions.band_of]
    found = design_mask(template, worth, 16, family)
    reached = exact_worth(found.noise, worth, 16, template)
    plain = exact_worth("gaussian(sigma=0)", worth, 16, template)
    if family == "color_mask":
        grid = [f"color_mask(color={color}, ratio={ratio})" for color in ("red", "blue") for ratio in (0.5, 0.9)]
    else:
        grid = [f"mask(ratio={ratio}, patch={patch})" for ratio, patch in itertools.product((0.5, 0.9), (1, 2, 4, 8))]
    tried = [exact_worth(noise, worth, 16, template) for noise in grid]
    assert max(tried) > 1.2 * plain
    assert reached - plain >= 0.6 * (max(tried) - plain), (found, max(tried), plain)


def test_a_proposal_is_a_spec_that_can_be_used(template):
    for knowledge, family, side in itertools.product(("labels", "flat"), ("pca", "spectrum"), ("input", "both")):
        settings = DesignConfig(knowledge=knowledge, family=family, side=side, latent_dim=16, bands=6, labels=40)
        found = propose(settings, template)
        images = template.standardised(template.train.images[:4])
        if found.noise is not None:
            assert torch.isfinite(make_noise(found.noise).prepare(template).sample(images, seeded())).all()
        if found.target is not None:
            assert torch.isfinite(make_target(found.target).prepare(template).ask(images)).all()
        assert found.noise is not None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"knowledge": "bands"}, "--worth"),
        ({"worth": (1.0, 2.0)}, "--worth"),
        ({"knowledge": "bands", "worth": (1.0, 2.0), "bands": 3}, "2 numbers, but there are 3 bands"),
        ({"knowledge": "bands", "worth": (0.0, 0.0), "bands": 2}, "above 0"),
        ({"family": "mask", "side": "both"}, "use --side input"),
        ({"family": "mask", "knowledge": "flat"}, "no direction more"),
        ({"latent_dim": 256}, "have only 25"),
        ({"bands": 400}, "use fewer"),
        ({"family": "mask", "power": 3.0}, "--power is for gains"),
        ({"latent_dim": 256, "family": "spectrum"}, "have only 25"),
        ({"bands": 100, "family": "spectrum"}, "use fewer"),
    ],
)
def test_what_cannot_be_designed_is_one_line(settings, words, template):
    with pytest.raises(UserError) as caught:
        propose(validate(DesignConfig, settings), template)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_relevance_is_relative_and_positive(template):
    directions = make_directions(template, 6, False)
    found = from_bands(directions, [0, 5, 10, 0, 0, 1])
    assert found.worth.tolist() == [FLOOR, 0.5, 1, FLOOR, FLOOR, 0.1]
    assert isinstance(found, Relevance)
    assert not found.level
    assert from_bands(directions, [2] * 6).level


def test_colours_that_go_together_count_once():
    """Three nearly equal channels: one wave of the data is one direction, with the variance of all three."""
    generator = seeded()
    gray = 128 + 20 * torch.randn(600, 1, 8, 8, generator=generator).cumsum(-1)
    images = (gray + 2 * torch.randn(600, 3, 8, 8, generator=generator)).clamp(0, 255).round().to(torch.uint8)
    split = Split(images, torch.arange(600) % 3)
    data = ImageData("colour", split, split, 3)
    directions = make_directions(data, 3, True)
    largest = float(eigenbasis(data).variances[0])
    assert float(directions.variances.max()) > 0.5 * largest
    coordinates = directions.whitened(data.standardised(images))[:, directions.variances > 0]
    assert coordinates.shape[1] == 192
    assert torch.allclose(coordinates.square().mean(0), torch.ones(192, dtype=torch.float64), atol=1e-4)
    whole = sum(directions.only(data.standardised(images[:5]), band) for band in range(3))
    assert torch.allclose(whole, data.standardised(images[:5]) - data.standardised_mean.float(), atol=1e-3)


def test_views_with_noise_agree_less_where_the_noise_is(template):
    directions = make_directions(template, 6, True)
    views = {"recipe": "none", "noise": "band(low=0, high=0.2, sigma=3)"}
    found = from_invariance(template, directions, validate(DesignConfig, {"views": views}).views, seeded())
    assert float(found.worth[0]) < 0.7
    assert float(found.worth[-1]) > 0.99


def test_too_little_power_is_said(template):
    settings = DesignConfig(knowledge="bands", worth=(0, 0, 0, 1, 0, 0), latent_dim=16, power=1e-4)
    found = propose(settings, template)
    assert (found.noise, found.limited) == (None, True)
