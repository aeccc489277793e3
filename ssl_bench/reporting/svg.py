"""From a matplotlib figure to SVG that can stand beside others in one page."""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree

import matplotlib
from matplotlib.figure import Figure

SVG = "http://www.w3.org/2000/svg"
XLINK = "{http://www.w3.org/1999/xlink}href"
DROPPED = {f"{{{SVG}}}metadata", f"{{{SVG}}}style"}
LONG_DECIMAL = re.compile(r"(\d\.\d\d)\d+")
FONT = re.compile(r"font: ([\d.]+px)[^;]*")


def to_svg(figure: Figure, name: str, description: str) -> str:
    """The figure as an ``<svg>`` element.

    Args:
        figure: What to draw.
        name: Set before every id, so that no two figures of a page share one; letters, digits and hyphens.
        description: What a reader who does not see the figure is told.
    """
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "svg.id": None}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    root = ElementTree.fromstring(buffer.getvalue())
    _drop_page_wide_parts(root)
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{SVG}}}")
        _scope(element, name)
    view = root.attrib["viewBox"]
    root.attrib.clear()
    root.attrib.update({"viewBox": view, "role": "img", "aria-label": description})
    return ElementTree.tostring(root, encoding="unicode")


def _drop_page_wide_parts(root: ElementTree.Element) -> None:
    """Metadata, and a style sheet that would act on the whole page: the page's own says the same of figures only."""
    for parent in list(root.iter()):
        for child in [child for child in parent if child.tag in DROPPED]:
            parent.remove(child)


def _scope(element: ElementTree.Element, name: str) -> None:
    """Prefix ids and the references to them; drop fonts, which are the page's; shorten numbers."""
    for key, value in list(element.attrib.items()):
        if key == XLINK:
            del element.attrib[key]
            element.attrib["href"] = value.replace("#", f"#{name}-", 1)
        elif key == "id":
            element.attrib[key] = f"{name}-{value}"
        elif key == "style":
            element.attrib[key] = FONT.sub(r"font-size: \1", value)
        elif key in ("d", "x", "y", "transform", "width", "height"):
            element.attrib[key] = LONG_DECIMAL.sub(r"\1", value)
        elif "url(#" in value:
            element.attrib[key] = value.replace("url(#", f"url(#{name}-")
