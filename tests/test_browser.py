"""The report of a real comparison in a real browser: it works, by keyboard too, is quiet, fits and reads well."""

import os
import re
import shutil
from collections import Counter
from pathlib import Path

import html5lib
import pytest
from test_report import SAMPLES, make_config, make_run, make_spectrum

from ssl_bench.comparison import compare
from ssl_bench.overrides import load_config
from ssl_bench.reporting import report

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next((found for name in NAMES if (found := shutil.which(name))), None)
REQUIRED = os.environ.get("SSL_BENCH_BROWSER") == "required"
SHOTS = Path(__file__).parent.parent / "artifacts" / "screenshots"
# What A4 leaves between margins of 12 mm, at 96 pixels an inch.
PAPER = {"width": 703, "height": 1000}
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}

pytestmark = [
    pytest.mark.skipif(
        CHROMIUM is None and not REQUIRED, reason="no Chromium here; SSL_BENCH_BROWSER=required makes that a failure"
    ),
    pytest.mark.timeout(900),  # the first one trains what it looks at
]

# The least contrast of each text with what it stands on, of all elements that are seen and hold text of their own.
CONTRAST = """() => {
  const channels = (text) => text.match(/[\\d.]+/g).map(Number);
  const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => [r, g, b].map((v) => linear(v / 255))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = channels(getComputedStyle(one).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.getClientRects().length || element.matches("title, script")) continue;
    const style = getComputedStyle(element);
    const ink = element instanceof SVGElement ? style.fill : style.color;
    const [one, other] = [light(channels(ink)), light(ground(element))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    found.push([ratio, element.tagName, element.textContent.trim().slice(0, 40), ink]);
  }
  return found.sort((a, b) => a[0] - b[0]);
}"""


