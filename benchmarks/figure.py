"""Curves of cost as a figure: each beside the line of the exponent it should have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.results import Curve
from ssl_bench.files import replace_file

COLUMNS = 3


def draw(curves: Sequence[Curve], file: Path) -> None:
    """Seconds against size on logarithmic axes, a panel a curve, as SVG."""
    rows = math.ceil(len(curves) / COLUMNS)
    figure = Figure(figsize=(11, 2.9 * rows), layout="constrained")
    panels = figure.subplots(rows, COLUMNS, squeeze=False).flatten()
    for panel, curve in zip(panels, curves, strict=False):
        _panel(panel, curve)
    for panel in panels[len(curves) :]:
        panel.set_axis_off()
    # The same results make the same file.
    with matplotlib.rc_context({"svg.hashsalt": "growth", "svg.fonttype": "none"}):
        replace_file(file, lambda part: figure.savefig(part, format="svg", metadata={"Date": None}))


def _panel(panel: Axes, curve: Curve) -> None:
    sizes, seconds = np.array(curve.sizes), np.array(curve.seconds)
    panel.loglog(sizes, seconds, "o-", label=f"measured, {curve.fitted:.2f}")
    line = seconds[-1] * (sizes / sizes[-1]) ** curve.expected
    panel.loglog(sizes, line, ":", color="grey", label=f"expected, {curve.expected:g}")
    panel.set_title(curve.what, fontsize=9)
    panel.set_xlabel(curve.against, fontsize=8)
    panel.set_ylabel("seconds", fontsize=8)
    panel.tick_params(labelsize=7, which="both")
    panel.legend(fontsize=7)
