import itertools

import numpy as np
import pytest
import torch
from conftest import REAL_DATA, make_config
from scipy.fft import dctn
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge

from ssl_bench.data.gram import pixel_moments
from ssl_bench.data.images import ImageData, Split
from ssl_bench.data.load import load_dataset
from ssl_bench.data.moments import _from_samples, eigenbasis
from ssl_bench.data.spectral import Spectral
from ssl_bench.errors import UserError
from ssl_bench.evaluation.features import standardise
from ssl_bench.measuring import analyze
from ssl_bench.spectrum import ANALYZERS
from ssl_bench.spectrum.altered import Altered
from ssl_bench.spectrum.analyzer import Measurement, make_targets
from ssl_bench.spectrum.bands import decodability, relative_error
from ssl_bench.spectrum.bases import PCABasis, RadialBasis, band_sums, pca_edges
from ssl_bench.spectrum.dct import DCTBasis
from ssl_bench.spectrum.half_times import first_crossing
from ssl_bench.spectrum.patches import PatchPCABasis, fitting_patch
from ssl_bench.spectrum.readout import make_readout
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
    return [
        PCABasis(eigenbasis(data), data.shape, 6),
        RadialBasis(data.channels, data.image_size, 4),
        PatchPCABasis(data, 4, 5),
        DCTBasis(data.channels, data.image_size, 4),
    ]


def projectors(basis):
    """One matrix a band, from the coefficients of unit images."""
    rows = basis.coefficients(torch.eye(np.prod(basis.shape)).view(-1, *basis.shape)).double()
    return [rows[:, basis.band_of == index] @ rows[:, basis.band_of == index].T for index in range(len(basis.bands))]


@pytest.mark.parametrize("which", range(4))
def test_bands_are_orthogonal_projections_that_add_up(which):
    basis = bases(make_data())[which]
    made = projectors(basis)
    dimension = int(np.prod(basis.shape))
    assert torch.allclose(sum(made), torch.eye(dimension, dtype=torch.float64), atol=1e-5)
    for index, one in enumerate(made):
        assert torch.allclose(one @ one, one, atol=1e-5)
        assert one.trace() == pytest.approx(int(basis.directions[index]), abs=1e-3)
    images = torch.randn(3, *basis.shape, generator=torch.Generator().manual_seed(0))
    coefficients = basis.coefficients(images)
    assert torch.allclose(basis.images(coefficients), images, atol=1e-5)
    filtered = basis.images(coefficients * (basis.band_of == 1))
    slow = (images.flatten(1).double() @ made[1]).view(images.shape)
    assert torch.allclose(filtered.double(), slow, atol=1e-5)


@pytest.mark.parametrize("which", range(4))
def test_a_basis_of_another_image_size_is_refused_in_one_line(which):
    basis = bases(make_data())[which]
    with pytest.raises(UserError, match=rf"basis {basis.name} is one of 2 x 8 x 8 images and these are 1 x 6 x 6"):
        basis.coefficients(torch.zeros(1, 1, 6, 6))


def test_patch_components_are_scikit_learns_pca_of_patches():
    data = make_data()
    basis = PatchPCABasis(data, 4, 5)
    flat = data.train.images.numpy().astype(np.float64)
    patches = np.stack(
        [flat[:, :, 4 * i : 4 * i + 4, 4 * j : 4 * j + 4].reshape(len(flat), -1) for i in range(2) for j in range(2)],
        axis=1,
    ).reshape(-1, 32)
    reference = PCA().fit(patches)
    overlap = np.abs((basis.components.double().numpy().T * reference.components_).sum(1))
    assert overlap.min() > 1 - 1e-4
    assert (fitting_patch(28, 4), fitting_patch(10, 4), fitting_patch(7, 4), fitting_patch(32, 5)) == (4, 5, 7, 4)


