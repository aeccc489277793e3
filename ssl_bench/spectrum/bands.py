"""The analyzers: what an encoder holds of each band, how far it moves with it, and what its probe needs of it."""

from __future__ import annotations

from ssl_bench.spectrum import altered
from ssl_bench.spectrum.analyzer import Measurement
from ssl_bench.spectrum.bases import band_energies
from ssl_bench.spectrum.readout import cross_moment, fitted, make_readout, squared_errors


def relative_error(measurement: Measurement) -> list[float] | None:
    """E|P_b (x - x_hat)|^2 / E|P_b x|^2 of each band, over the test images; ``None`` without a reconstruction.

    1 is the error of answering the mean image; a band is called learned below 1/2.
    """
    if measurement.difference is None:
        return None
    targets = measurement.targets
    energies = band_energies(targets.basis.coefficients(measurement.difference), targets.basis)
    errors: list[float] = (energies / targets.reference).tolist()
    return errors


def decodability(measurement: Measurement) -> list[float]:
    """Held-out R^2 of each band's coefficients, read linearly from the frozen embedding.

    Ridge regression from standardised features; a band's penalty is chosen on a fifth of the fitting images, its R^2
    measured on the test images. 0 is what the mean gives; below 0 is worse than the mean.
    """
    targets = measurement.targets
    readout = measurement.readout or make_readout(measurement.fit_embedding, measurement.test_embedding)
    cut, mean = fitted(len(targets.fit)), targets.fitted_mean
    # In the eigenbasis of the features the weights of every penalty are these, shrunken.
    weights = cross_moment(readout.fit, targets.fit[:cut], mean)
    held_out = cross_moment(readout.held_out, targets.fit[cut:], mean)
    test = cross_moment(readout.test, targets.test, mean)
    scores = []
    for index, (energy, test_energy) in enumerate(zip(*targets.energies, strict=True)):
        inside = targets.basis.band_of == index
        own = weights[:, inside]
        squares, linear = own @ own.T, (own * held_out[:, inside]).sum(1)
        errors = squared_errors(energy, linear, squares * readout.held_out_moment, readout.shrinkage)
        chosen = readout.shrinkage[errors.argmin()][None]
        linear = (own * test[:, inside]).sum(1)
        error = squared_errors(test_energy, linear, squares * readout.test_moment, chosen)
        scores.append(1 - float(error / targets.reference[index]))
    return scores


def sensitivity(measurement: Measurement) -> list[float] | None:
    """How far the embedding moves when a random change of fixed norm is made within each band.

    Mean distance over images, in units of the embedding's own spread (root of its total variance), so that encoders
    compare. The norm is a setting, in units of a standardised image's.
    """
    asked = measurement.altered
    if asked is None:
        return None
    moved = asked.nudged(measurement.targets.basis)
    values: list[float] = altered.displacement(moved, asked.embedding, asked.spread).tolist()
    return values


def sensitivity_error(measurement: Measurement) -> list[float] | None:
    """Error of the frozen probe on the images of :func:`sensitivity`, for each band."""
    asked = measurement.altered
    if asked is None:
        return None
    return altered.probe_error(asked.scores, asked.nudged(measurement.targets.basis), asked.labels)


def accuracy_band(measurement: Measurement) -> list[float] | None:
    """Accuracy of the frozen probe on band-passed images: each band alone."""
    return _accuracy(measurement, altered.only)


def accuracy_low(measurement: Measurement) -> list[float] | None:
    """Accuracy of the frozen probe on low-passed images: each band with those before it."""
    return _accuracy(measurement, altered.low)


def accuracy_high(measurement: Measurement) -> list[float] | None:
    """Accuracy of the frozen probe on high-passed images: each band with those after it."""
    return _accuracy(measurement, altered.high)


def _accuracy(measurement: Measurement, kept: altered.Kept) -> list[float] | None:
    asked = measurement.altered
    return None if asked is None else asked.accuracies(measurement.targets.basis, kept)
