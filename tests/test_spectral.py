"""The synthetic standard is what it says: spectra, second moments, and who can see the class."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.linear_model import RidgeClassifier

from ssl_bench.config import DatasetConfig, validate
from ssl_bench.data.load import load_dataset
from ssl_bench.data.spectral import (
    Spectral,
    background_power,
    band_mask,
    class_bands,
    draw,
    second_moment,
    signal_power,
    templates,
    total_power,
)
from ssl_bench.errors import UserError


def sample(options, count, seed=0):
    labels = np.arange(count) % options.classes
    return draw(options, labels, np.random.default_rng(seed)), labels


def periodogram(images):
    return np.abs(np.fft.fft2(images, norm="ortho")) ** 2


def radius(size):
    axis = np.fft.fftfreq(size)
    return np.hypot(axis[:, None], axis[None, :])


SIGNALS = pytest.mark.parametrize("signal", ["texture", "template"])


@pytest.mark.parametrize("size", [16, 15])
@pytest.mark.parametrize("gamma", [0.0, 2.0, -1.0])
def test_background_is_a_power_law(size, gamma):
    power = background_power(Spectral(size=size, gamma=gamma))
    assert power.mean() == pytest.approx(1)
    assert power[0, 0] == 0
    frequency = radius(size).ravel()[1:]
    slope = np.polyfit(np.log(frequency), np.log(power.ravel()[1:]), 1)[0]
    assert slope == pytest.approx(-gamma, abs=1e-9)


def test_background_survives_extreme_exponents():
    power = background_power(Spectral(gamma=500.0))
    assert np.isfinite(power).all()
    assert power.mean() == pytest.approx(1)


@SIGNALS
@pytest.mark.parametrize("size", [16, 15])
def test_samples_have_the_stated_spectrum(signal, size):
    options = Spectral(size=size, signal=signal, classes=4, share=0.3, channels=2)
    images, _ = sample(options, 4000)
    measured = periodogram(images).mean((0, 1))
    expected = total_power(options)
    # A Gaussian coefficient's power has a standard deviation of its mean, of sqrt(2) times it where it is real; the
    # average is over 4,000 images and 2 channels. A wedge's own power is fixed, but which class has it varies.
    deviation = 6 * np.sqrt(2 / 4000) * expected
    assert expected.mean() == pytest.approx(1)
    assert (np.abs(measured - expected) <= deviation + 1e-12).all()


@SIGNALS
def test_samples_have_the_stated_second_moment(signal):
    options = Spectral(size=8, signal=signal, classes=4, band=(0.1, 0.5), share=0.5, channels=2)
    images, _ = sample(options, 40000)
    flat = images.reshape(len(images), -1)
    measured = flat.T @ flat / len(flat)
    expected = second_moment(options)
    assert expected.shape == (128, 128)
    assert np.trace(expected) == pytest.approx(128)
    assert_allclose(expected, expected.T, atol=1e-12)
    # The entries' standard error is at most about sqrt(2 / 40000) = 0.007.
    assert_allclose(measured, expected, atol=0.035)
    relative = np.linalg.norm(measured - expected) / np.linalg.norm(expected)
    assert relative < 0.06


@SIGNALS
def test_second_moment_and_spectrum_agree(signal):
    options = Spectral(size=8, signal=signal, classes=4, band=(0.1, 0.5), share=0.4)
    fourier = np.fft.fft(np.eye(8), norm="ortho")
    transform = np.kron(fourier, fourier)
    power = np.diag(transform @ second_moment(options) @ transform.conj().T).real
    assert_allclose(power.reshape(8, 8), total_power(options), atol=1e-12)


@SIGNALS
def test_signal_stays_in_its_band_and_has_its_share(signal):
    options = Spectral(size=32, signal=signal, share=0.15)
    power = signal_power(options)
    frequency = radius(32)
    outside = (frequency < 0.2 - 1e-9) | (frequency > 0.35 + 1e-9)
    assert power[outside].max() < 1e-20
    assert power.mean() == pytest.approx(1)
    difference = total_power(options) - 0.85 * background_power(options)
    assert difference.mean() == pytest.approx(0.15)


def test_band_limits_on_the_grid_are_inside():
    frequency = radius(10)
    mask = band_mask(Spectral(size=10, band=(0.1, 0.3)))
    assert mask[1, 0]
    assert mask[0, 3]
    assert not mask[frequency > 0.31].any()
    assert not band_mask(Spectral(size=10, band=(0.0, 0.5)))[0, 0]


@pytest.mark.parametrize(("size", "classes"), [(32, 8), (16, 2), (15, 3), (16, 4)])
def test_class_bands_partition_the_band_by_orientation(size, classes):
    options = Spectral(size=size, classes=classes, band=(0.15, 0.5))
    wedges = class_bands(options)
    assert (wedges.sum(0) == band_mask(options)).all()
    axis = np.fft.fftfreq(size)
    for label in range(classes):
        for row, column in np.argwhere(wedges[label]):
            assert wedges[label, -row % size, -column % size]
            away = np.arctan2(axis[row], axis[column]) - np.pi * label / classes
            away = abs((away + np.pi / 2) % np.pi - np.pi / 2)
            assert away <= np.pi / (2 * classes) + 1e-9


def test_every_texture_has_variance_one_and_equal_amplitudes():
    options = Spectral(size=16, classes=4, band=(0.1, 0.5), share=1 - 1e-12, channels=2)
    images, labels = sample(options, 40)
    assert_allclose((images**2).mean((2, 3)), 1, atol=1e-4)
    wedges = class_bands(options)
    for power, label in zip(periodogram(images), labels, strict=True):
        inside = power[:, wedges[label]]
        assert_allclose(inside, 256 / wedges[label].sum(), rtol=1e-3)


def test_phases_differ_between_images_and_channels():
    options = Spectral(size=16, classes=2, share=1 - 1e-12, channels=2)
    images, _ = sample(options, 400)
    flat = images.reshape(800, -1)
    correlation = flat @ flat.T / 256
    np.fill_diagonal(correlation, 0)
    assert np.abs(correlation).mean() < 0.2


def test_templates_are_orthogonal_in_each_channel():
    options = Spectral(size=16, classes=6, channels=2, signal="template")
    patterns = templates(options)
    assert patterns.shape == (6, 2, 16, 16)
    for channel in range(2):
        flat = patterns[:, channel].reshape(6, -1)
        assert_allclose(flat @ flat.T / 256, np.eye(6), atol=1e-12)
    assert np.abs(patterns[:, 0] - patterns[:, 1]).max() > 0.1


@SIGNALS
def test_who_sees_the_class(signal):
    options = {"name": "spectral", "size": 16, "classes": 4, "band": [0.15, 0.4], "signal": signal, "share": 0.3}
    data = load_dataset(DatasetConfig(samples=3000, test_samples=2000, **options))
    pixels = [data.standardised(split.images).flatten(1).numpy() for split in (data.train, data.test)]
    linear = RidgeClassifier(alpha=10.0).fit(pixels[0], data.train.labels).score(pixels[1], data.test.labels)
    # Four standard errors of a chance result on 2,000 images: 0.25 +- 0.039.
    if signal == "template":
        assert linear > 0.9
    else:
        assert abs(linear - 0.25) < 0.039
        assert energy_accuracy(data, Spectral(size=16, classes=4, band=(0.15, 0.4))) > 0.9


def energy_accuracy(data, options):
    """Accuracy of the strongest wedge relative to the background: a quadratic readout."""
    excess = periodogram(data.test.images[:, 0].double().numpy()) / np.maximum(background_power(options), 1e-9)
    wedges = class_bands(options)
    scores = np.stack([excess[:, wedge].mean(1) for wedge in wedges], axis=1)
    return (scores.argmax(1) == data.test.labels.numpy()).mean()


def test_pixels_follow_the_stated_scale():
    data = load_dataset(DatasetConfig(name="spectral", size=16, classes=4, samples=2000, test_samples=50))
    pixels = data.train.images.double()
    assert float(pixels.mean()) == pytest.approx(127.5, abs=0.1)  # every image has mean zero before rounding
    assert float(pixels.std()) == pytest.approx(36, rel=0.02)


def test_labels_are_balanced_and_shuffled():
    data = load_dataset(DatasetConfig(name="spectral", size=16, classes=3, samples=100, test_samples=20))
    assert torch.bincount(data.train.labels).tolist() == [34, 33, 33]
    assert torch.bincount(data.test.labels).tolist() == [7, 7, 6]
    assert (data.train.labels[:10] != torch.arange(10) % 3).any()
    assert data.train.images.shape == (100, 1, 16, 16)
    assert data.train.images.dtype == torch.uint8


@SIGNALS
def test_the_data_depend_on_their_own_seed_alone(signal):
    def build(seed):
        return load_dataset(
            DatasetConfig(name="spectral", size=16, classes=4, samples=60, test_samples=60, signal=signal, seed=seed)
        )

    torch.manual_seed(1)
    first = build(0)
    torch.manual_seed(2)
    assert build(0).fingerprint == first.fingerprint
    assert build(1).fingerprint != first.fingerprint
    assert not torch.equal(first.train.images, first.test.images)


def test_chunks_make_no_seam(monkeypatch):
    """Small chunks change the draws, never the kind of image; and each chunk has its own."""
    monkeypatch.setattr("ssl_bench.data.spectral._CHUNK_VALUES", 10 * 256)
    data = load_dataset(DatasetConfig(name="spectral", size=16, classes=4, samples=400, test_samples=10))
    assert len(torch.unique(data.train.images.flatten(1), dim=0)) == 400
    assert float(data.train.images.double().std()) == pytest.approx(36, rel=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 8, "classes": 40}, "no frequency of class"),
        ({"size": 8, "band": [0.01, 0.02], "classes": 2}, "widen the band"),
        ({"size": 8, "band": [0.12, 0.13], "classes": 6, "signal": "template"}, "has 4 dimensions"),
        ({"band": [0.3, 0.2]}, "0 <= low < high <= 0.5"),
        ({"band": [0.3, 0.7]}, "0 <= low < high <= 0.5"),
        ({"share": 1.0}, "dataset: 'share' = 1.0"),
        ({"samples": 4, "classes": 8}, "at least the number of classes"),
        ({"gama": 1.0}, "did you mean 'gamma'"),
    ],
)
def test_impossible_options_are_explained(options, message):
    with pytest.raises(UserError, match=message):
        load_dataset(DatasetConfig(name="spectral", **options))


def test_options_validate_on_their_own():
    assert validate(Spectral, {"band": [0.1, 0.2]}).band == (0.1, 0.2)
