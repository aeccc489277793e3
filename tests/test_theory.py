"""Closed forms against gradient descent, against the definitions on samples, and against what theory says of them."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression

from ssl_bench.aligning import align
from ssl_bench.data.images import ImageData, Split
from ssl_bench.data.spectral import Spectral
from ssl_bench.errors import UserError
from ssl_bench.noise import make_noise
from ssl_bench.theory.alignment import alignment, held_out, subspace_distance, variance_explained, whitened
from ssl_bench.theory.moments import JITTER, Moments, dataset_moments
from ssl_bench.theory.solutions import denoising, generalised, guided, joint_embedding

SHAPE = (1, 6, 6)
DIMENSION = 36


def make_data(count=900, classes=3, seed=0):
    """Smooth images whose class shifts a fine pattern: unbalanced classes."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (count,), generator=generator)
    labels[: count // 3] = 0
    patterns = torch.randn(classes, *SHAPE, generator=torch.Generator().manual_seed(7))
    smooth = torch.randn(count, *SHAPE, generator=generator).cumsum(-1).cumsum(-2)
    images = (128 + 8 * smooth + 6 * patterns[labels]).clamp(0, 255).round().to(torch.uint8)
    return ImageData("made", Split(images[:600], labels[:600]), Split(images[600:], labels[600:]), classes)


@pytest.fixture(scope="module")
def data():
    return make_data()


def samples(data, split):
    """Centred samples as rows, and one-hot labels, float64."""
    train = data.standardised(data.train.images).flatten(1).double()
    flat = data.standardised(split.images).flatten(1).double() - train.mean(0)
    return flat, torch.nn.functional.one_hot(split.labels, data.classes).double()


def random_moments(dimension=12, seed=0):
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(dimension, dimension, generator=generator, dtype=torch.float64) * torch.logspace(
        0, -1, dimension
    )
    return root @ root.T / dimension


def descend(loss, parameters, steps=4000):
    """L-BFGS until it stops."""
    tolerances = {"tolerance_grad": 1e-12, "tolerance_change": 1e-16}
    optimizer = torch.optim.LBFGS(
        parameters, max_iter=steps, line_search_fn="strong_wolfe", history_size=50, **tolerances
    )

    def closure():
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    optimizer.step(closure)
    return float(loss().detach())


def test_moments_are_those_of_the_samples(data):
    train, test = dataset_moments(data)
    flat, labels = samples(data, data.train)
    second = flat.T @ flat / len(flat)
    assert torch.allclose(train.second, second + JITTER * second.diagonal().mean() * torch.eye(DIMENSION), atol=1e-6)
    assert torch.allclose(train.labels, flat.T @ (labels - labels.mean(0)) / len(flat), atol=1e-6)
    held, held_labels = samples(data, data.test)
    assert torch.allclose(test.second, held.T @ held / len(held), atol=1e-6)
    assert torch.allclose(test.labels, held.T @ (held_labels - labels.mean(0)) / len(held), atol=1e-6)
    assert test.spread == pytest.approx(float((held_labels - labels.mean(0)).square().sum(1).mean()))


@pytest.mark.parametrize("text", ["gaussian(sigma=0.5)", "mask(ratio=0.5, patch=2)", "power_law(alpha=3, sigma=1)"])
@pytest.mark.parametrize("k", [1, 3, 6])
def test_the_denoising_solution_is_what_descent_finds(data, text, k):
    """The loss E|W^T V^T noisy - x|^2 depends on the moments alone: minimise it, and compare the least value."""
    second = dataset_moments(data)[0].second
    noise = make_noise(text)
    cross, noisy = noise.mean_map(second, SHAPE), noise.second_map(second, SHAPE)
    scores, solution = denoising(cross, noisy)
    least = float(second.diagonal().sum() - scores[:k].sum())
    generator = torch.Generator().manual_seed(0)
    encoder = torch.randn(DIMENSION, k, generator=generator, dtype=torch.float64).mul_(0.3).requires_grad_()
    decoder = torch.randn(k, DIMENSION, generator=generator, dtype=torch.float64).mul_(0.3).requires_grad_()

    def loss():
        whole = encoder @ decoder
        return (
            second.diagonal().sum()
            - 2 * (whole.T @ cross).diagonal().sum()
            + (whole.T @ noisy @ whole).diagonal().sum()
        )

    assert descend(loss, [encoder, decoder]) == pytest.approx(least, rel=1e-4)
    assert torch.allclose(solution.T @ noisy @ solution, torch.eye(DIMENSION, dtype=torch.float64), atol=1e-6)


@pytest.mark.parametrize("weight", [0.1, 1.0, 10.0])
def test_the_guided_solution_is_what_descent_finds(data, weight):
    moments, _ = dataset_moments(data)
    scores, _ = guided(moments.second, moments.labels, weight)
    k, spread = 3, moments.spread
    least = spread + weight * float(moments.second.diagonal().sum()) - float(scores[:k].sum())
    generator = torch.Generator().manual_seed(0)
    shapes = ((DIMENSION, k), (k, 3), (k, DIMENSION))
    encoder, readout, decoder = (
        torch.randn(s, generator=generator, dtype=torch.float64).mul_(0.3).requires_grad_() for s in shapes
    )

    def loss():
        to_labels, to_pixels = encoder @ readout, encoder @ decoder
        label = (
            spread
            - 2 * (to_labels * moments.labels).sum()
            + (to_labels.T @ moments.second @ to_labels).diagonal().sum()
        )
        difference = to_pixels - torch.eye(DIMENSION, dtype=torch.float64)
        return label + weight * (difference.T @ moments.second @ difference).diagonal().sum()

    assert descend(loss, [encoder, readout, decoder]) == pytest.approx(least, rel=1e-4)


def test_guided_ends_at_principal_components(data):
    moments, _ = dataset_moments(data)
    _, guided_basis = guided(moments.second, moments.labels, 1e9)
    _, components = denoising(moments.second, moments.second)
    distance = subspace_distance(
        whitened(guided_basis, moments.second), whitened(components, moments.second), moments.second
    )
    assert distance[:5].max() < 1e-6


def test_alignment_is_the_official_definition_on_samples(data):
    """QR of X^T V in sample space, e_j = |Y^T Y q_j / N|^2, with labels that are not centred: X is."""
    moments, _ = dataset_moments(data)
    flat, labels = samples(data, data.train)
    noise = make_noise("mask(ratio=0.5, patch=2)")
    _, solution = denoising(noise.mean_map(moments.second, SHAPE), noise.second_map(moments.second, SHAPE))
    q, _ = np.linalg.qr((flat @ solution).numpy())
    energy = np.square(labels.numpy() @ (labels.numpy().T @ q) / len(flat)).sum(0)
    expected = 100 * np.sqrt(energy.cumsum() / energy.sum())
    basis = whitened(solution, moments.second)
    assert np.allclose(alignment(basis, moments).numpy(), expected, atol=0.05)
    onto_classes = labels @ torch.linalg.pinv(labels)
    balanced = np.square(onto_classes.numpy() @ q).sum(0)
    expected = 100 * np.sqrt(balanced.cumsum() / balanced.sum())
    assert np.allclose(alignment(basis, moments, "balanced").numpy(), expected, atol=0.05)


def test_held_out_is_least_squares_on_the_first_k_dimensions(data):
    train, test = dataset_moments(data)
    basis = whitened(denoising(train.second, train.second)[1], train.second)
    (flat, labels), (held, held_labels) = samples(data, data.train), samples(data, data.test)
    for k in (1, 5, 20, DIMENSION):
        model = LinearRegression().fit((flat @ basis[:, :k]).numpy(), labels.numpy())
        error = np.square(held_labels.numpy() - model.predict((held @ basis[:, :k]).numpy())).sum()
        spread = np.square(held_labels.numpy() - labels.mean(0).numpy()).sum()
        assert float(held_out(basis, train, test)[k - 1]) == pytest.approx(1 - error / spread, abs=2e-4)
    assert variance_explained(basis, train.second)[-1] == pytest.approx(1, abs=1e-9)


def test_white_noise_changes_nothing(data):
    moments, _ = dataset_moments(data)
    clean = whitened(denoising(moments.second, moments.second)[1], moments.second)
    for sigma in (0.1, 1.0, 3.0):
        noise = make_noise(f"gaussian(sigma={sigma})")
        basis = whitened(denoising(moments.second, noise.second_map(moments.second, SHAPE))[1], moments.second)
        assert subspace_distance(clean, basis, moments.second).max() < 1e-8
        assert (alignment(basis, moments) - alignment(clean, moments)).abs().max() < 1e-6


def test_single_pixel_masks_of_equal_variances_are_white_noise():
    second = random_moments()
    scale = second.diagonal().rsqrt()
    second = scale[:, None] * second * scale
    mask, white = make_noise("mask(ratio=0.5, patch=1)"), make_noise("gaussian(sigma=1)")
    shape = (1, 3, 4)
    masked = denoising(mask.mean_map(second, shape), mask.second_map(second, shape))
    noised = denoising(second, white.second_map(second, shape))
    bases = [whitened(solution, second) for _, solution in (masked, noised)]
    assert subspace_distance(*bases, second).max() < 1e-8
    assert torch.allclose(masked[0], noised[0])


def test_power_laws_reorder_only_above_the_critical_exponent():
    """s = l^2 / (l + n), n = c l^b: the order of components holds for b <= 2 at any strength, and breaks above."""
    spectrum = torch.logspace(0, -3, 20, dtype=torch.float64)
    for exponent, kept in ((0.0, True), (1.0, True), (2.0, True), (3.0, False)):
        scores = spectrum**2 / (spectrum + 50 * spectrum**exponent)
        found, solution = denoising(torch.diag(spectrum), torch.diag(spectrum + 50 * spectrum**exponent))
        order = solution.abs().argmax(0).tolist()
        assert torch.allclose(found, scores.sort(descending=True).values)
        assert (order == list(range(20))) == kept


def test_a_joint_embedding_reorders_above_one_and_refuses_no_noise():
    second = random_moments()
    with pytest.raises(UserError, match="all views are alike"):
        joint_embedding(second, make_noise("gaussian(sigma=0)"), (1, 3, 4))
    scores, solution = joint_embedding(second, make_noise("gaussian(sigma=0.5)"), (1, 3, 4))
    variances = torch.linalg.eigvalsh(second).flip(0)
    assert torch.allclose(scores, variances / (variances + 0.25))
    noisy = second + 0.25 * torch.eye(12, dtype=torch.float64)
    assert torch.allclose(solution.T @ noisy @ solution, torch.eye(12, dtype=torch.float64), atol=1e-8)


def test_generalised_against_scipy():
    from scipy.linalg import eigh

    left, right = random_moments(seed=1), random_moments(seed=2) + torch.eye(12, dtype=torch.float64)
    scores, vectors = generalised(left, right)
    assert np.allclose(scores.numpy(), eigh(left.numpy(), right.numpy(), eigvals_only=True)[::-1])
    assert torch.allclose(left @ vectors, right @ vectors * scores, atol=1e-9)


def test_align_finds_the_band_the_class_is_in():
    """On ``spectral`` with templates, noise beside the class's band raises alignment, noise on it lowers it."""
    options = Spectral(signal="template", size=16, samples=3000, test_samples=1000, band=(0.25, 0.35), share=0.05)
    data = options.load([], download=False)
    result = align(
        data,
        ["band(low=0, high=0.2, sigma=5)", "band(low=0.25, high=0.35, sigma=5)", "gaussian(sigma=1)"],
        k=[8, 16, 32],
    )
    helps, hurts, white = result["noises"]
    assert helps["change"][1] > 50
    assert hurts["change"][2] < -5
    assert max(map(abs, white["change"])) < 1e-4
    assert helps["held_out"][1] > result["held_out"][1] + 0.1
    assert helps["subspace_distance"][1] > 5
    alone = align(data, "gaussian(sigma=1)", k=[8])
    assert set(alone) >= {
        "dataset",
        "samples",
        "dimension",
        "noise",
        "k",
        "alignment",
        "variance_explained",
        "chance",
        "held_out",
        "change",
        "subspace_distance",
    }
    assert alone["noise"] == "gaussian(sigma=1)"


def test_align_refuses_a_k_out_of_range(data):
    with pytest.raises(UserError, match="from 1 to 36"):
        align(data, k=[0])
    with pytest.raises(UserError, match="from 1 to 36"):
        align(data, k=[37])


def test_moments_type_is_complete(data):
    train, _ = dataset_moments(data)
    assert isinstance(train, Moments)
    assert train.shares.sum() == pytest.approx(1)
