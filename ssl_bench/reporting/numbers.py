"""How numbers are written: one place, so that the page, the Markdown and the captions agree."""

from __future__ import annotations

import math

NOTHING = DASH = "\N{EN DASH}"


def percent(share: float | None) -> str:
    """A share in 0..1 as percent with one decimal, without the sign."""
    return NOTHING if share is None else f"{100 * share:.1f}"


def percent_range(low: float, high: float) -> str:
    """Two shares as percent."""
    return f"{percent(low)} to {percent(high)}"


def count(value: float | None) -> str:
    """A count in full, thousands separated."""
    return NOTHING if value is None else f"{value:,.0f}"


def half_time(samples: float | None) -> str:
    """Samples to three digits; 0 is ``start``, infinity ``never``, ``None`` no measurement."""
    if samples is None:
        return NOTHING
    if math.isinf(samples):
        return "never"
    if samples == 0:
        return "start"
    return f"{float(f'{samples:.3g}'):,.0f}" if samples >= 100 else f"{samples:.3g}"


def seconds(value: float | None) -> str:
    """A duration in seconds."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def decimal(value: float | None, digits: int = 2) -> str:
    """A plain number with a true minus sign."""
    if value is None:
        return NOTHING
    text = f"{value:.{digits}f}"
    return (f"{0:.{digits}f}" if float(text) == 0 else text).replace("-", "\N{MINUS SIGN}")


def number(value: float) -> str:
    """A setting such as a learning rate or a number of epochs: the shortest form."""
    return f"{value:g}"


def band_range(basis: str, low: float, high: float) -> str:
    """A band's range: component numbers (pca, both included) or cycles per pixel."""
    if basis == "pca":
        return f"{low:.0f}" if low == high else f"{low:.0f}{DASH}{high:.0f}"
    return f"{low:.2f}{DASH}{high:.2f}"


def points(difference: float | None) -> str:
    """A difference of shares in percentage points, with its sign."""
    if difference is None:
        return NOTHING
    text = decimal(100 * difference, 1)
    return f"+{text}" if float(f"{100 * difference:.1f}") > 0 else text


def points_range(low: float, high: float) -> str:
    """Two differences in points."""
    return f"{points(low)} to {points(high)}"


def p_value(value: float | None) -> str:
    """A p-value to three decimals; what is smaller is said to be."""
    if value is None:
        return NOTHING
    return "<0.001" if value < 0.0005 else f"{value:.3f}"


def operations(value: float | None) -> str:
    """A number of floating point operations to three digits: k, M, G, T, P, E for thousands and so on."""
    if value is None:
        return NOTHING
    power = 0 if value < 1 else min(int(math.log10(value) // 3), 6)
    return f"{value / 1000**power:.3g} {' kMGTPE'[power]}".strip()
