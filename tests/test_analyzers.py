"""Analyzers that alter images, the gap of top and bottom, the token map: against slow versions and known truth."""

import itertools

import numpy as np
import pytest
import torch
from test_spectrum import bases, make_data, projectors

from ssl_bench.backbones.feature_point import FeaturePoint
from ssl_bench.config import AnalysisConfig
from ssl_bench.data.images import ImageData, Split
from ssl_bench.data.moments import eigenbasis
from ssl_bench.data.spectral import Spectral
from ssl_bench.errors import UserError
from ssl_bench.evaluation.subject import Subject
from ssl_bench.spectrum import ANALYZERS
from ssl_bench.spectrum.altered import Altered, displacement, nudges, spread_of
from ssl_bench.spectrum.analyzer import Measurement, make_targets
from ssl_bench.spectrum.bases import PCABasis
from ssl_bench.spectrum.bench import make_bench
from ssl_bench.spectrum.curves import examples, make_altered, measure
from ssl_bench.spectrum.heat_map import heat_map, wave
from ssl_bench.spectrum.r2_gap import FRACTIONS, PENALTIES, matched_sets, r2_gap
from ssl_bench.spectrum.summary import summarise
from ssl_bench.spectrum.token_map import log_amplitude

# Strictly inside the rings 4 and 5 of 8, from 0.25 to 0.375: a frequency on a border belongs to the outer one.
BAND = (0.26, 0.36)
RINGS = (4, 5)


def as_subject(encode, **more):
    def read(images, point):
        if point.pool == "map":
            raise UserError("no map")
        return encode(images)

    return Subject("an encoder", read, "weights", **more)


@pytest.fixture(scope="module")
def spectral():
    """Two-class textures whose orientation, in the rings from 0.25 to 0.375, is the class; and a bench on them."""
    options = Spectral(samples=1200, test_samples=600, size=16, band=BAND, share=0.3, classes=2, signal="texture")
    data = options.load([], download=False)
    settings = AnalysisConfig(
        bands=8, fit_samples=1200, test_samples=600, altered_samples=600, view_samples=20, views=3
    )
    return data, make_bench(data, settings)


def powers(images):
    """An encoder that knows how much of each wave is there, and not where: what a texture is."""
    return torch.fft.rfft2(images, norm="ortho").abs().flatten(1)


def inside(targets):
    """Which rings are the ones the class is in."""
    return [index in RINGS for index in range(len(targets.basis.bands))]


def test_nudges_stay_in_their_band_and_have_their_length():
    for basis in bases(make_data()):
        made = nudges(basis, 5, 0.7)
        assert all(torch.equal(one, other) for one, other in zip(made, nudges(basis, 5, 0.7), strict=True))
        for index, (change, projector) in enumerate(zip(made, projectors(basis), strict=True)):
            flat = change.flatten(1).double()
            assert torch.allclose(flat.norm(dim=1), torch.full((5,), 0.7, dtype=torch.float64), atol=1e-5), index
            assert torch.allclose(flat @ projector, flat, atol=1e-5)


def test_displacement_against_a_loop():
    generator = torch.Generator().manual_seed(0)
    clean, moved = torch.randn(6, 4, generator=generator), torch.randn(3, 6, 4, generator=generator)
    slow = [np.mean([np.linalg.norm((moved[s, a] - clean[a]).numpy()) for a in range(6)]) / 2.5 for s in range(3)]
    assert displacement(moved, clean, 2.5).tolist() == pytest.approx(slow)
    assert spread_of(clean) == pytest.approx(float(np.sqrt(clean.double().numpy().var(0).sum())))


def test_an_encoder_that_holds_one_band_moves_with_that_band_alone():
    data = make_data()
    images = data.standardised(data.test.images)
    for basis in bases(data):
        kept = (basis.band_of == 2).float()

        def encode(x, basis=basis, kept=kept):
            return basis.coefficients(x) * kept

        clean = encode(images)
        asked = Altered(images, data.test.labels, clean, encode, lambda e: e, spread_of(clean), norm=0.9)
        measurement = Measurement(make_targets(basis, images, images), clean, clean, None, asked)
        values = ANALYZERS.get("sensitivity")(measurement)
        expected = [0.9 / spread_of(clean) if index == 2 else 0 for index in range(len(basis.bands))]
        assert values == pytest.approx(expected, abs=1e-4)


def test_analyzers_that_alter_images_say_nothing_where_none_are_altered():
    data = make_data()
    images = data.standardised(data.test.images)
    measurement = Measurement(make_targets(bases(data)[0], images, images), images.flatten(1), images.flatten(1), None)
    for name in ("sensitivity", "sensitivity_error", "accuracy_band", "accuracy_low", "accuracy_high"):
        assert ANALYZERS.get(name)(measurement) is None


