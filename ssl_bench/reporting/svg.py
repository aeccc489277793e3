"""From a matplotlib figure to SVG that can stand beside others in one page, and to files for papers."""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree

import matplotlib
from matplotlib.figure import Figure

from ssl_bench.reporting.palette import names

SVG = "http://www.w3.org/2000/svg"
XLINK = "{http://www.w3.org/1999/xlink}href"
DROPPED = {f"{{{SVG}}}metadata", f"{{{SVG}}}style"}
LONG_DECIMAL = re.compile(r"(\d\.\d\d)\d+")
FONT_SIZE = re.compile(r"([\d.]+px)")
# What the page's own style sheet says of every figure, or what is the default anyway.
SAID_ALREADY = {"stroke-linejoin", "stroke-linecap", "font-family", "stroke-dashoffset"}


def to_svg(figure: Figure, name: str, description: str) -> str:
    """The figure as an ``<svg>`` element without a style of its own; its colours are names of the page's.

    Args:
        figure: What to draw.
        name: Set before every id, so that no two figures of a page share one; letters, digits and hyphens.
        description: What a reader who does not see the figure is told.
    """
    root = ElementTree.fromstring(as_svg_file(figure, name))
    _drop_page_wide_parts(root)
    colours = names()
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{SVG}}}")
        _scope(element, name)
        _take_apart_style(element, colours)
    view = root.attrib["viewBox"]
    root.attrib.clear()
    root.attrib.update({"viewBox": view, "role": "img", "aria-label": description})
    return ElementTree.tostring(root, encoding="unicode")


def as_svg_file(figure: Figure, name: str) -> bytes:
    """The figure as a file of its own, text as text; the same bytes whenever it is drawn."""
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "svg.id": None}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _drop_page_wide_parts(root: ElementTree.Element) -> None:
    """Metadata, and a style sheet that would act on the whole page: the page's own says the same of figures only."""
    for parent in list(root.iter()):
        for child in [child for child in parent if child.tag in DROPPED]:
            parent.remove(child)


def _take_apart_style(element: ElementTree.Element, colours: dict[str, str]) -> None:
    """Attributes in place of a style, which the page's security policy does not allow."""
    for declaration in element.attrib.pop("style", "").split(";"):
        key, _, value = (part.strip() for part in declaration.partition(":"))
        if key == "font":
            found = FONT_SIZE.search(value)
            if found:
                element.attrib["font-size"] = found.group(1)
        elif key and key not in SAID_ALREADY:
            element.attrib[key] = colours.get(value.lower(), value)


def _scope(element: ElementTree.Element, name: str) -> None:
    """Prefix ids and the references to them; shorten numbers."""
    for key, value in list(element.attrib.items()):
        if key == XLINK:
            del element.attrib[key]
            element.attrib["href"] = value.replace("#", f"#{name}-", 1) if value.startswith("#") else value
        elif key == "id":
            element.attrib[key] = f"{name}-{value}"
        elif key in ("d", "x", "y", "transform", "width", "height"):
            element.attrib[key] = LONG_DECIMAL.sub(r"\1", value)
        elif "url(#" in value:
            element.attrib[key] = value.replace("url(#", f"url(#{name}-")
