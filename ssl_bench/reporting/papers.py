"""Figures for papers: every figure of a report as SVG and as PNG of 300 dots per inch, under a plain name."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterator, Sequence

from matplotlib.axes import Axes
from PIL import Image

from ssl_bench.reporting.content import Content
from ssl_bench.reporting.drawings import Drawing, Panel, probe_drawing
from ssl_bench.reporting.figures import canvas
from ssl_bench.reporting.gallery import make_gallery
from ssl_bench.reporting.pictures import Sheet, noisy_sheets, sheet_of, sheets
from ssl_bench.reporting.subspace_figure import subspace_drawing
from ssl_bench.reporting.svg import as_svg_file

DOTS = 300
# Width of a page's text in inches.
PAGE = 7.0
NOT_PLAIN = re.compile(r"[^a-z0-9]+")


def paper_files(content: Content) -> dict[str, bytes]:
    """Every figure of a report, by file name: what it shows, after its dataset where there are several.

    Raises: UserError if a stored file is damaged.
    """
    found: dict[str, bytes] = {}
    for prefix, drawing in _all(content):
        name = _free(f"{prefix}{drawing.name}", found)
        found |= _drawn(name, drawing)
    return found


def _all(content: Content) -> Iterator[tuple[str, Drawing]]:
    several = len(content.sections) > 1
    for part in content.subspaces:
        yield "", subspace_drawing(part)
    for section in content.sections:
        prefix = _plain(section.block.dataset) + "-" if several else ""
        gallery = make_gallery(section)
        pictures = [
            _picture_drawing("reconstructions", "Reconstructions", sheets(section.block)),
            _picture_drawing("noisy-inputs", "Noisy inputs", noisy_sheets(section.block)),
        ]
        for value in (probe_drawing(section.block), *vars(gallery).values(), *pictures):
            drawings = value if isinstance(value, tuple) else (value,)
            yield from ((prefix, drawing) for drawing in drawings if drawing is not None)


def _drawn(name: str, drawing: Drawing) -> dict[str, bytes]:
    """All panels of a figure side by side, each under the name of its configuration where there are several."""
    width, height = drawing.size
    columns = max(1, min(int(PAGE // width), len(drawing.panels)))
    rows = math.ceil(len(drawing.panels) / columns)
    with canvas(columns * width, rows * (height + 0.2), layout="constrained") as figure:
        axes = list(figure.subplots(rows, columns, squeeze=False).flat)
        for one, panel in zip(axes, drawing.panels, strict=False):
            panel.draw(one)
            if len(drawing.panels) > 1:
                one.set_title(panel.label, fontsize=7, wrap=True)
        for one in axes[len(drawing.panels) :]:
            one.remove()
        drawing.add_key(figure, figure.axes[0])
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=DOTS, facecolor="white")
        return {f"{name}.svg": as_svg_file(figure, name), f"{name}.png": picture.getvalue()}


def _picture_drawing(name: str, title: str, found: Sequence[Sheet]) -> Drawing | None:
    """Rows of images as a figure: a panel a row."""
    panels = [
        Panel(f"{sheet.label}, {row.label}", sheet.note, "", _shows(sheet_of(row.pixels, row.pixels.shape[1])))
        for sheet in found
        for row in sheet.rows
    ]
    return Drawing(name, title, tuple(panels), (3.4, 0.62)) if panels else None


def _shows(image: Image.Image) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        axes.imshow(image.convert("RGBA"), interpolation="nearest")
        axes.set_axis_off()

    return draw


def _plain(text: str) -> str:
    """A name that every file system and every TeX takes."""
    return NOT_PLAIN.sub("-", text.lower()).strip("-")[:60] or "dataset"


def _free(name: str, taken: dict[str, bytes]) -> str:
    """The name, numbered if it is taken."""
    numbered = (name if number == 1 else f"{name}-{number}" for number in range(1, len(taken) + 2))
    return next(one for one in numbered if f"{one}.svg" not in taken)
