"""What each band is worth to a small nonlinear classifier that sees nothing else."""

from __future__ import annotations

import torch
from sklearn.linear_model import RidgeClassifierCV
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Generator, Tensor
from torch.nn import functional

from ssl_bench.data.images import ImageData
from ssl_bench.design.directions import Directions
from ssl_bench.design.knowledge import Relevance, estimated, few_labels
from ssl_bench.errors import UserError

FILTERS = 128
SIDE = 5
GRID = 3
FOLDS = 5


def from_nonlinear(data: ImageData, directions: Directions, per_class: int, generator: Generator) -> Relevance:
    """Accuracy above chance of a classifier on random convolutional features of one band, all others withheld.

    Ridge regression, cross-validated over the few labelled training images. The worth of a band is its accuracy above
    chance, and every direction in it counts as much: a wide band is not worth less a direction for being wide, as it is
    to a linear readout.

    Raises: UserError if there are too few labels a class to cross-validate.
    """
    chosen = few_labels(data.train, per_class, data.classes, generator)
    folds = min(FOLDS, int(torch.bincount(chosen.labels).min()))
    if folds < 2:
        raise UserError("knowledge=nonlinear cross-validates: it needs two labelled images of each class at least")
    images = data.standardised(chosen.images)
    labels = chosen.labels.numpy()
    filters = torch.randn(FILTERS, data.channels, SIDE, SIDE, generator=generator)
    accuracies = []
    for band in range(len(directions.levels)):
        features = random_features(band_passed(directions, images, band), filters).numpy()
        classifier = make_pipeline(StandardScaler(), RidgeClassifierCV(alphas=[10.0**power for power in range(0, 7)]))
        split = StratifiedKFold(folds, shuffle=True, random_state=0)
        accuracies.append(float((cross_val_predict(classifier, features, labels, cv=split) == labels).mean()))
    accuracy = torch.tensor(accuracies, dtype=torch.float64)
    chance = float(torch.bincount(chosen.labels).max()) / len(chosen)
    error = (accuracy * (1 - accuracy) / len(chosen)).clamp(min=0.25 / len(chosen) ** 2).sqrt()
    return estimated((accuracy - chance) / (1 - chance), error / (1 - chance), len(chosen))


def band_passed(directions: Directions, images: Tensor, band: int) -> Tensor:
    """Images with all bands but one withheld, of unit variance. Shapes: ``(N, C, H, W)`` to the same."""
    kept = directions.only(images, band)
    return kept / kept.std().clamp(min=1e-12)


def random_features(images: Tensor, filters: Tensor) -> Tensor:
    """Random filters, both signs rectified, averaged over a grid of places. Shapes: ``(N, C, H, W)`` -> ``(N, F)``."""
    places = min(GRID, images.shape[-1])
    pooled = []
    for part in torch.split(images, 250):
        responses = functional.conv2d(part, filters, padding=SIDE // 2)
        both = torch.cat([responses.relu(), (-responses).relu()], dim=1)
        pooled.append(functional.adaptive_avg_pool2d(both, places).flatten(1))
    return torch.cat(pooled)
