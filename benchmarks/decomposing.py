"""Contestants of the section ``moments``: covariances, principal components, and the eigenproblem of ``align``."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA, IncrementalPCA
from threadpoolctl import threadpool_limits

from benchmarks.contest import Work
from benchmarks.made import made_images
from ssl_bench.aligning import Problem, align, make_problem, solve
from ssl_bench.data.images import ImageData
from ssl_bench.data.moments import eigenbasis
from ssl_bench.noise import make_noise

Floats = NDArray[np.float64]
# Of IncrementalPCA: what fits in memory at a time.
BATCH = 1024
# Not diagonal in the principal components: ``align`` has to solve its eigenproblem.
NOISE = "mask(ratio=0.75, patch=4)"


class Spectrum:
    """Computes once a work, and at the end gives the eigenvalues of the covariance, in squares of pixels."""

    def __init__(self, compute: Callable[[], Floats]) -> None:
        self.compute = compute
        self.values: Floats = np.zeros(0)

    def __call__(self) -> int:
        """One computation."""
        self.values = self.compute()
        return 1

    def about(self) -> dict[str, Any]:
        """Descending eigenvalues."""
        return {"eigenvalues": self.values.tolist()}


def our_moments(images: int, size: int) -> Work:
    """Exact mean and covariance of uint8 images."""
    data = made_images(images, size=size)

    def work() -> int:
        # A dataset that has computed nothing of itself yet.
        return len([dataclasses.replace(data).moments])

    return work


def numpy_moments(images: int, size: int) -> Work:
    """``np.cov`` of the images in float64."""
    pixels = _as_table(made_images(images, size=size), np.float64)

    def work() -> int:
        pixels.mean(0)
        np.cov(pixels, rowvar=False, bias=True)
        return 1

    return work


def our_basis(images: int, size: int, *, cached: bool) -> Work:
    """Mean, variances and components; with an empty cache in each work, or with one that the first work filled."""
    data = made_images(images, size=size)
    folder = tempfile.TemporaryDirectory()

    def compute() -> Floats:
        os.environ["XDG_CACHE_HOME"] = folder.name if cached else tempfile.mkdtemp(dir=folder.name)
        # A dataset that has computed nothing of itself yet, as in a new process.
        new = dataclasses.replace(data)
        values: Floats = eigenbasis(new).variances.numpy() * (255 * new.statistics.std) ** 2
        return values

    return Spectrum(compute)


def numpy_basis(images: int, size: int) -> Work:
    """``np.cov`` and ``np.linalg.eigh`` in float64."""
    pixels = _as_table(made_images(images, size=size), np.float64)

    def compute() -> Floats:
        pixels.mean(0)
        values, _ = np.linalg.eigh(np.cov(pixels, rowvar=False, bias=True))
        return values[::-1]

    return Spectrum(compute)


def scikit_pca(images: int, size: int, solver: str, components: int | None = None) -> Work:
    """scikit-learn's PCA of the images in float32."""
    pixels = _as_table(made_images(images, size=size), np.float32)

    def compute() -> Floats:
        model = PCA(components, svd_solver=solver, random_state=0).fit(pixels)
        # Divided by N - 1 there, by N here.
        values: Floats = model.explained_variance_.astype(np.float64) * (images - 1) / images
        return values

    return Spectrum(compute)


def scikit_incremental(images: int, size: int, components: int) -> Work:
    """scikit-learn's IncrementalPCA, from uint8 images a batch at a time."""
    pixels = _as_table(made_images(images, size=size), np.uint8)

    def compute() -> Floats:
        model = IncrementalPCA(components)
        for start in range(0, images, BATCH):
            # A last batch of fewer images than components is refused.
            if len(pixels[start:]) >= components:
                model.partial_fit(pixels[start : start + BATCH].astype(np.float32))
        values: Floats = model.explained_variance_.astype(np.float64)
        return values

    return Spectrum(compute)


def our_align(images: int, size: int, ks: list[int], *, cached: bool) -> Work:
    """``align`` with a noise; with an empty cache in each work, or with one that the first work filled."""
    data = made_images(images, images // 5, size)
    folder = tempfile.TemporaryDirectory()

    def work() -> int:
        os.environ["XDG_CACHE_HOME"] = folder.name if cached else tempfile.mkdtemp(dir=folder.name)
        align(dataclasses.replace(data), NOISE, ks)
        return 1

    return work


def our_solution(images: int, size: int, count: int) -> Work:
    """The eigenproblem of ``align`` alone: the best K directions under a noise."""
    problem = _problem(images, size)
    noise = make_noise(NOISE).prepare(problem.data)

    def work() -> int:
        solve(problem, noise, None, count)
        return 1

    return work


def scipy_solution(images: int, size: int, count: int) -> Work:
    """The same by scipy's generalised ``eigh``."""
    problem = _problem(images, size)
    noise = make_noise(NOISE).prepare(problem.data)
    threadpool_limits(torch.get_num_threads())
    second, top = problem.train.second, len(problem.train.second)

    def work() -> int:
        cross, noisy = noise.mean_map(second, problem.shape), noise.second_map(second, problem.shape)
        left = (cross @ cross.T).numpy()
        scipy.linalg.eigh(left, noisy.numpy(), subset_by_index=[top - count, top - 1])
        return 1

    return work


def _problem(images: int, size: int) -> Problem:
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        return make_problem(made_images(images, size=size))


def _as_table(data: ImageData, kind: type[Any]) -> NDArray[Any]:
    """Images as rows, for libraries that use threads of their own: as many as torch. Shapes: -> ``(N, D)``."""
    threadpool_limits(torch.get_num_threads())
    return data.train.images.flatten(1).numpy().astype(kind)
