"""Second moments and principal components of a dataset, and the closed forms on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.contest import Entry, contest
from benchmarks.durations import seconds_of
from benchmarks.results import Plan, Row, Section

ABOUT = """
Mean, covariance and principal components of uint8 colour images with a power of 1/f², made from a seed; and the
closed-form alignment with a noise that hides patches. Cold is with an empty cache, cached with what an earlier call
left; both include hashing the images, which is what the cache goes by. The error is the largest relative one of an
eigenvalue, against numpy's in float64; of IncrementalPCA, of the first eight.
"""
# Images and their side: 3,072 and 12,288 dimensions, and of align. Above 8,192 dimensions ssl_bench takes components
# from a sample of 4,096 images.
SMALL, LARGE, ALIGN = (50_000, 32), (5_000, 64), (5_000, 32)
QUICK = (300, 8)
KS = (8, 64, 512)
FEW = 64
# A work takes seconds: more turns than this tell little more.
MOST_REPEATS = 2
Contestant = tuple[str, str, dict[str, Any]]


def run(plan: Plan) -> Section:
    """The section."""
    plan = replace(plan, repeats=min(plan.repeats, MOST_REPEATS))
    small, large, aligned = (QUICK,) * 3 if plan.quick else (SMALL, LARGE, ALIGN)
    rows = [*_moments(plan, *small), *_components(plan, *small)]
    if not plan.quick:
        rows += _many_dimensions(plan, *large)
    return Section("moments", "Moments, components, alignment", ABOUT.strip(), [*rows, *_alignment(plan, *aligned)])


def _moments(plan: Plan, images: int, size: int) -> list[Row]:
    contestants: list[Contestant] = [("ssl_bench", "our_moments", {}), ("numpy cov, float64", "numpy_moments", {})]
    return _rows(plan, "mean and covariance", images, size, contestants)


def _components(plan: Plan, images: int, size: int) -> list[Row]:
    contestants: list[Contestant] = [
        ("ssl_bench, cold", "our_basis", {"cached": False}),
        ("ssl_bench, cached", "our_basis", {"cached": True}),
        ("numpy cov and eigh, float64", "numpy_basis", {}),
        ("scikit-learn PCA, float32", "scikit_pca", {"solver": "covariance_eigh"}),
        (f"scikit-learn IncrementalPCA, {FEW} components", "scikit_incremental", {"components": FEW}),
    ]
    return _rows(plan, "components", images, size, contestants)


def _many_dimensions(plan: Plan, images: int, size: int) -> list[Row]:
    contestants: list[Contestant] = [
        ("ssl_bench, cold", "our_basis", {"cached": False}),
        ("ssl_bench, cached", "our_basis", {"cached": True}),
        (f"scikit-learn PCA, {FEW} components", "scikit_pca", {"solver": "randomized", "components": FEW}),
    ]
    return _rows(plan, "components", images, size, contestants)


def _alignment(plan: Plan, images: int, size: int) -> list[Row]:
    ks = [1, 8] if plan.quick else list(KS)
    whole: list[Contestant] = [
        ("ssl_bench, cold", "our_align", {"ks": ks, "cached": False}),
        ("ssl_bench, cached", "our_align", {"ks": ks, "cached": True}),
    ]
    alone: list[Contestant] = [
        ("ssl_bench", "our_solution", {"count": ks[-1]}),
        ("scipy eigh", "scipy_solution", {"count": ks[-1]}),
    ]
    return [
        *_rows(plan, "align", images, size, whole),
        *_rows(plan, f"eigenproblem of align, {ks[-1]} solutions", images, size, alone),
    ]


def _rows(plan: Plan, what: str, images: int, size: int, contestants: Sequence[Contestant]) -> list[Row]:
    entries = [
        Entry(name, f"benchmarks.decomposing:{factory}", {"images": images, "size": size, **settings}, plan.threads)
        for name, factory, settings in contestants
    ]
    case = f"{what}, D = {3 * size**2:,}, N = {images:,}"
    return with_errors(seconds_of(case, contest(entries, plan.repeats)))


def with_errors(rows: Sequence[Row]) -> list[Row]:
    """Rows with the largest relative error of their eigenvalues instead of these, where float64's are there too."""
    reference = [row.extra["eigenvalues"] for row in rows if "eigenvalues" in row.extra and "float64" in row.name]
    made = []
    for row in rows:
        extra = {key: value for key, value in row.extra.items() if key != "eigenvalues"}
        if reference and "eigenvalues" in row.extra and "float64" not in row.name:
            found, truth = np.array(row.extra["eigenvalues"]), np.array(reference[0])
            compared = min(len(truth), len(found) if len(found) > FEW else 8)
            extra["eigenvalue_error"] = float(np.abs(found[:compared] / truth[:compared] - 1).max())
        made.append(replace(row, extra=extra))
    return made
