"""The verbs ``noise show`` and ``noise preview``: what a noise does to a dataset's spectrum. Trains nothing."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ssl_bench.aligning import Problem, make_problem, solve
from ssl_bench.config import ShowConfig
from ssl_bench.data.images import ImageData
from ssl_bench.data.load import load_dataset
from ssl_bench.data.moments import pca_edges
from ssl_bench.errors import UserError
from ssl_bench.files import replace_file, write_json
from ssl_bench.noise import canonical, make_noise
from ssl_bench.noise.base import Noise
from ssl_bench.seeds import make_generator
from ssl_bench.spectrum.bases import RadialBasis, band_sums
from ssl_bench.theory.alignment import subspace_distance

# Below this d(K) the subspace is the same, but for rounding.
UNTURNED = 1e-6
EXAMPLES = 8
LATENT = 64


@dataclass(frozen=True)
class Powers:
    """Second moments along unit directions p: of the images, p^T S p; crossed, p^T C p; of the noisy ones, p^T M p.

    Shapes: ``(R,)`` each, float64. With S = E[x x^T], C = E[noisy x^T], M = E[noisy noisy^T].
    """

    data: Tensor
    crossed: Tensor
    noisy: Tensor

    @property
    def noise(self) -> Tensor:
        """Variance of the noise, referred to the input: what an additive noise of the same score would have.

        nu = M / g^2 - S with g = C / S, the share of the signal that is left; infinite where none is.
        """
        gain = self.crossed / self.data.clamp(min=1e-300)
        left = gain.square() > 1e-20
        referred = self.noisy / torch.where(left, gain.square(), 1.0) - self.data
        return torch.where(left, referred.clamp(min=0), torch.inf)

    @property
    def scores(self) -> Tensor:
        """S = C^2 / M: by how much the direction lowers the loss of a linear encoder that keeps it."""
        return torch.where(self.noisy > 0, self.crossed.square() / self.noisy.clamp(min=1e-300), 0.0)

    def summed(self, basis: RadialBasis) -> Powers:
        """Of whole bands. Shapes: ``(bands,)``."""
        return Powers(*(band_sums(one, basis) for one in (self.data, self.crossed, self.noisy)))


@dataclass(frozen=True)
class Portrait:
    """Everything there is to show of a noise on a dataset; arrays are per principal component, up to the rank."""

    spec: str
    problem: Problem
    noise: Noise
    powers: Powers
    rings: Powers
    ring_basis: RadialBasis
    edges: tuple[int, ...]
    exact: bool
    latent_dim: int
    kept: Tensor
    distance: Tensor
    solution: Tensor

    @property
    def ranks(self) -> Tensor:
        """Place of each component by its score, from 0. Shapes: ``(R,)``."""
        order = self.powers.scores.sort(descending=True, stable=True).indices
        return torch.empty_like(order).scatter_(0, order, torch.arange(len(order)))


def show(spec: str, settings: ShowConfig, data: ImageData | None = None) -> dict[str, Any]:
    """What a noise does to each band of a dataset, and whether it can help a linear encoder at all.

    Args:
        spec: The noise.
        settings: Dataset, latent dimension K, number of bands.
        data: The images, if they are in memory already.

    Returns: a JSON-ready object: per PCA band and ring the power of data and noise, score and mean rank before and
    after, what share the best K dimensions keep; d(K); a verdict. ``exact`` says whether the noise commutes with
    the covariance, so that scores decide alone; else they are its diagonal part.

    Raises: UserError for a bad spec, a K out of range, images too large for closed forms.
    """
    return summary(portray(spec, settings, data if data is not None else load_dataset(settings.dataset)))


def preview(spec: str, settings: ShowConfig, out: Path, data: ImageData | None = None) -> dict[str, Any]:
    """:func:`show`, with a picture: spectra, scores, d(K), and images clean, noisy and linearly denoised.

    Returns: what :func:`show` does, and ``picture``; it is also written as JSON beside the PNG.

    Raises: UserError as :func:`show` does, or if ``out`` is no PNG.
    """
    if out.suffix.lower() != ".png":
        raise UserError(f"--out {out}: a picture is a .png file")
    from ssl_bench.drawing.noise import draw

    portrait = portray(spec, settings, data if data is not None else load_dataset(settings.dataset))
    figure = draw(portrait, *example_images(portrait))
    replace_file(out, lambda path: figure.savefig(path, format="png", dpi=110))
    result = {**summary(portrait), "picture": str(out)}
    write_json(out.with_suffix(".json"), result)
    return result


def portray(spec: str, settings: ShowConfig, data: ImageData) -> Portrait:
    """Solve everything :func:`show` and :func:`preview` speak of.

    Raises: UserError as they do.
    """
    spec = canonical(spec)
    noise = make_noise(spec).prepare(data)
    problem = make_problem(data)
    rank = problem.rank
    count = settings.latent_dim or min(LATENT, rank)
    if count > rank:
        raise UserError(f"latent_dim={count}: the images of {data.name!r} vary in {rank} dimensions")
    second = problem.train.second
    crossed, noisy = noise.mean_map(second, problem.shape), noise.second_map(second, problem.shape)
    basis = RadialBasis(data.channels, data.image_size, min(settings.bands, data.image_size // 2))
    waves = basis.coefficients(torch.eye(len(second), dtype=torch.float64).view(-1, *problem.shape)).double()
    solution = solve(problem, noise, None, rank)
    components = problem.components[:, :rank]
    overlap = (problem.clean(rank).T @ second @ solution[:, :count]).square().sum(1)
    return Portrait(
        spec=spec,
        problem=problem,
        noise=noise,
        powers=_along(components, second, crossed, noisy),
        rings=_along(waves, second, crossed, noisy),
        ring_basis=basis,
        edges=tuple(pca_edges(problem.variances[:rank].numpy(), settings.bands)),
        exact=noise.diagonal(problem.variances[:rank], components) is not None,
        latent_dim=count,
        kept=overlap,
        distance=subspace_distance(problem.clean(rank), solution, second),
        solution=solution[:, :count],
    )


def _along(directions: Tensor, *matrices: Tensor) -> Powers:
    """Diagonals of D^T X D. Shapes: directions ``(D, R)``, matrices ``(D, D)`` -> ``(R,)`` each."""
    return Powers(*((directions * (matrix @ directions)).sum(0) for matrix in matrices))


def summary(portrait: Portrait) -> dict[str, Any]:
    """The portrait as a JSON-ready object."""
    problem = portrait.problem
    dimension, rank = len(problem.variances), problem.rank
    powers = {2**power for power in range(rank.bit_length()) if 2**power <= rank}
    ladder = sorted({*powers, portrait.latent_dim, rank})
    return {
        "noise": portrait.spec,
        "dataset": problem.data.name,
        "dimension": dimension,
        "latent_dim": portrait.latent_dim,
        "exact": portrait.exact,
        "power": _number(portrait.powers.noise.mean()),
        "pca": _pca_bands(portrait),
        "radial": _rings(portrait),
        "k": ladder,
        "subspace_distance": [float(portrait.distance[k - 1]) for k in ladder],
        "verdict": verdict(portrait.distance),
    }


def verdict(distance: Tensor) -> str:
    """What d(K) says, in a sentence. Shapes: ``(D,)``."""
    if float(distance.max()) < UNTURNED * len(distance):
        return "order unchanged: this noise cannot help a linear encoder, whatever the task"
    share = distance / torch.arange(1, len(distance) + 1)
    most = int(share.argmax())
    return f"turns the subspace most at K = {most + 1}, where {100 * float(share[most]):.1f} % of it is new"


def _pca_bands(portrait: Portrait) -> list[dict[str, Any]]:
    powers, total = portrait.powers, float(portrait.powers.data.sum())
    ranks = portrait.ranks.double()
    rows = []
    for index, (low, high) in enumerate(pairwise(portrait.edges)):
        inside = slice(low, high)
        rows.append(
            {
                "index": index,
                "low": low,
                "high": high - 1,
                "variance_fraction": float(powers.data[inside].sum()) / total,
                "variance": float(powers.data[inside].mean()),
                "noise": _number(powers.noise[inside].mean()),
                "score": float(powers.scores[inside].mean()),
                "score_fraction": float(powers.scores[inside].sum() / powers.scores.sum()),
                "rank": (low + high - 1) / 2,
                "rank_with_noise": float(ranks[inside].mean()),
                "kept": max(0, min(portrait.latent_dim, high) - low) / (high - low),
                "kept_with_noise": float(portrait.kept[inside].mean()),
            }
        )
    return rows


def _rings(portrait: Portrait) -> list[dict[str, Any]]:
    basis = portrait.ring_basis
    whole = portrait.rings.summed(basis)
    widths = band_sums(basis.norms, basis)
    total, scores = float(whole.data.sum()), whole.scores
    return [
        {
            "index": band.index,
            "low": band.low,
            "high": band.high,
            "variance_fraction": float(whole.data[band.index]) / total,
            "variance": float(whole.data[band.index] / widths[band.index]),
            "noise": _number(whole.noise[band.index] / widths[band.index]),
            "score": float(scores[band.index] / widths[band.index]),
            "score_fraction": float(scores[band.index] / scores.sum()),
        }
        for band in basis.bands
    ]


def example_images(portrait: Portrait) -> tuple[Tensor, Tensor, Tensor]:
    """Test images, noisy copies, and what a linear decoder makes of their K dimensions; floats in 0..1.

    x_hat = m + C^T T (T^T M T)^-1 T^T (noisy - E[T] m), T the solution and m the mean image. Here M is of the noise as
    a network meets it, on images that have a mean: what a mask does to m is noise too, which the closed forms of
    alignment leave out (they mask the image about its mean, as arXiv 2402.11337 does).

    Shapes: ``(8, C, H, W)`` each.
    """
    problem, noise, data = portrait.problem, portrait.noise, portrait.problem.data
    images = data.standardised(data.test.images[:EXAMPLES])
    noisy = noise.sample(images, make_generator(0, "noise preview"))
    mean = data.standardised_mean.flatten()
    second, shape = problem.train.second, problem.shape
    left = noise.mean_map(mean[:, None], shape)[:, 0]
    shown = noisy.flatten(1).double() - left
    met = noise.second_map(second + torch.outer(mean, mean), shape) - torch.outer(left, left)
    encoder = portrait.solution
    gram = encoder.T @ met @ encoder
    code = torch.linalg.solve(gram, (shown @ encoder).T)
    denoised = (noise.mean_map(second, shape).T @ encoder @ code).T + mean
    restore = data.statistics.restore
    return restore(images), restore(noisy), restore(denoised.float().view(images.shape))


def _number(value: Tensor) -> float | None:
    """JSON has no infinity: a band of which nothing is left has no finite noise."""
    return float(value) if bool(torch.isfinite(value)) else None
