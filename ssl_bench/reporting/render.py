"""The report as one self-contained page: texts, figures, and a script that draws from numbers embedded in it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ssl_bench.reporting.answer import Answer, make_answer
from ssl_bench.reporting.content import Content, Section
from ssl_bench.reporting.drawings import Drawing
from ssl_bench.reporting.gallery import Gallery, make_gallery
from ssl_bench.reporting.live_data import as_json, page_data
from ssl_bench.reporting.palette import variables
from ssl_bench.reporting.pictures import Sheet, Strip, noisy_sheets, sheets, side_for, strips
from ssl_bench.reporting.subspace_figure import subspace_drawing
from ssl_bench.reporting.svg import to_svg

# In the order in which they lean on each other.
SCRIPTS = ("draw.js", "chooser.js", "bands.js", "effort.js", "tables.js", "start.js")


@dataclass(frozen=True)
class ShownPanel:
    """One small figure with the name of its configuration."""

    label: str
    note: str
    svg: Markup


@dataclass(frozen=True)
class ShownFigure:
    """A figure as the page shows it; ``key`` sets those with a legend wide, ``small`` maps close together."""

    name: str
    title: str
    panels: tuple[ShownPanel, ...]
    key: bool
    small: bool


@dataclass(frozen=True)
class ShownSheet:
    """Rows of images of one configuration."""

    label: str
    note: str
    strips: tuple[Strip, ...]


@dataclass(frozen=True)
class Page:
    """One dataset's part of the page; ``contents`` are the ids and titles of its sections."""

    id: str
    section: Section
    answer: Answer
    drawings: dict[str, Any]
    sheets: tuple[ShownSheet, ...]
    noisy: tuple[ShownSheet, ...]
    data: Markup
    contents: tuple[tuple[str, str], ...]


def render_html(content: Content, created: str, version: str) -> str:
    """The page. Every text from a file is escaped, in figures and in the script's numbers too.

    Args:
        content: What to say.
        created: When, as text.
        version: Of this package.

    Raises: UserError if a stored file is damaged.
    """
    environment = Environment(
        loader=PackageLoader("ssl_bench.reporting", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"tie": _tie, "csp_hash": _csp_hash, "first_words": _first_words}
    names = (f"figure{number}" for number in range(1, 1_000_000))
    galleries = [make_gallery(section) for section in content.sections]
    pictures = [(sheets(section.block), noisy_sheets(section.block)) for section in content.sections]
    side = side_for([sheet for pair in pictures for found in pair for sheet in found])
    pages = [
        _page(f"part{number}", section, gallery, both, side, names)
        for number, (section, gallery, both) in enumerate(zip(content.sections, galleries, pictures, strict=True), 1)
    ]
    subspaces = [(part, _shown(subspace_drawing(part), names)) for part in content.subspaces]
    colours = {"light": variables(dark=False), "dark": variables(dark=True)}
    return environment.get_template("template.html.jinja").render(
        content=content,
        subspaces=subspaces,
        pages=pages,
        created=created,
        version=version,
        style=Markup(environment.get_template("style.css.jinja").render(colours=colours)),
        script=Markup(script()),
    )


def script() -> str:
    """The page's script: its files, one after the other, in a scope of their own."""
    folder = files("ssl_bench.reporting") / "live"
    parts = [(folder / name).read_text(encoding="utf-8") for name in SCRIPTS]
    return "\n".join(['"use strict";', "{", *parts, "}"])


def _page(
    name: str,
    section: Section,
    gallery: Gallery,
    pictures: tuple[Sequence[Sheet], Sequence[Sheet]],
    side: int,
    names: Iterator[str],
) -> Page:
    reconstructed, noisy = (tuple(_shown_sheet(sheet, side) for sheet in found) for found in pictures)
    drawings = {key: _all_shown(value, names) for key, value in vars(gallery).items()}
    there = {
        "probes": ("Probes", True),
        "effort": ("Accuracy against effort", section.effort),
        "bands": ("Which band when", True),
        "rebuilt": ("Reconstructions", reconstructed),
        "noise": ("What the noise hides", noisy or drawings["noise"]),
        "embedding": ("Embedding spectra", drawings["embedding"]),
        "sensitivity": ("Sensitivity to frequencies", drawings["sensitivity"] or drawings["tokens"]),
        "losses": ("Training loss", drawings["losses"]),
        "costs": ("What it cost", True),
        "published": ("Published numbers", section.references),
        "more": ("Further measurements", section.more),
        "dataset": ("Dataset", True),
    }
    return Page(
        id=name,
        section=section,
        answer=make_answer(section),
        drawings=drawings,
        sheets=reconstructed,
        noisy=noisy,
        data=Markup(as_json(page_data(section))),
        contents=tuple((key, title) for key, (title, shown) in there.items() if shown),
    )


def _all_shown(value: Drawing | Sequence[Drawing] | None, names: Iterator[str]) -> Any:
    """A figure, several, or none, as the page shows them."""
    if value is None:
        return None
    if isinstance(value, Drawing):
        return _shown(value, names)
    return tuple(_shown(drawing, names) for drawing in value)


def _shown(drawing: Drawing, names: Iterator[str]) -> ShownFigure:
    panels = []
    for panel in drawing.panels:
        svg = Markup(to_svg(drawing.alone(panel), next(names), panel.description))
        panels.append(ShownPanel(panel.label, panel.note, svg))
    small = drawing.size[0] < 3
    return ShownFigure(drawing.name, drawing.title, tuple(panels), drawing.key, small)


def _shown_sheet(sheet: Sheet, side: int) -> ShownSheet:
    return ShownSheet(sheet.label, sheet.note, tuple(strips(sheet.rows, side)))


def _tie(text: str) -> str:
    """Keep a number and its percent sign on one line."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def _csp_hash(text: str) -> str:
    """What a security policy calls a script or a style that stands in the page itself."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _first_words(text: str) -> str:
    """The beginning of a caption, as the name of what it stands over."""
    return text.split(":")[0].split(". ")[0]