def test_the_cosine_basis_is_scipys_dct():
    images = torch.randn(4, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    mine = DCTBasis(2, 8, 4).coefficients(images).view(4, 2, 8, 8)
    assert np.allclose(mine.numpy(), dctn(images.numpy(), axes=(2, 3), norm="ortho"), atol=1e-5)
    ring = DCTBasis(1, 8, 4).band_of.view(8, 8)
    frequency = np.hypot(np.arange(8)[:, None], np.arange(8)[None]) / 16
    assert np.array_equal(ring.numpy(), np.minimum(np.floor(frequency / 0.125 + 1e-9), 3))


def test_the_mean_frequency_of_a_band_is_that_of_its_images():
    data = make_data()
    images = data.standardised(data.test.images)
    for basis in bases(data):
        targets = make_targets(basis, images, images)
        for index in range(len(basis.bands)):
            part = basis.images(targets.fit[:256] * (basis.band_of == index)).double().numpy()
            power = (np.abs(np.fft.fft2(part)) ** 2).sum((0, 1))
            frequency = np.hypot(np.fft.fftfreq(8)[:, None], np.fft.fftfreq(8)[None])
            assert targets.frequency[index] == pytest.approx((power * frequency).sum() / power.sum(), rel=1e-4)
            if basis.name == "radial":
                assert basis.bands[index].low - 1e-6 <= targets.frequency[index] <= basis.bands[index].high + 1e-6


@pytest.mark.parametrize("which", range(4))
def test_relative_error_against_projectors(which):
    """Against projection matrices built column by column from the coefficients of unit images."""
    data = make_data()
    images = data.standardised(data.test.images)
    targets = make_targets(bases(data)[which], images, images)
    made = images * 0.5 + 0.1 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    measurement = Measurement(targets, images.flatten(1), images.flatten(1), images - made)
    centred = (images - images.mean(0)).flatten(1).double().numpy()
    difference = (images - made).flatten(1).double().numpy()
    for index, value in enumerate(relative_error(measurement)):
        projector = projectors(targets.basis)[index].numpy()
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


@pytest.mark.parametrize("dim", [30, 150])
@pytest.mark.parametrize("which", range(4))
def test_decodability_is_that_of_predictions_made_one_penalty_at_a_time(which, dim):
    """For more features than images too; whether what bases share is made here or handed in."""
    data = make_data(count=220)
    images = data.standardised(data.test.images)
    targets = make_targets(bases(data)[which], images[:150], images[150:])
    generator = torch.Generator().manual_seed(1)
    embedding = torch.tanh(images.flatten(1) @ torch.randn(128, dim, generator=generator) / 4)
    embedding += 0.1 * torch.randn(embedding.shape, generator=generator)
    parts = [standardise(part, embedding[:120]).double().numpy() for part in embedding.split([120, 30, 70])]
    truth = [part.double().numpy() for part in (targets.fit[:120], targets.fit[120:], targets.test)]
    mean, tried = truth[0].mean(0), []
    for power in range(-6, 3):
        gram = parts[0].T @ parts[0] / 120 + 10.0**power * np.eye(dim)
        weights = np.linalg.solve(gram, parts[0].T @ (truth[0] - mean) / 120)
        tried.append([((truth[i] - mean - parts[i] @ weights) ** 2).mean(0) for i in (1, 2)])
    slow = []
    for index in range(len(targets.basis.bands)):
        inside = (targets.basis.band_of == index).numpy()
        _, error = min((held_out[inside].sum(), test[inside].sum()) for held_out, test in tried)
        slow.append(1 - error / float(targets.reference[index]))
    both = embedding[:150], embedding[150:]
    values = decodability(Measurement(targets, *both, None))
    assert values == pytest.approx(slow, abs=1e-9)
    assert values == decodability(Measurement(targets, *both, None, readout=make_readout(*both)))


def test_what_the_embedding_holds_is_decodable_and_nothing_else_is():
    data = make_data(count=1000)
    basis = bases(data)[0]
    images = data.standardised(data.test.images)
    targets = make_targets(basis, images[:800], images[800:])
    held = basis.coefficients(images)[:, basis.band_of == 2]
    values = decodability(Measurement(targets, held[:800], held[800:], None))
    assert values[2] > 0.999
    assert max(value for index, value in enumerate(values) if index != 2) < 0.05


def test_half_times():
    assert first_crossing([0, 100, 1000], [1.0, 0.8, 0.2], 0.5, falling=True) == pytest.approx(10**2.5)
    assert first_crossing([0, 100], [1.0, 0.0], 0.5, falling=True) == pytest.approx(50)
    assert first_crossing([0, 100], [1.0, 0.6], 0.5, falling=True) is None
    assert first_crossing([500], [0.1], 0.5, falling=True) is None, "one snapshot does not say when"
    assert first_crossing([0, 100, 200], [0.4, 0.9, 0.1], 0.5, falling=True) == 0
    assert first_crossing([0, 100, 400], [0.0, 0.2, 0.8], 0.5, falling=False) == pytest.approx(200)


def make_altered(images):
    labels = torch.zeros(len(images)).long()
    return Altered(images, labels, images.flatten(1), lambda x: x.flatten(1), lambda x: x, 1, 1)


def test_every_registered_analyzer_answers_for_every_band():
    data = make_data()
    images = data.standardised(data.test.images)
    for basis in bases(data):
        targets = make_targets(basis, images, images)
        for name in ANALYZERS:
            measurement = Measurement(targets, images.flatten(1), images.flatten(1), images * 0.3, make_altered(images))
            answer = ANALYZERS.get(name)(measurement)
            assert len(answer) == len(basis.bands)
            assert np.isfinite(answer).all()


SMALL = [
    "training.epochs=12",
    "training.batch_size=100",
    "training.snapshots=14",
    "analysis.fit_samples=1500",
    "analysis.test_samples=500",
    "analysis.altered_samples=20",
    "analysis.view_samples=20",
    "analysis.wave_samples=1",
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
