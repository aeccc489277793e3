"""How cost grows with images, pixels, dimensions and snapshots."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.growth import Growth, follow
from benchmarks.results import Plan, Section

ABOUT = """
Cost against size, with all else fixed: the exponent that the algorithm should have for large sizes, and the one
measured over the larger half of the sizes. Every point is a process of its own; memory is its peak beyond what imports
take, the images included.
"""
# A point is the median of so many works; what counts is the slope.
MOST_REPEATS = 3


def run(plan: Plan) -> Section:
    """The section."""
    growths = [_quick(one) for one in growths_of(plan)] if plan.quick else growths_of(plan)
    curves, notes = [], []
    for growth in growths:
        try:
            curves.append(follow(growth, plan, min(plan.repeats, MOST_REPEATS)))
        except Exception as error:  # as in a contest: whatever a work raises is a line in the report
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            notes.append(f"Not measured: {growth.what}, against {growth.against} ({reason}).")
    return Section("growth", "How cost grows", ABOUT.strip(), curves=curves, notes=notes)


def growths_of(plan: Plan) -> list[Growth]:
    """All curves."""
    return [*_network_growths(plan.device), *_moment_growths(), *_measuring_growths()]


def _network_growths(device: str) -> list[Growth]:
    batch = 64 if device == "cpu" else 512
    on_device = {"device": device}
    return [
        Growth(
            "features, resnet_micro",
            "images",
            "benchmarks.growing:extraction",
            "images",
            (500, 1000, 2000, 4000),
            1,
            "a forward an image",
            {"size": 32, **on_device},
        ),
        Growth(
            "features, resnet_micro",
            "side of an image, px",
            "benchmarks.growing:extraction",
            "size",
            (32, 48, 64, 96, 128),
            2,
            "pixels",
            {"images": 256, **on_device},
        ),
        Growth(
            f"training step, simclr, resnet_micro, batch {batch}",
            "images",
            "benchmarks.growing:training_step",
            "images",
            (2_500, 10_000, 40_000, 160_000),
            0,
            "a step sees its batch only; the images lie in memory once, 3 kB each",
            {"size": 32, "batch": batch, **on_device},
        ),
        Growth(
            f"training step, simclr, resnet_micro, batch {batch}",
            "side of an image, px",
            "benchmarks.growing:training_step",
            "size",
            (32, 48, 64, 96, 128),
            2,
            "pixels",
            {"images": 512, "batch": batch, **on_device},
        ),
    ]


def _dimension(size: int) -> float:
    """Of a colour image."""
    return 3.0 * size**2


def _moment_growths() -> list[Growth]:
    return [
        Growth(
            "mean and covariance, D = 768",
            "images",
            "benchmarks.growing:moments",
            "images",
            (4_000, 8_000, 16_000, 32_000, 64_000),
            1,
            "a product of D² an image",
            {"size": 16},
        ),
        Growth(
            "mean and covariance, N = 2,048",
            "dimension D",
            "benchmarks.growing:moments",
            "size",
            (16, 24, 32, 40, 48),
            2,
            "a product of D² an image",
            {"images": 2048},
            _dimension,
        ),
        Growth(
            "principal components, N = 2,048",
            "dimension D",
            "benchmarks.growing:basis",
            "size",
            (12, 16, 20, 24, 28, 32),
            3,
            "an eigenproblem of D dimensions",
            {"images": 2048},
            _dimension,
        ),
    ]


def _measuring_growths() -> list[Growth]:
    dimensions = (64, 128, 256, 512, 1024)
    return [
        Growth(
            "linear probe, N = 2,000",
            "dimension D",
            "benchmarks.growing:probe",
            "dimension",
            dimensions,
            1,
            "products of D x 45 heads an image",
            {"name": "linear", "count": 2000},
        ),
        Growth(
            "ridge probe, N = 4,000",
            "dimension D",
            "benchmarks.growing:probe",
            "dimension",
            (*dimensions, 2048),
            3,
            "an eigenproblem of D dimensions; below some hundreds the Gram matrix, N D²",
            {"name": "ridge", "count": 4000},
        ),
        Growth(
            "k-NN probe, D = 64",
            "images",
            "benchmarks.growing:probe",
            "count",
            (5_000, 10_000, 20_000, 40_000),
            2,
            "an inner product a pair of training and test image, and there are a fifth as many test images",
            {"name": "knn", "dimension": 64},
        ),
        Growth(
            "decodability of 8 bands, N = 2,000",
            "dimension D",
            "benchmarks.growing:band_decodability",
            "dimension",
            dimensions,
            2,
            "products of D² a coefficient and penalty; below some hundreds N D",
            {"count": 2000, "size": 16},
        ),
        Growth(
            "analysis of a run, 16 px",
            "snapshots",
            "benchmarks.growing:analysis",
            "snapshots",
            (2, 4, 8),
            1,
            "each snapshot by itself",
            {"count": 500, "size": 16},
        ),
    ]


def _quick(growth: Growth) -> Growth:
    """Sizes that say nothing."""
    small = {"size": (8, 12), "images": (64, 128), "count": (50, 100), "dimension": (4, 8), "snapshots": (1, 2)}
    fixed = {"size": 8, "images": 64, "count": 100, "dimension": 8, "batch": 8}
    settings = {key: fixed.get(key, value) for key, value in growth.settings.items()}
    return replace(growth, sizes=small[growth.argument], settings=settings)
