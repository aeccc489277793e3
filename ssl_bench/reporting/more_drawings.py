"""Figures of what a network was shown and what became of it: noise, embedding spectra, sensitivity to frequencies."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from ssl_bench.reporting.bands import BASES, by_edges
from ssl_bench.reporting.drawings import Drawing, Panel, lines_drawing, numbered, seeds_of
from ssl_bench.reporting.figures import Line, draw_map, power_of_ten
from ssl_bench.reporting.groups import Block, Group
from ssl_bench.reporting.numbers import band_range
from ssl_bench.reporting.palette import INK, line_colour
from ssl_bench.reporting.stored import arrays
from ssl_bench.spectrum.names import BASIS_NAMES

Sensitivity = Literal["displacement", "error"]
SENSITIVITIES: dict[Sensitivity, str] = {
    "displacement": "How far a wave of each frequency moves the embedding",
    "error": "Error of the probe before a wave of each frequency",
}


def embedding_drawing(block: Block) -> Drawing | None:
    """Share of the embedding's variance in each of its directions, mean over seeds, on logarithmic axes."""
    lines = []
    for group, index, mean in _mean_spectra(block, "embedding_spectrum"):
        kept = mean > max(float(mean.max()) * 1e-8, 0.0)
        ranks = np.arange(1, len(mean) + 1)[kept]
        lines.append(Line(group.label, index, group.reference, ranks.tolist(), mean[kept].tolist()))
    labels = ("principal direction of the embedding", "share of its variance")
    return lines_drawing("embedding-spectra", "Spectra of the embeddings", lines, labels, (True, True))


def token_drawing(block: Block) -> Drawing | None:
    """Spectra of the maps of tokens at the last snapshot, mean over seeds."""
    lines = []
    for group, index, mean in _mean_spectra(block, "token_spectrum"):
        places = np.linspace(0, 0.5, len(mean))
        lines.append(Line(group.label, index, group.reference, places.tolist(), mean.tolist()))
    labels = ("cycles per token", "log amplitude, less that at 0")
    return lines_drawing("token-spectra", "Spectra of the maps of tokens", lines, labels, (False, False))


def noise_drawings(block: Block) -> list[Drawing]:
    """Power of what is done to the input, band by band, beside the images' own; a figure a basis."""
    found = []
    for basis in BASES:
        panels = tuple(_noise_panels(block, basis))
        if panels:
            title = f"Power of the noise beside the images', {BASIS_NAMES[basis]}"
            found.append(Drawing(f"noise-{basis}", title, panels, (3.4, 2.5), (0.62, 0.6), key=True))
    return found


def sensitivity_drawing(block: Block, which: Sensitivity) -> Drawing | None:
    """Maps over frequencies at the last snapshot, mean over seeds, all on one scale of colours."""
    maps = [(group, found) for group in block.groups if (found := _maps(group, which)) is not None]
    if not maps:
        return None
    most = max(float(np.nanmax(values)) for _, (_, _, values, _) in maps) if which == "displacement" else 1.0
    panels = []
    for group, (rows, columns, values, n) in maps:

        def draw(axes: Axes, rows: Any = rows, columns: Any = columns, values: Any = values) -> None:
            draw_map(axes, rows, columns, values, most)

        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        place = np.unravel_index(int(np.nanargmax(values)), values.shape)
        words = f"from {low:.2g} to {high:.2g}, most at {columns[place[1]]:.2g} across and {rows[place[0]]:.2g} down"
        note = f"{low:.2g} to {high:.2g}; {seeds_of(n)}"
        panels.append(Panel(group.label, note, f"{SENSITIVITIES[which]}, {group.label}: {words}", draw))
    return Drawing(f"sensitivity-{which}", SENSITIVITIES[which], tuple(panels), (2.2, 2.6))


def _noise_panels(block: Block, basis: str) -> Iterator[Panel]:
    for cut, members in by_edges(block.groups, basis).items():
        for group, runs in members:
            powers = [run.spectrum.get("noise_power") or {} for run in runs if run.spectrum is not None]
            ratios = _same_length([power.get(basis) for power in powers])
            if not ratios or runs[0].spectrum is None:
                continue
            shares = [float(band["variance_fraction"]) for band in runs[0].spectrum[basis]]
            noise = (np.mean(ratios, axis=0) * shares).tolist()
            ranges = [band_range(basis, low, high) for low, high in cut]

            def draw(
                axes: Axes, noise: Any = noise, shares: Any = shares, ranges: Sequence[str] = tuple(ranges)
            ) -> None:
                axes.plot(range(len(shares)), shares, color=INK, marker="o", markersize=3, label="images")
                axes.plot(
                    range(len(noise)), noise, color=line_colour(1, False), marker="s", markersize=3, label="noise"
                )
                axes.set_yscale("log")
                axes.yaxis.set_major_formatter(FuncFormatter(power_of_ten))
                axes.set_xticks(range(len(ranges)), ranges, rotation=45, ha="right")
                axes.set_ylabel("power, of the images' all")

            over = [text for text, one, share in zip(ranges, noise, shares, strict=True) if one > share]
            words = f"stronger than the images in {', '.join(over)}" if over else "nowhere stronger than the images"
            yield Panel(group.label, words, f"Power of the noise of {group.label} by band: {words}", draw)


def _maps(group: Group, which: Sensitivity) -> tuple[Any, Any, Any, int] | None:
    """Rows, columns and mean of the maps of the last snapshot, and of how many seeds."""
    found = []
    for run in group.measured:
        assert run.spectrum is not None
        step = run.spectrum["snapshots"][-1].get("step") if run.spectrum["snapshots"] else None
        names = [f"heat_{name}/{step}" for name in ("rows", "columns", which)]
        stored = arrays(run, names.__contains__)
        if len(stored) == len(names):
            found.append([np.asarray(stored[name], dtype=np.float64) for name in names])
    if not found:
        return None
    alike = [one for one in found if [part.shape for part in one] == [part.shape for part in found[0]]]
    rows, columns, values = alike[0]
    if values.shape != (len(rows), len(columns)) or not np.isfinite(values).any():
        return None
    return rows, columns, np.mean([one[2] for one in alike], axis=0), len(alike)


def _mean_spectra(block: Block, key: str) -> Iterator[tuple[Group, int, np.ndarray[Any, np.dtype[np.float64]]]]:
    """Of each configuration that has it: its place among the colours, and a stored spectrum's mean over seeds."""
    for group, index in numbered(block):
        spectra = _same_length([run.spectrum.get(key) for run in group.measured if run.spectrum])
        if spectra:
            yield group, index, np.mean(spectra, axis=0)


def _same_length(lists: Sequence[Any]) -> list[list[float]]:
    """Those that are there and as long as most; nothing where a number is missing."""
    known = [one for one in lists if one and all(value is not None for value in one)]
    if not known:
        return []
    length = statistics.mode(len(one) for one in known)
    return [[float(value) for value in one] for one in known if len(one) == length]
