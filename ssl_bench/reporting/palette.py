"""Colours of a report: one set of names, a light and a dark value for each.

Figures are drawn in the light values; in the page these become the names, so that a figure follows the reader's scheme.
"""

from __future__ import annotations

import matplotlib
import numpy as np
from matplotlib.colors import ListedColormap, to_hex

INK, MUTED, FRAME = "#1b1d20", "#575e6a", "#8b919c"
# As many steps of a heat map: more cannot be told apart by eye.
LEVELS = 21
# Told apart also without colour vision as far as eight can be, and at least 3:1 against the paper of their scheme.
LINES = ("#1f6fb4", "#c2410c", "#16794a", "#7a4fb5", "#8a6100", "#0b7285", "#b02a73", "#5f6b2d")
DARK_LINES = ("#6fb4f2", "#ff9466", "#62d39a", "#bfa0f5", "#e6b84d", "#55cbdc", "#f58cc1", "#b9c46c")
DASHES = ("solid", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (9, 2, 1.5, 2, 1.5, 2)))
SVG_DASHES = ("", "6 3", "2 2", "8 3 2 3", "12 3 2 3 2 3")


def heat_levels() -> list[str]:
    """Colours of a heat map in the light scheme, from nothing to all: more ink is more learned."""
    return [to_hex(colour) for colour in matplotlib.colormaps["YlGnBu"](np.linspace(0.0, 1.0, LEVELS))]


def heat_map_colours() -> ListedColormap:
    """The same for matplotlib."""
    return ListedColormap(heat_levels(), name="heat")


def level(share: float | None) -> int | None:
    """Which step of a heat map a share in 0..1 is drawn with; beyond, the nearest; ``None`` for no number."""
    if share is None or not np.isfinite(share):
        return None
    return round(min(max(float(share), 0.0), 1.0) * (LEVELS - 1))


def variables(dark: bool) -> dict[str, str]:
    """Names of style sheet variables and their colours: ``h0`` to ``h20`` for heat maps, ``s0`` to ``s7`` for lines."""
    heat = heat_levels()[::-1] if dark else heat_levels()
    lines = DARK_LINES if dark else LINES
    return {f"h{index}": colour for index, colour in enumerate(heat)} | {
        f"s{index}": colour for index, colour in enumerate(lines)
    }


def names() -> dict[str, str]:
    """From the colours that figures are drawn in to what the page calls them."""
    found = {colour: f"var(--{name})" for name, colour in variables(dark=False).items()}
    return found | {INK: "var(--ink)", MUTED: "var(--muted)", FRAME: "var(--frame)"}


def line_colour(index: int, reference: bool) -> str:
    """Colour of the configuration at this place; reference lines are grey."""
    return MUTED if reference else LINES[index % len(LINES)]


def dash(index: int, reference: bool) -> int:
    """Which dashes it is drawn with: the first eight solid, reference lines never."""
    return 1 + index % (len(DASHES) - 1) if reference else index // len(LINES) % len(DASHES)