WORDS = (
    "objective=[autoencoder,simclr]",
    "seed=[0,1]",
    'baselines=["random"]',
    "backbone=resnet_micro",
    "backbone.latent_dim=16",
    "dataset=digits",
    "dataset.limit=200",
    "training.epochs=2",
    "training.batch_size=64",
    "training.snapshots=4",
    "analysis.fit_samples=150",
    "analysis.test_samples=80",
    "analysis.altered_samples=20",
    "analysis.wave_samples=2",
    "evaluation.learning_rates=[0.1]",
    "evaluation.weight_decays=[0.001]",
)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """The report of two objectives and two seeds on the embedded digits, trained here."""
    folder = tmp_path_factory.mktemp("browser")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        compare(load_config(None, list(WORDS)), folder / "out")
    return folder / "out" / "report.html"


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import Error, sync_playwright

    assert CHROMIUM is not None, "SSL_BENCH_BROWSER=required, and there is no Chromium"
    with sync_playwright() as playwright:
        # As root Chromium has no sandbox; in a container shared memory may be too small for it.
        arguments = ["--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        try:
            started = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        except Error as error:
            if REQUIRED:
                raise
            pytest.skip(f"Chromium does not start here: {error}")
        yield started
        started.close()


@pytest.fixture
def opened(browser, file):
    """Opens the report; at the end, nothing was said on the console and nothing asked of a network."""
    said, asked, contexts = [], [], []

    def open_page(page_file=file, **options):
        context = browser.new_context(**{"viewport": WIDE, "reduced_motion": "reduce", **options})
        contexts.append(context)
        context.set_default_timeout(240_000)  # a loaded machine takes its time
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(page_file.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def part(page, name):
    return page.locator(f'#part1-bands-live [data-role="{name}"]')


def fills(page):
    return part(page, "maps").evaluate("node => [...node.querySelectorAll('rect[fill]')].map((one) => one.outerHTML)")


def test_figures_are_there_and_have_a_size(opened):
    page = opened()
    boxes = page.eval_on_selector_all(
        "svg[role], img", "all => all.map((one) => one.getBoundingClientRect()).map((box) => [box.width, box.height])"
    )
    seen = [box for box in boxes if box != [0, 0]]
    assert len(seen) > 20
    assert all(width > 10 and height > 5 for width, height in seen)
    assert part(page, "maps").locator("svg.map").count() == 3
    assert page.locator(".answer-row:not(.head) .strip").count() == 3 + 1, "three hold, one rebuilds"


def test_controls_change_what_is_shown(opened):
    page = opened()
    before = fills(page)
    part(page, "basis").select_option(label="frequency, Fourier")
    assert "cycles per pixel" in part(page, "where").inner_text()
    assert fills(page) != before
    before = fills(page)
    part(page, "quantity").select_option("relative_error")
    assert fills(page) != before
    assert part(page, "maps").locator("svg.map").count() == 1, "SimCLR reconstructs nothing"
    part(page, "quantity").select_option("decodability")
    page.get_by_role("checkbox", name="autoencoder").first.uncheck()
    assert part(page, "maps").locator("svg.map").count() == 2
    assert part(page, "values").locator("tr").count() == 2
    last = part(page, "values").inner_text()
    part(page, "snapshot").fill("0")
    assert "after 0 samples" in part(page, "where").inner_text()
    assert part(page, "values").inner_text() != last
    first = part(page, "values").inner_text()
    part(page, "band").select_option(index=1)
    assert part(page, "values").inner_text() != first
    assert "through training" in part(page, "course").inner_text()


def test_the_pointer_says_values_in_words(opened):
    page = opened()
    drawing = part(page, "maps").locator("svg.map").first
    box = drawing.bounding_box()
    drawing.hover(position={"x": box["width"] * 0.9, "y": box["height"] * 0.3})
    words = part(page, "readout").inner_text()
    words = words.replace("\N{MINUS SIGN}", "-")
    assert re.search(
        r"component \S+, after [\d,]+ samples: R² -?\d\.\d\d \(-?\d\.\d\d to -?\d\.\d\d over 2 seeds\)", words
    )


def test_effort_has_three_axes(opened):
    page = opened()

    def role(name):
        return page.locator(f'#part1-effort-live [data-role="{name}"]')

    seen = set()
    for axis in ("samples", "seconds", "flops"):
        role("axis").select_option(axis)
        seen.add(role("chart").inner_html())
        assert role("values").locator("tr").count() == 2, "the untrained one has no curve"
    assert len(seen) == 3
    role("chart").locator("svg").focus()
    page.keyboard.press("ArrowLeft")
    first = role("readout").inner_text()
    page.keyboard.press("ArrowDown")
    assert re.search(r"images, .*seconds, .*operations: \d+\.\d", role("readout").inner_text())
    assert role("readout").inner_text() != first
    page.locator('#part1-effort-live input[type="checkbox"]').first.uncheck()
    assert role("values").locator("tr").count() == 1
    assert part(page, "maps").locator("svg.map").count() == 2, "one choice for all charts"


def test_the_keyboard_alone_does_all_of_it(opened):
    page = opened()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    part(page, "maps").locator("svg.map").first.focus()
    before = part(page, "where").inner_text()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowLeft")
    after = part(page, "where").inner_text()
    assert after.split(",")[0] != before.split(",")[0], "another band"
    assert after.split("after")[1] != before.split("after")[1], "another snapshot"
    assert part(page, "readout").inner_text().startswith(("autoencoder", "simclr"))
    part(page, "snapshot").focus()
    page.keyboard.press("Home")
    assert "after 0 samples" in part(page, "where").inner_text()
    page.locator('#part1-bands-live input[type="checkbox"]').first.focus()
    page.keyboard.press("Space")
    assert part(page, "maps").locator("svg.map").count() == 2
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.dataset.role ?? document.activeElement.tagName"))
    assert {"basis", "quantity", "snapshot", "band", "svg", "BUTTON"} <= reached


def test_tables_are_sorted_by_their_heads(opened):
    page = opened()
    table = page.locator("table.sortable").first
    head = table.locator("thead th").nth(1)
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    rows = "all => all.filter((row) => !row.className).map((row) => parseFloat(row.cells[1].textContent))"
    rising = table.locator("tbody tr").evaluate_all(rows)
    assert rising == sorted(rising)
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert table.locator("tbody tr").evaluate_all(rows) == sorted(rising, reverse=True)
    assert "reference" in table.locator("tbody tr").last.get_attribute("class")


def test_columns_of_words_are_sorted_as_words(opened):
    """Dates and identities may begin with digits: they are no numbers."""
    table = opened().locator("table.sortable").last
    heads = table.locator("thead th").all_inner_texts()
    cells = "(all, column) => all.map((row) => row.cells[column].firstChild.textContent.trim())"
    rows = table.locator("tbody tr:not(.reference)")
    for column in (0, heads.index("status")):
        table.locator("thead th").nth(column).locator("button").click()
        found = rows.evaluate_all(cells, column)
        assert len(found) >= 4
        assert found == sorted(found)


def test_nothing_chosen_is_said_and_can_be_taken_back(opened):
    page = opened()
    boxes = page.locator('#part1-bands-live input[type="checkbox"]')
    assert boxes.count() == 3
    for place in range(3):
        assert not part(page, "nobody").is_visible()
        boxes.nth(place).uncheck()
    assert part(page, "nobody").is_visible()
    assert part(page, "maps").locator("svg.map").count() == 0
    part(page, "quantity").select_option("relative_error")
    boxes.nth(1).check()
    assert not part(page, "nobody").is_visible()
    part(page, "quantity").select_option("decodability")
    assert part(page, "maps").locator("svg.map").count() == 1


def test_a_shorter_run_says_where_it_ended(opened, tmp_path):
    for objective in ("autoencoder", "simclr"):
        run = make_run(tmp_path / "runs", make_config(objective))
    make_spectrum(run, make_config("simclr"), SAMPLES[:-2], (300.0, 700.0, None))
    page = opened(report([tmp_path / "runs"], tmp_path / "report.html"))
    rows = part(page, "values").locator("tr")
    said = {row.locator("th span").inner_text(): row.locator("th small").all_inner_texts() for row in rows.all()}
    assert said == {"autoencoder": [], "simclr": ["after 1,024 samples, its last"]}
    widths = part(page, "maps").evaluate(
        """node => [...node.querySelectorAll('svg.map')].map((map) => {
            const boxes = [...map.querySelectorAll('rect[fill]')];
            return Math.max(...boxes.map((one) => one.x.baseVal.value + one.width.baseVal.value));
        })"""
    )
    assert widths[1] < widths[0], "no map goes on where nothing was measured"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_both_schemes(opened, scheme):
    page = opened(color_scheme=scheme)
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    found = page.evaluate(CONTRAST)
    assert len(found) > 200
    assert found[0][0] >= 4.5, found[:5]
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"wide-{scheme}.png", full_page=True)


def test_a_phone_needs_no_scrolling_sideways(opened):
    page = opened(viewport=PHONE, has_touch=True)
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / "phone.png", full_page=True)


