import itertools

import numpy as np
import pytest
import torch
from conftest import REAL_DATA, make_config
from scipy.stats import kendalltau
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge

from ssl_bench.data.images import ImageData, Split
from ssl_bench.data.load import load_dataset
from ssl_bench.data.moments import _from_samples, eigenbasis, pixel_moments
from ssl_bench.data.spectral import Spectral
from ssl_bench.measuring import analyze
from ssl_bench.spectrum import ANALYZERS
from ssl_bench.spectrum.analyzer import Measurement, make_targets
from ssl_bench.spectrum.bands import decodability, relative_error
from ssl_bench.spectrum.bases import PCABasis, RadialBasis, band_sums, pca_edges
from ssl_bench.spectrum.embedding import alpha_req, rankme
from ssl_bench.spectrum.half_times import first_crossing, order_correlation
from ssl_bench.training.pretraining import pretrain


def make_data(count=300, size=8, channels=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    smooth = torch.randn(count, channels, size, size, generator=generator).cumsum(-1).cumsum(-2)
    images = (128 + 12 * smooth).clamp(0, 255).round().to(torch.uint8)
    split = Split(images, torch.arange(count) % 3)
    return ImageData("smooth", split, split, 3)


def test_moments_are_exact():
    images = make_data(count=2100).train.images
    flat = images.flatten(1).numpy().astype(np.float64)
    mean, covariance = pixel_moments(images)
    assert np.array_equal(mean.numpy(), flat.mean(0))
    slow = (flat - flat.mean(0)).T @ (flat - flat.mean(0)) / len(flat)
    assert np.abs(covariance.numpy() - slow).max() < 1e-9 * slow.max()


def test_the_eigenbasis_is_scikit_learns_pca():
    data = make_data()
    basis = eigenbasis(data)
    flat = data.standardised(data.train.images).flatten(1).double().numpy()
    reference = PCA().fit(flat)
    assert np.allclose(basis.mean.numpy(), flat.mean(0), atol=1e-6)
    assert np.allclose(basis.variances.numpy(), reference.explained_variance_ * (len(flat) - 1) / len(flat), rtol=1e-5)
    overlap = np.abs((basis.components.numpy().T * reference.components_).sum(1))
    assert overlap.min() > 1 - 1e-5
    gram = basis.components.T @ basis.components
    assert torch.allclose(gram, torch.eye(len(gram), dtype=torch.float64), atol=1e-10)


def test_the_eigenbasis_of_few_samples_has_their_rank_and_both_roads_agree():
    data = make_data(count=50)
    basis = eigenbasis(data)
    assert basis.variances.shape == (49,)
    assert basis.variances.min() > 0
    dual = _from_samples(data.standardised(data.train.images).flatten(1).double())
    assert torch.allclose(dual.variances, basis.variances, rtol=1e-5)
    assert ((dual.components.T @ basis.components).diagonal().abs() > 1 - 1e-6).all()


def test_the_eigenbasis_is_cached_by_content(monkeypatch):
    data = make_data(seed=5)
    first = eigenbasis(data)
    monkeypatch.setattr("ssl_bench.data.moments._compute", lambda data: pytest.fail("not from the cache"))
    assert torch.equal(eigenbasis(make_data(seed=5)).components, first.components)


@pytest.mark.parametrize("size", [8, 9])
def test_radial_coefficients_keep_energy_and_land_in_their_ring(size):
    basis = RadialBasis(2, size, 4)
    images = torch.randn(5, 2, size, size, dtype=torch.float64).float()
    energy = band_sums(basis.coefficients(images).double().square(), basis).sum(1)
    assert torch.allclose(energy, images.double().square().sum((1, 2, 3)), rtol=1e-5)
    rows, columns = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    for u, v in ((0, 0), (1, 0), (0, 2), (3, 1), (size // 2, size // 2)):
        wave = torch.from_numpy(np.cos(2 * np.pi * (u * rows + v * columns) / size + 0.3)).float().expand(1, 2, -1, -1)
        shares = band_sums(basis.coefficients(wave).double().square(), basis)[0]
        frequency = np.hypot(min(u, size - u), min(v, size - v)) / size
        inside = [band.low - 1e-9 <= frequency <= band.high + 1e-9 for band in basis.bands]
        assert shares[np.array(inside)].sum() > 0.9999 * shares.sum()


def test_pca_bands_cover_all_and_the_first_holds_most():
    for variances in (np.arange(1, 101.0) ** -1, np.arange(1, 101.0) ** -3, np.ones(100), np.ones(3), np.array([1.0])):
        edges = pca_edges(variances, 8)
        held = [variances[low:high].sum() for low, high in itertools.pairwise(edges)]
        assert edges[0] == 0
        assert edges[-1] == len(variances)
        assert edges == sorted(set(edges))
        assert held[0] == max(held)
    assert len(pca_edges(np.arange(1, 1025.0) ** -1, 8)) == 9


def bases(data):
    return [PCABasis(eigenbasis(data), 6), RadialBasis(data.channels, data.image_size, 4)]


@pytest.mark.parametrize("which", [0, 1])
def test_relative_error_against_projectors(which):
    """Against projection matrices built column by column from the coefficients of unit images."""
    data = make_data()
    images = data.standardised(data.test.images)
    targets = make_targets(bases(data)[which], images, images)
    made = images * 0.5 + 0.1 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    measurement = Measurement(targets, images.flatten(1), images.flatten(1), images - made)
    units = torch.eye(128).view(128, 2, 8, 8)
    matrix = targets.basis.coefficients(units).double().numpy()
    centred = (images - images.mean(0)).flatten(1).double().numpy()
    difference = (images - made).flatten(1).double().numpy()
    for index, value in enumerate(relative_error(measurement)):
        rows = matrix[:, (targets.basis.band_of == index).numpy()]
        projector = rows @ rows.T
        slow = np.square(difference @ projector).sum() / np.square(centred @ projector).sum()
        assert value == pytest.approx(slow, rel=1e-3)
    assert relative_error(Measurement(targets, images, images, None)) is None


def test_decodability_against_scikit_learns_ridge():
    data = make_data(count=400)
    images = data.standardised(data.test.images)
    fit, test = images[:300], images[300:]
    targets = make_targets(bases(data)[0], fit, test)
    embedding = images.flatten(1)[:, :40] + 0.5 * torch.randn(400, 40, generator=torch.Generator().manual_seed(1))
    values = decodability(Measurement(targets, embedding[:300], embedding[300:], None))
    inside = embedding[:240].double()
    scaled = ((embedding.double() - inside.mean(0)) / inside.std(0, correction=0)).numpy()
    for index, value in enumerate(values):
        rows = (targets.basis.band_of == index).numpy()
        fit_rows, test_rows = targets.fit.double().numpy()[:, rows], targets.test.double().numpy()[:, rows]
        errors, scores = [], []
        for power in range(-6, 3):
            ridge = Ridge(alpha=240 * 10.0**power).fit(scaled[:240], fit_rows[:240])
            errors.append(np.square(fit_rows[240:] - ridge.predict(scaled[240:300])).sum())
            scores.append(1 - np.square(test_rows - ridge.predict(scaled[300:])).sum() / np.square(test_rows).sum())
        assert value == pytest.approx(scores[int(np.argmin(errors))], abs=2e-3)


def test_what_the_embedding_holds_is_decodable_and_nothing_else_is():
    data = make_data(count=1000)
    basis = bases(data)[0]
    images = data.standardised(data.test.images)
    targets = make_targets(basis, images[:800], images[800:])
    held = basis.coefficients(images)[:, basis.band_of == 2]
    values = decodability(Measurement(targets, held[:800], held[800:], None))
    assert values[2] > 0.999
    assert max(value for index, value in enumerate(values) if index != 2) < 0.05


def test_rankme_and_alpha_req_against_their_formulas():
    rng = np.random.default_rng(0)
    embedding = rng.normal(size=(500, 20)) * np.arange(1, 21.0) ** -0.7
    values = np.linalg.svd(embedding, compute_uv=False)
    share = values / values.sum() + 1e-7
    assert rankme(torch.from_numpy(embedding)) == pytest.approx(np.exp(-(share * np.log(share)).sum()))
    assert rankme(torch.eye(7)) == pytest.approx(7, rel=1e-4)
    eigenvalues = np.linalg.eigvalsh(np.cov(embedding.T, bias=True))[::-1][2:]
    index = np.arange(3, 21)
    design = np.stack([np.log(index), np.ones(18)], 1) / np.sqrt(index)[:, None]
    slope = np.linalg.lstsq(design, np.log(eigenvalues) / np.sqrt(index), rcond=None)[0][0]
    result = alpha_req(torch.from_numpy(embedding))
    assert result["alpha_req"] == pytest.approx(-slope)
    assert 0.8 < result["alpha_req_r2"] <= 1
    assert alpha_req(torch.ones(10, 2)) == {"alpha_req": None, "alpha_req_r2": None}


def test_half_times():
    assert first_crossing([0, 100, 1000], [1.0, 0.8, 0.2], 0.5, falling=True) == pytest.approx(10**2.5)
    assert first_crossing([0, 100], [1.0, 0.0], 0.5, falling=True) == pytest.approx(50)
    assert first_crossing([0, 100], [1.0, 0.6], 0.5, falling=True) is None
    assert first_crossing([500], [0.1], 0.5, falling=True) is None, "one snapshot does not say when"
    assert first_crossing([0, 100, 200], [0.4, 0.9, 0.1], 0.5, falling=True) == 0
    assert first_crossing([0, 100, 400], [0.0, 0.2, 0.8], 0.5, falling=False) == pytest.approx(200)


def test_order_correlation():
    assert order_correlation([1, 2, 3, 4]) == pytest.approx(1)
    assert order_correlation([4, 3, 2, 1]) == pytest.approx(-1)
    assert order_correlation([1, 2, 3, None, None]) == pytest.approx(1)
    assert order_correlation([None, 3, 2, 1]) == pytest.approx(-1)
    assert order_correlation([0, 0, 2, 1]) == pytest.approx((4 - 1) / 5)
    shuffled = np.random.default_rng(0).permutation(12)
    assert order_correlation(shuffled.tolist()) == pytest.approx(kendalltau(range(12), shuffled).statistic)
    assert order_correlation([1, 2, None, None]) is None
    assert order_correlation([0, 0, 0]) is None


def test_every_registered_analyzer_answers_for_every_band():
    data = make_data()
    images = data.standardised(data.test.images)
    for basis in bases(data):
        targets = make_targets(basis, images, images)
        for name in ANALYZERS:
            answer = ANALYZERS.get(name)(Measurement(targets, images.flatten(1), images.flatten(1), images * 0.3))
            assert len(answer) == len(basis.bands)
            assert np.isfinite(answer).all()


SMALL = [
    "training.epochs=12",
    "training.batch_size=100",
    "training.snapshots=14",
    "analysis.fit_samples=1500",
    "analysis.test_samples=500",
]


def test_the_autoencoder_learns_band_after_band_on_spectral(tmp_path):
    """The central claim (arXiv 2402.11337): reconstruction follows the eigenspectrum, largest variance first."""
    words = [
        "dataset=spectral",
        "dataset.limit=null",
        "dataset.size=16",
        "dataset.samples=3000",
        "dataset.band=[0.2,0.45]",
    ]
    config = make_config("objective=autoencoder", "backbone.latent_dim=64", *words, *SMALL)
    run = pretrain(config, tmp_path / "run")
    result = analyze(run.path)
    assert result["order"]["pca"]["half_time"] > 0.9
    assert result["order"]["pca"]["decodability_half_time"] > 0.9
    assert sum(band["half_time"] is not None for band in result["pca"]) >= 4
    assert sum(band["decodability_half_time"] is not None for band in result["pca"]) >= 4


def test_the_spectrum_of_spectral_is_the_one_it_was_built_with():
    """Variance by radial band, measured by the analyzer, against the power the data were drawn from."""
    options = Spectral(samples=3000, test_samples=2000, size=16, band=(0.25, 0.4), share=0.3)
    data = options.load([], download=False)
    from ssl_bench.data.spectral import total_power

    basis = RadialBasis(1, 16, 8)
    images = data.standardised(data.test.images)
    measured = make_targets(basis, images, images).variance_fraction.numpy()
    frequency = np.hypot(np.fft.fftfreq(16)[:, None], np.fft.fftfreq(16)[None, :])
    ring = np.digitize(frequency, np.linspace(0, 0.5, 9)[1:-1])
    power = total_power(options)
    expected = np.array([power[ring == index].sum() for index in range(8)]) / power.sum()
    assert np.abs(measured - expected).max() < 0.01


@pytest.mark.skipif(not (REAL_DATA / "cifar10.npz").exists(), reason="real CIFAR-10 is absent: set SSL_BENCH_DATA")
def test_the_autoencoder_learns_band_after_band_on_cifar10(tmp_path):
    config = make_config(
        "objective=autoencoder",
        "dataset=cifar10",
        "dataset.limit=3000",
        "dataset.test_limit=500",
        "backbone.latent_dim=64",
        *SMALL,
    )
    run = pretrain(config, tmp_path / "run", load_dataset(config.dataset))
    result = analyze(run.path)
    assert result["order"]["pca"]["half_time"] > 0.9
    assert sum(band["half_time"] is not None for band in result["pca"]) >= 4


def test_radial_directions_are_orthonormal_once_their_lengths_are_known():
    for size in (5, 6):
        basis = RadialBasis(2, size, 2)
        rows = basis.coefficients(torch.eye(2 * size * size).view(-1, 2, size, size)).double().T
        assert torch.allclose(rows.square().sum(1), basis.norms, atol=1e-6)
        unit = rows[basis.independent] / basis.norms[basis.independent].sqrt()[:, None]
        assert torch.allclose(unit @ unit.T, torch.eye(2 * size * size, dtype=torch.float64), atol=1e-6)


def test_images_come_back_from_coefficients():
    images = torch.randn(3, 2, 6, 6, generator=torch.Generator().manual_seed(0))
    basis = RadialBasis(2, 6, 3)
    assert torch.allclose(basis.images(basis.coefficients(images), (2, 6, 6)), images, atol=1e-5)
