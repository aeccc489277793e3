"""What the page is made of: numbers that cannot be taken for markup, colours, pictures within a budget, plain names."""

import base64
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

from ssl_bench.reporting.answer import BandCell
from ssl_bench.reporting.drawings import Drawing, Panel
from ssl_bench.reporting.figures import power_of_ten
from ssl_bench.reporting.live_data import as_json
from ssl_bench.reporting.more_tables import _metric_cell
from ssl_bench.reporting.palette import DASHES, LEVELS, SVG_DASHES, dash, level, line_colour, names, variables
from ssl_bench.reporting.papers import _drawn, _free, _plain
from ssl_bench.reporting.pictures import Row, Sheet, pixels_of, side_for, strips
from ssl_bench.reporting.render import SCRIPTS, script
from ssl_bench.reporting.stored import by_step
from ssl_bench.reporting.svg import to_svg

PAPER = {False: "#ffffff", True: "#1a1d22"}


def contrast(one, other):
    def light(colour):
        shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


def test_numbers_of_the_page_hold_no_markup_and_no_nan():
    evil = "</script><!--<script>alert(1)&\u2028"
    text = as_json({"label": evil, "values": np.array([1 / 3, math.nan, math.inf]), "n": (1, None, True)})
    assert not set("<>&") & set(text)
    assert text.isascii()
    assert json.loads(text) == {"label": evil, "values": [0.3333, None, None], "n": [1, None, True]}


def test_the_script_is_all_its_files_and_closes_no_element():
    text = script()
    assert "</script" not in text.lower()
    assert all(word in text for word in ("class Bands", "class Effort", "makeSortable", "logScale"))
    assert len(SCRIPTS) == len(set(SCRIPTS))
    assert len(text) < 40_000, "a small script"


@pytest.mark.parametrize("dark", [False, True])
def test_lines_stand_out_from_the_paper_of_their_scheme(dark):
    colours = variables(dark)
    lines = [colours[f"s{number}"] for number in range(8)]
    assert len(set(lines)) == 8
    assert min(contrast(line, PAPER[dark]) for line in lines) >= 3


def test_configurations_beyond_the_eighth_differ_in_their_dashes():
    looks = {(line_colour(place, False), dash(place, False)) for place in range(32)}
    assert len(looks) == 32
    assert dash(0, True) != 0, "reference lines are never solid"


@pytest.mark.parametrize(
    ("share", "step"), [(0.0, 0), (1.0, LEVELS - 1), (-3.0, 0), (7.0, LEVELS - 1), (0.5, 10), (None, None)]
)
def test_steps_of_the_scale(share, step):
    assert level(share) == step
    assert level(math.nan) is None
    assert BandCell(level(share), "").level == step


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (0.01, "0.01"), (1e-6, "10⁻⁶"), (1e12, "10¹²"), (500.0, "500")]
)
def test_ticks_of_logarithmic_axes(value, text):
    assert power_of_ten(value) == text


def test_pictures_of_a_large_comparison_keep_to_the_budget():
    noise = np.random.default_rng(0).integers(0, 256, (8, 96, 96, 3), dtype=np.uint8)
    sheets = [Sheet(f"{number}", "", (Row("", noise),) * 6) for number in range(13)]
    side = side_for(sheets)
    made = [strip for sheet in sheets for strip in strips(sheet.rows, side)]
    assert sum(len(strip.source) for strip in made) < 2_700_000
    assert all(strip.height == side for strip in made)
    assert base64.b64decode(made[0].source.split(",")[1]).startswith(b"\x89PNG")


def test_floats_become_pixels_whatever_they_are():
    images = np.array([0.0, 0.5, 1.0, 2.0, -1.0, math.nan]).reshape(1, 1, 2, 3)
    assert pixels_of(images)[0, :, :, 0].tolist() == [[0, 128, 255], [255, 0, 0]]
    assert pixels_of(np.zeros((2, 5, 4, 4))).shape == (2, 4, 4, 1), "five channels are shown by their mean"


def test_arrays_by_step_are_in_order_of_steps():
    found = {"reconstructions/10": 1, "reconstructions/9": 2, "reconstructions": 3, "noisy": 4}
    assert list(by_step(found, "reconstructions").items()) == [(9, 2), (10, 1)]


def test_figures_have_plain_names_and_are_whole():
    assert _plain('../x"> CIFAR 10') == "x-cifar-10"
    assert _plain("\u00e9\u00e9") == "dataset"
    assert _free("probe", {"probe.svg": b"", "probe-2.svg": b""}) == "probe-3"
    panel = Panel("<b>$one$</b>", "", "one & two", lambda axes: axes.plot([1, 2], [1, 2], color=line_colour(0, False)))
    files = _drawn("some-name", Drawing("some-name", "", (panel,) * 5))
    assert set(files) == {"some-name.svg", "some-name.png"}
    assert b"&lt;b&gt;$one$" in files["some-name.svg"]
    assert files["some-name.png"].startswith(b"\x89PNG")


def test_figures_in_the_page_follow_its_scheme_and_have_no_style():
    panel = Panel("", "", 'said "so" <b>', lambda axes: axes.plot([1, 2], [1, 2], color=line_colour(3, False)))
    text = to_svg(Drawing("name", "", (panel,)).alone(panel), "figure1", panel.description)
    assert "var(--s3)" in text
    assert "style=" not in text
    assert "<style" not in text
    assert 'aria-label="said &quot;so&quot; &lt;b&gt;"' in text
    assert set(names().values()) >= {"var(--ink)", "var(--h0)", "var(--s7)"}


def test_a_fourth_reference_line_has_dashes_of_its_own():
    assert len({dash(index, True) for index in range(4)}) == 4
    assert len(DASHES) == len(SVG_DASHES) == len(set(SVG_DASHES))


@pytest.mark.parametrize(
    ("values", "text"),
    [((10.0, 11.0), "10.5 ± 0.7"), ((0.25, 0.26), "0.255 ± 0.007"), ((300.0, 302.0), "301 ± 1"), ((2.5,), "2.50")],
)
def test_a_mean_and_its_deviation_have_like_digits(values, text):
    runs = [SimpleNamespace(summary={"spectrum": {"embedding": {"rankme": value}}}) for value in values]
    assert _metric_cell(SimpleNamespace(measured=runs), "rankme").text == text