def test_paper_shows_drawn_figures_and_no_controls(opened, tmp_path):
    page = opened()
    page.emulate_media(media="print")
    assert not page.locator("#part1-bands-live").is_visible()
    assert page.locator("#part1-bands-live + .drawn figure").first.is_visible()
    assert not page.locator("nav").is_visible()
    pdf = page.pdf(prefer_css_page_size=True)
    assert pdf.startswith(b"%PDF")
    assert len(pdf) > 20_000
    (tmp_path / "report.pdf").write_bytes(pdf)


def too_wide(page):
    """Of each table that is seen and wider than its box the first words and both widths."""
    return page.evaluate(
        """() => [...document.querySelectorAll('.scroll')].filter((box) => box.getClientRects().length)
            .filter((box) => box.firstElementChild.offsetWidth > box.clientWidth)
            .map((box) => [box.textContent.trim().slice(0, 40), box.firstElementChild.offsetWidth, box.clientWidth])"""
    )


def test_no_table_is_wider_than_paper(opened, tmp_path):
    for objective in ("autoencoder", "denoising", "simclr", "mae", "supervised", "random"):
        for seed in (0, 1):
            make_run(tmp_path / "runs", make_config(objective, seed, dataset="cifar10"))
    many = report([tmp_path / "runs"], tmp_path / "report.html")
    for shown in (opened(viewport=PAPER), opened(many, viewport=PAPER)):
        shown.emulate_media(media="print")
        assert too_wide(shown) == []


def test_what_is_told_apart_is_seen_without_scrolling(opened):
    for viewport in (WIDE, PHONE):
        head = opened(viewport=viewport).get_by_role("columnheader", name="told apart")
        ends = "node => [node, node.closest('.scroll')].map((one) => one.getBoundingClientRect().right)"
        column, box = head.evaluate(ends)
        assert column <= box


def test_without_scripts_drawn_figures_say_the_same(opened):
    page = opened(java_script_enabled=False)
    assert not page.locator("#part1-bands-live").is_visible()
    assert page.locator("#part1-bands-live + .drawn figure").first.is_visible()
    assert page.locator("table button").count() == 0


def test_no_barrier_that_axe_knows(opened):
    from axe_playwright_python.sync_playwright import Axe

    page = opened()
    found = Axe().run(page).response["violations"]
    serious = [(one["id"], one["nodes"][0]["html"][:120]) for one in found if one["impact"] in ("serious", "critical")]
    assert serious == []


def test_texts_from_files_run_nothing(opened, tmp_path):
    evil = '</script><script>alert(1)</script><!--<img src=x onerror=alert(2)>\u2028"\\'
    for objective in ("autoencoder", "simclr"):
        make_run(tmp_path / "runs", make_config(objective, dataset=evil, noise=f"gaussian(sigma=1) {evil}"))
    page = opened(report([tmp_path / "runs"], tmp_path / "report.html"))
    assert evil in page.locator("#part1-title").inner_text().replace("\n", "\u2028")
    assert part(page, "maps").locator("svg.map").count() == 2
    part(page, "maps").locator("svg.map").first.focus()
    assert "<img src=x" in part(page, "readout").inner_text()
    assert page.locator("main script, img[src=x]").count() == 0


def test_markup_is_valid(file):
    text = file.read_text()
    html5lib.HTMLParser(strict=True).parse(text)
    tree = html5lib.parse(text, namespaceHTMLElements=False)
    ids = Counter(element.get("id") for element in tree.iter() if element.get("id"))
    assert [one for one, times in ids.items() if times > 1] == []
    targets = {element.get("href")[1:] for element in tree.iter("a")}
    assert targets <= set(ids)
    assert all(image.get("alt") for image in tree.iter("img"))
    inside_labels = {id(one) for label in tree.iter("label") for one in label.iter()}
    assert all(id(one) in inside_labels for kind in ("select", "input") for one in tree.iter(kind))
    assert all(head.get("scope") for head in tree.iter("th"))
    assert all(table.find("caption") is not None for table in tree.iter("table"))
    assert not any(element.get("style") for element in tree.iter()), "the security policy allows none"
    assert "unsafe" not in re.search(r'Content-Security-Policy" content="([^"]+)"', text).group(1)