def test_filtered_accuracies_against_filters_made_by_hand(spectral):
    data, bench = spectral
    subject = as_subject(powers)
    row = measure(bench, subject, None, last=False).row
    fit = powers(data.standardised(bench.fit.images))
    test = powers(data.standardised(bench.test.images))
    scores = make_altered(bench, subject, fit, test).scores
    images = data.standardised(bench.test.images[:600])
    plane = torch.fft.fft2(images.double())
    frequency = np.hypot(np.fft.fftfreq(16)[:, None], np.fft.fftfreq(16)[None])
    ring = torch.from_numpy(np.minimum((frequency / 0.5 * 8 + 1e-9).astype(int), 7))
    for name, keep in (
        ("accuracy_band", lambda index: ring == index),
        ("accuracy_low", lambda index: ring <= index),
        ("accuracy_high", lambda index: ring >= index),
    ):
        for index in range(8):
            filtered = torch.fft.ifft2(plane * keep(index)).real.float()
            right = (scores(powers(filtered)).argmax(1) == bench.test.labels[:600]).double().mean()
            assert row["radial"][name][index] == pytest.approx(float(right), abs=0.005), (name, index)
    assert row["radial"]["accuracy_low"][7] == pytest.approx(row["accuracy"], abs=0.005)


def test_on_spectral_the_probe_needs_the_band_the_class_is_in(spectral):
    _, bench = spectral
    row = measure(bench, as_subject(powers), None, last=False).row
    radial = next(targets for targets in bench.targets if targets.basis.name == "radial")
    truth = inside(radial)
    assert sum(truth) == 2
    assert row["accuracy"] > 0.9
    alone, low, high = (row["radial"][f"accuracy_{which}"] for which in ("band", "low", "high"))
    best = max(range(8), key=lambda index: alone[index])
    assert truth[best]
    assert alone[best] > 0.75
    first = truth.index(True)
    # Without the band the frozen probe is at chance; with it, not.
    assert max(low[:first]) < 0.62
    assert low[first + 1] > 0.85
    assert max(high[first + 2 :]) < 0.62
    assert high[first] > 0.75


def test_on_spectral_an_encoder_of_the_band_is_found_by_every_analyzer(spectral):
    """Its embedding is the images' Fourier coefficients in the class's band: bands, sensitivity and heat map say so."""
    data, bench = spectral
    radial = next(targets for targets in bench.targets if targets.basis.name == "radial")
    truth = inside(radial)
    chosen = torch.isin(radial.basis.band_of, torch.tensor([i for i, one in enumerate(truth) if one]))
    kept = radial.basis.independent & chosen

    def encode(images):
        return radial.basis.coefficients(images)[:, kept]

    def reconstruct(images):
        return radial.basis.images(radial.basis.coefficients(images) * chosen)

    subject = as_subject(encode, reconstruct=reconstruct)
    row = measure(bench, subject, None, last=False).row["radial"]
    for index, one in enumerate(truth):
        assert (row["decodability"][index] > 0.99) == one
        assert (row["relative_error"][index] < 0.01) == one
        assert (row["sensitivity"][index] > 0.05) == one
    heat = measure(bench, subject, None, last=False).heat
    frequency = torch.hypot(heat.rows[:, None], heat.columns[None, :])
    hot = heat.displacement > 0.05
    assert torch.equal(hot, (frequency >= 0.25 - 1e-6) & (frequency < 0.375 - 1e-6))
    variance = sum(float(radial.variance_fraction[i]) for i, one in enumerate(truth) if one)
    assert variance < 0.5, "what it holds is not where the variance is"
    assert measure(bench, subject, None, last=False).row["r2_gap"]["gap"] < 0
    made = examples(bench, subject, last=True)
    assert torch.allclose(made["images"], bench.test.images[:8].float() / 255)
    assert made["reconstructions"].shape == made["images"].shape
    assert set(made) == {"images", "reconstructions", "reconstructions/0"}, "nothing was noised"
    assert set(examples(bench, subject, last=False)) == {"reconstructions/0"}
    assert data.name == "spectral"


def test_waves_are_of_one_frequency_and_unit_length():
    for size, row, column in itertools.product((8, 9), (-3, 0, 4), (0, 2, 4)):
        made = wave(size, row, column).double()
        assert made.norm() == pytest.approx(1, abs=1e-6)
        power = torch.fft.fft2(made).abs().square()
        there = power[row % size, column % size] + power[-row % size, -column % size]
        same = (row % size, column % size) == (-row % size, -column % size)
        assert there / (2 if same else 1) == pytest.approx(float(power.sum()), rel=1e-6)


