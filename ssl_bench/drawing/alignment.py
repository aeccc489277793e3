"""The picture of alignment against the latent dimension."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

# Okabe and Ito's colours, which colour-blind readers can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# So few dimensions are marked one by one.
FEW = 16
STYLES = ("-", "--", ":", "-.")


def draw(result: dict[str, Any]) -> Figure:
    """Alignment (in sample) and held-out R^2 against K, one line a noise or target.

    ``result`` is that of ``align``; an entry may have a ``label`` to be called by.
    """
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    entries = [result, *result.get("noises", [])]
    for number, entry in enumerate(entries):
        style = {
            "color": COLOURS[number % len(COLOURS)],
            "linestyle": STYLES[number // len(COLOURS) % len(STYLES)],
            "linewidth": 2.2 if number == 0 else 1.3,
            "marker": "o" if len(result["k"]) < FEW else None,
            "markersize": 3,
        }
        left.semilogx(result["k"], entry["alignment"], label=entry_name(entry), **style)
        right.semilogx(result["k"], entry["held_out"], **style)
    left.semilogx(result["k"], result["chance"], color="#999999", linewidth=1, linestyle="--", label="chance")
    left.set(xlabel="latent dimension K", ylabel="alignment, %", title=f"{result['dataset']}: in sample")
    right.set(xlabel="latent dimension K", ylabel="R² of the labels", title="on test images")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        if len(result["k"]) < FEW:
            axes.set_xticks(result["k"], [str(k) for k in result["k"]])
            axes.xaxis.set_minor_locator(NullLocator())
    figure.legend(loc="outside right upper", fontsize=7)
    return figure


def entry_name(entry: dict[str, Any]) -> str:
    """Its label, or its noise and target, shortened."""
    if "label" in entry:
        return str(entry["label"])
    words = [entry["noise"], entry["target"] and f"target {entry['target']}"]
    name = " ".join(word for word in words if word) or "no noise"
    return name if len(name) <= 48 else f"{name[:45]}..."
