"""The picture of a noise on a dataset."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ssl_bench.showing import Portrait, verdict
from ssl_bench.spectrum.bases import band_sums

Floats = npt.NDArray[np.float64]

# Okabe and Ito's colours, which colour-blind readers can tell apart.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#777777"


def draw(portrait: Portrait, clean: Tensor, noisy: Tensor, denoised: Tensor) -> Figure:
    """Spectra, scores, what is kept and d(K) above a grid of images.

    Shapes: images ``(N, C, H, W)`` each, floats in 0..1.
    """
    figure = Figure(figsize=(12.5, 8.6), layout="constrained")
    figure.suptitle(f"{_short(portrait.spec)}  on {portrait.problem.data.name}: {verdict(portrait.distance)}", size=11)
    above, below = figure.subfigures(2, 1, height_ratios=[1.25, 1], squeeze=False).flat
    axes = above.subplots(2, 2)
    _spectrum(axes[0, 0], portrait)
    _rings(axes[0, 1], portrait)
    _scores(axes[1, 0], portrait)
    _kept(axes[1, 1], portrait)
    grid = below.subplots(3, len(clean))
    for row, (name, images) in enumerate((("clean", clean), ("noisy", noisy), ("denoised", denoised))):
        for column, image in enumerate(images):
            _image(grid[row, column], image)
        grid[row, 0].set_ylabel(name, size=10)
    below.supxlabel(f"denoised: by the best linear encoder of {portrait.latent_dim} dimensions", size=9)
    return figure


def _spectrum(axes: Axes, portrait: Portrait) -> None:
    index = np.arange(1.0, len(portrait.powers.data) + 1)
    axes.loglog(index, portrait.powers.data.numpy(), color=BLUE, label="images")
    _line(axes, index, portrait.powers.noise, "noise (at the input)")
    axes.set(xlabel="principal component", ylabel="variance", title="Spectrum")
    _limits(axes, portrait.powers.data, portrait.powers.noise)
    axes.legend(fontsize=8)


def _rings(axes: Axes, portrait: Portrait) -> None:
    basis = portrait.ring_basis
    whole = portrait.rings.summed(basis)
    widths = band_sums(basis.norms, basis)
    centre = np.array([(band.low + min(band.high, 0.5)) / 2 for band in basis.bands])
    axes.semilogy(centre, (whole.data / widths).numpy(), "o-", color=BLUE, label="images", markersize=4)
    _line(axes, centre, whole.noise / widths, "noise (at the input)", marker="o")
    axes.set(xlabel="frequency, cycles per pixel", ylabel="variance of a coefficient", title="Rings of frequency")
    _limits(axes, whole.data / widths, whole.noise / widths)
    axes.legend(fontsize=8)


def _scores(axes: Axes, portrait: Portrait) -> None:
    index = np.arange(1.0, len(portrait.powers.data) + 1)
    scores = portrait.powers.scores
    axes.loglog(index, portrait.powers.data.numpy(), color=BLUE, label="without noise")
    axes.loglog(index, scores.clamp(min=1e-12).numpy(), color=ORANGE, label="with noise", linewidth=1)
    threshold = float(scores.sort(descending=True).values[portrait.latent_dim - 1])
    axes.axhline(max(threshold, 1e-12), color=GREY, linewidth=0.8, linestyle="--")
    axes.annotate(
        f"the {portrait.latent_dim} highest are kept",
        (0.02, max(threshold, 1e-12)),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        xytext=(0, 3),
        size=8,
        color=GREY,
    )
    axes.set(xlabel="principal component", title="Scores" if portrait.exact else "Scores (diagonal part)")
    axes.set_ylabel("score")
    _limits(axes, portrait.powers.data, scores)
    axes.legend(fontsize=8, loc="upper right")


def _kept(axes: Axes, portrait: Portrait) -> None:
    bands = list(pairwise(portrait.edges))
    names = [f"{low}" if high == low + 1 else f"{low}-{high - 1}" for low, high in bands]
    plain = [max(0, min(portrait.latent_dim, high) - low) / (high - low) for low, high in bands]
    kept = [float(portrait.kept[low:high].mean()) for low, high in bands]
    place = np.arange(len(names))
    axes.bar(place - 0.2, plain, 0.4, color=BLUE, label="without noise")
    axes.bar(place + 0.2, kept, 0.4, color=ORANGE, label="with noise")
    axes.set_xticks(place, names, rotation=30, size=7)
    distance = float(portrait.distance[portrait.latent_dim - 1])
    axes.set(
        xlabel="principal components",
        ylabel="share kept",
        title=f"Kept in {portrait.latent_dim} dimensions: d({portrait.latent_dim}) = {distance:.2g}",
    )
    axes.legend(fontsize=8)


def _line(axes: Axes, place: Floats, values: Tensor, label: str, marker: str = "") -> None:
    """Noise in orange; nothing where there is none, or infinitely much."""
    shown = torch.where(torch.isfinite(values) & (values > 0), values, torch.nan)
    axes.plot(place, shown.numpy(), color=ORANGE, label=label, linewidth=1.2, marker=marker, markersize=4)


def _limits(axes: Axes, *values: Tensor) -> None:
    """What matters of all curves: at most eight powers of ten below the highest."""
    finite = torch.cat([one[torch.isfinite(one) & (one > 0)] for one in values])
    top = float(finite.max())
    axes.set_ylim(max(float(finite.min()) / 2, 1e-8 * top), 3 * top)


def _image(axes: Axes, image: Tensor) -> None:
    picture = image if len(image) in (1, 3) else image.mean(0, keepdim=True)
    axes.imshow(picture.permute(1, 2, 0).squeeze(-1).numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _short(spec: str) -> str:
    return spec if len(spec) <= 60 else f"{spec[:57]}..."