def test_the_heat_map_against_one_wave_at_a_time():
    data = make_data(count=40)
    images = data.standardised(data.test.images[:3])
    generator = torch.Generator().manual_seed(3)
    weights = torch.randn(128, 5, generator=generator)

    def encode(x):
        return torch.tanh(x.flatten(1) @ weights)

    clean = encode(images)
    labels = torch.tensor([0, 1, 2])
    asked = Altered(images, labels, clean, encode, lambda e: e[:, :3], spread_of(clean), norm=2.0)
    heat = heat_map(asked, 3)
    assert heat.displacement.shape == heat.error.shape == (8, 5)
    assert heat.rows.tolist() == [k / 8 for k in range(-4, 4)]
    draw = torch.Generator().manual_seed(0)
    for i, row in enumerate(range(-4, 4)):
        signs = torch.randint(0, 2, (5, 3, 2, 1, 1), generator=draw) * 2.0 - 1
        for j in range(5):
            moved = [encode((images[a] + signs[j, a] * wave(8, row, j) * 2.0 / 2**0.5)[None])[0] for a in range(3)]
            slow = np.mean([float((moved[a] - clean[a]).norm()) for a in range(3)]) / spread_of(clean)
            assert heat.displacement[i, j] == pytest.approx(slow, rel=1e-4)
            wrong = np.mean([int(moved[a][:3].argmax()) != a for a in range(3)])
            assert heat.error[i, j] == pytest.approx(wrong)


def test_large_images_have_a_thinned_heat_map():
    images = torch.randn(1, 1, 80, 80)
    asked = Altered(images, torch.zeros(1).long(), images.mean((2, 3)), lambda x: x.mean((2, 3)), lambda e: e, 1.0, 1.0)
    heat = heat_map(asked, 1)
    assert heat.displacement.shape == (16, 9)
    assert (heat.rows.min(), heat.rows.max(), heat.columns.max()) == (-0.5, pytest.approx(35 / 80), 0.5)
    assert 0 in heat.rows


def test_matched_sets_are_the_fewest_that_hold_their_share():
    variances = torch.tensor([5.0, 3.0, 1.0, 0.6, 0.4], dtype=torch.float64)
    for fraction in FRACTIONS:
        top, bottom = matched_sets(variances, fraction)
        assert variances[top.start : top.stop].sum() >= fraction * 10 - 1e-9
        assert variances[: top.stop - 1].sum() < fraction * 10
        assert variances[bottom.start :].sum() >= fraction * 10 - 1e-9
        assert variances[bottom.start + 1 :].sum() < fraction * 10
        assert (top.start, bottom.stop) == (0, 5)


def test_the_gap_against_explicit_regressions():
    data = make_data(count=500)
    images = data.standardised(data.test.images)
    basis = PCABasis(eigenbasis(data), data.shape, 6)
    targets = make_targets(basis, images[:400], images[400:])
    generator = torch.Generator().manual_seed(0)
    embedding = torch.tanh(images.flatten(1) @ torch.randn(128, 9, generator=generator))
    result = r2_gap(basis.variances, targets.fit, embedding[:400], targets.test, embedding[400:])
    known = embedding[:320].double().numpy()
    scaled = (embedding.double().numpy() - known.mean(0)) / known.std(0)
    variances = basis.variances.numpy()
    fit, test = targets.fit.double().numpy(), targets.test.double().numpy()
    for side, key in ((0, "top"), (1, "bottom")):
        for place, fraction in enumerate(FRACTIONS):
            part = matched_sets(basis.variances, fraction)[side]
            rows = np.arange(part.start, part.stop)
            tried = []
            for penalty in PENALTIES:
                weights = np.zeros((len(rows), 9))
                for i, k in enumerate(rows):
                    moment = (fit[:320, k, None] * scaled[:320]).mean(0)
                    weights[i] = moment / (variances[k] + penalty * variances.mean())
                error = np.square(scaled[320:400] - fit[320:, rows] @ weights).sum()
                r2 = 1 - np.square(scaled[400:] - test[:, rows] @ weights).sum() / np.square(scaled[400:]).sum()
                tried.append((error, r2))
            assert result[key][place] == pytest.approx(min(tried)[1], abs=1e-4)
    gaps = [top - bottom for top, bottom in zip(result["top"], result["bottom"], strict=True)]
    assert result["gap"] == pytest.approx(np.mean(gaps))


