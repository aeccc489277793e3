"""The report as one self-contained page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ssl_bench.reporting.bands import BASES, QUANTITIES, Curves, Edges, Quantity, by_edges, mean_curves
from ssl_bench.reporting.content import Content, Section
from ssl_bench.reporting.figures import Span, band_panel, colour_stops, loss_panel
from ssl_bench.reporting.groups import Block, Group
from ssl_bench.reporting.pictures import Strip, example_strips
from ssl_bench.reporting.subspace_figure import subspace_panel
from ssl_bench.reporting.subspaces import SubspacePart
from ssl_bench.reporting.tables import BASIS_NAMES, QUANTITY_NAMES, Table, band_tables


@dataclass(frozen=True)
class Panel:
    """One small figure with the name of its configuration."""

    label: str
    note: str
    svg: Markup


@dataclass(frozen=True)
class BandPart:
    """One quantity in one basis: panels with the colours of their heat maps, then tables."""

    title: str
    quantity: Quantity
    colours: tuple[str, ...]
    panels: tuple[Panel, ...]
    tables: tuple[Table, ...]


@dataclass(frozen=True)
class Page:
    """One dataset's part of the page."""

    section: Section
    losses: tuple[Panel, ...]
    bands: tuple[BandPart, ...]
    strips: tuple[Strip, ...]


def render_html(content: Content, created: str, version: str) -> str:
    """The page. Every text from a file is escaped; figures are drawn here and hold no such text but escaped labels.

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
    environment.filters["tie"] = _tie
    names = (f"figure{number}" for number in range(1, 1_000_000))
    pages = [_page(section, names, len(content.sections)) for section in content.sections]
    subspaces = [(part, (_subspace_figure(part, next(names)),)) for part in content.subspaces]
    template = environment.get_template("template.html.jinja")
    return template.render(content=content, subspaces=subspaces, pages=pages, created=created, version=version)


def _subspace_figure(part: SubspacePart, name: str) -> Panel:
    note = f"{part.accuracy}; bars are the deviation over seeds"
    return Panel(part.title, note, Markup(subspace_panel(part, name)))


def _page(section: Section, names: Iterator[str], datasets: int) -> Page:
    block = section.block
    return Page(
        section=section,
        losses=tuple(_losses(block, names)),
        bands=tuple(_bands(block, basis, quantity, names) for basis in BASES for quantity in QUANTITIES),
        strips=tuple(example_strips(block, datasets)),
    )


def _losses(block: Block, names: Iterator[str]) -> Iterator[Panel]:
    for group in block.groups:
        seeds = [points for run in group.runs if (points := run.losses())]
        if seeds:
            lines = "one line" if len(seeds) == 1 else f"{len(seeds)} lines"
            description = f"Training loss of {group.label} against samples seen, {lines}"
            yield Panel(group.label, _seeds(len(seeds)), Markup(loss_panel(seeds, next(names), description)))


def _bands(block: Block, basis: str, quantity: Quantity, names: Iterator[str]) -> BandPart:
    title = f"{QUANTITY_NAMES[quantity].capitalize()}, {BASIS_NAMES[basis]}"
    panels = tuple(_panels(block, basis, quantity, title, names))
    return BandPart(title, quantity, tuple(colour_stops(quantity)), panels, tuple(band_tables(block, basis, quantity)))


def _panels(block: Block, basis: str, quantity: Quantity, title: str, names: Iterator[str]) -> Iterator[Panel]:
    found: list[tuple[Group, Edges, Curves]] = []
    for cut, members in by_edges(block.groups, basis).items():
        for group, runs in members:
            curves = mean_curves(runs, basis, quantity)
            if curves is not None:
                found.append((group, cut, curves))
    every = [samples for _, _, curves in found for samples in curves.samples]
    positive = [samples for samples in every if samples > 0]
    for group, cut, curves in found:
        span = Span(min(positive), max(positive), zero=0 in every)
        what = f"{len(cut)} bands at {len(curves.samples)} snapshots; the table below has the numbers"
        svg = band_panel(curves, cut, basis, quantity, span, next(names), f"{title}: {group.label}, {what}")
        yield Panel(group.label, f"{group.note}; {_seeds(curves.n)}", Markup(svg))


def _seeds(number: int) -> str:
    return "1 seed" if number == 1 else f"{number} seeds"


def _tie(text: str) -> str:
    """Keep a number and its percent sign on one line."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")