def test_the_gap_has_the_sign_of_what_the_embedding_follows():
    data = make_data(count=600)
    images = data.standardised(data.test.images)
    basis = PCABasis(eigenbasis(data), data.shape, 6)
    targets = make_targets(basis, images[:450], images[450:])
    coefficients = basis.coefficients(images)
    for chosen, sign in ((slice(0, 1), 1), (slice(-40, None), -1)):
        embedding = coefficients[:, chosen]
        result = r2_gap(basis.variances, targets.fit, embedding[:450], targets.test, embedding[450:])
        assert sign * result["gap"] > 0.2
    constant = torch.ones(600, 3)
    assert r2_gap(basis.variances, targets.fit, constant[:450], targets.test, constant[450:]) is None


def test_the_log_amplitude_of_a_token_map_against_numpy():
    maps = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0)).cumsum(-1)
    levels = np.log(np.abs(np.fft.fft2(maps.double().numpy(), norm="ortho"))).mean((0, 1))
    slow = [levels[i, i] - levels[0, 0] for i in range(5)]
    assert log_amplitude(maps) == pytest.approx(slow)
    assert log_amplitude(maps[..., :2, :2]) is None
    assert np.isfinite(log_amplitude(torch.ones(2, 2, 4, 4))).all()


def test_chance_is_what_as_many_random_directions_hold(spectral):
    data, bench = spectral
    chance = bench.chance(8)
    assert chance is bench.chance(8)
    flat = data.standardised(bench.fit.images).flatten(1)
    directions = torch.randn(256, 8, generator=torch.Generator().manual_seed(0))

    def encode(images):
        return images.flatten(1) @ directions

    row = measure(bench, as_subject(encode), None, last=False).row
    for name in ("pca", "patch_pca", "radial", "dct"):
        assert row[name]["decodability"] == pytest.approx(chance[name], abs=1e-4)
    assert flat.shape[1] == 256
    independent = as_subject(lambda images: torch.randn(len(images), 8, generator=torch.Generator().manual_seed(1)))
    values = measure(bench, independent, None, last=False).row["pca"]["decodability"]
    assert max(map(abs, values)) < 0.03, "an embedding that knows nothing decodes nothing"


def test_the_summary_has_half_times_of_every_curve(spectral):
    _, bench = spectral
    truth = powers

    def blend(share):
        return lambda images: (
            share * truth(images)
            + (1 - share) * torch.randn(len(images), 144, generator=torch.Generator().manual_seed(0))
        )

    rows = [
        measure(bench, as_subject(blend(share), step=step, samples_seen=100 * step), None, last=False).row
        for step, share in ((0, 0.0), (1, 0.3), (10, 1.0))
    ]
    summary = summarise(bench, rows)
    for index, band in enumerate(summary["radial"]):
        assert {"half_time", "decodability_half_time", "sensitivity_half_time", "accuracy_low_half_time"} <= set(band)
        assert band["directions"] == int(bench.targets[2].basis.directions[index])
    last = summary["radial"][7]
    assert 0 < last["accuracy_low_half_time"] < 1000
    assert summary["accuracy"] == rows[-1]["accuracy"] > 0.9
    assert sum(summary["embedding_spectrum"]) == pytest.approx(1, abs=1e-4)
    assert summary["token_spectrum"] is None


def test_views_are_the_same_for_everyone_and_only_asked_at_the_end(spectral):
    _, bench = spectral
    shapes = [views.shape for views in bench.views()]
    assert shapes == [(20, 3, 1, 16, 16)]
    assert torch.equal(next(bench.views()), next(bench.views()))
    early = measure(bench, as_subject(powers), None, last=False).row["embedding"]
    late = measure(bench, as_subject(powers), None, last=True).row["embedding"]
    assert early["lidar"] is None
    assert early["alignment"] is None
    assert late["lidar"] > 1
    assert late["rankme"] == early["rankme"]


def test_too_few_images_to_analyze_are_refused_in_one_line():
    images = torch.randint(0, 256, (8, 1, 8, 8), dtype=torch.uint8)
    split = Split(images, torch.arange(8) % 2)
    with pytest.raises(UserError, match="tiny has 8 training and 8 test images: an analysis needs 10 of each"):
        make_bench(ImageData("tiny", split, split, 2), AnalysisConfig())


def test_a_feature_point_has_a_name():
    assert str(FeaturePoint()) == "embedding"
    assert str(FeaturePoint("embedding", 3)) == "layer 3, mean"
    assert str(FeaturePoint("cls", 2)) == "layer 2, cls"
