"""The documentation: it builds without a warning, its tables are the code's, its examples are run."""

import os
import re
import shlex
import subprocess
import sys
from contextlib import chdir
from html.parser import HTMLParser
from pathlib import Path

import pytest
import typer
from commands import ssl_bench

from scripts import docs_tables
from ssl_bench.cli import app
from ssl_bench.data import DATASETS
from ssl_bench.objectives import OBJECTIVES

ROOT = Path(__file__).parent.parent
PAGES = [str(page.relative_to(ROOT)) for page in docs_tables.pages()]
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NUMBER = re.compile(r"[-+]?(\d[\d,.]*(e[-+]?\d+)?)")
LOADED = {"script": "src", "img": "src", "iframe": "src", "link": "href", "source": "src", "object": "data"}


@pytest.mark.parametrize("page", PAGES)
def test_tables_are_what_the_code_says(page):
    text = (ROOT / page).read_text()
    fresh = docs_tables.renewed(text)
    assert fresh == text, "stale: python -m scripts.docs_tables"
    assert f"| {docs_tables.EMPTY} |" not in text, "a setting without words"


def test_every_command_and_every_section_of_settings_is_there():
    text = "\n".join((ROOT / page).read_text() for page in PAGES)
    there = set(re.findall(r"<!-- table: (.*?) -->", text))
    assert {f"options {words}" for words in commands()} <= there
    assert {f"settings {section}" for section in docs_tables.SECTIONS} <= there
    assert {f"names {kind}" for kind in docs_tables.NAMES} <= there
    shown = {docs_tables.model_of(what.split()[1:]) for what in there if what.startswith("settings ")}
    models = [OBJECTIVES.get(name).options_model for name in OBJECTIVES] + [DATASETS.get(name) for name in DATASETS]
    assert {model for model in models if model.model_fields} <= shown


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.*")), ids=lambda file: file.name)
def test_examples_are_shown_whole(example):
    """As text of the page: where pages are read without the site, nothing includes a file."""
    shown = "\n".join((ROOT / page).read_text() for page in PAGES if page.startswith("docs/adding/"))
    assert f"\n{example.read_text()}```\n" in shown
    assert "--8" not in shown


def commands():
    for name, command in typer.main.get_command(app).commands.items():
        below = getattr(command, "commands", None)
        yield from [name] if below is None else [f"{name} {word}" for word in below]


class Loaded(HTMLParser):
    """What a browser would fetch for a page."""

    def __init__(self):
        super().__init__()
        self.addresses = []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag in LOADED and values.get("rel") != "canonical":
            self.addresses.append(values.get(LOADED[tag]) or "")


def test_the_site_builds_without_a_warning_and_asks_nothing_of_other_hosts(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    built = list((tmp_path / "site").rglob("*.html"))
    assert len(built) > 40
    for page in built:
        loaded = Loaded()
        loaded.feed(page.read_text())
        assert not [address for address in loaded.addresses if "//" in address], page
    for sheet in (tmp_path / "site").rglob("*.css"):
        assert not re.search(r"(url\(|@import )['\"]?(https?:)?//", sheet.read_text()), sheet


@pytest.mark.parametrize("page", [page for page in PAGES if CONSOLE.search((ROOT / page).read_text())])
def test_examples_say_what_is_said(page, tmp_path):
    """Each command of a page, in order, in one folder; numbers may differ, ``...`` stands for any lines."""
    with chdir(tmp_path):
        for block in CONSOLE.findall((ROOT / page).read_text()):
            status = 0
            for example in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, _, expected = example.partition("\n")
                if command == "echo $?":
                    assert expected.strip() == str(status)
                    continue
                said, status = run(command)
                assert matches(said, expected), f"{command}\n{said}"


def run(command):
    """Standard output, or what a mistake says, and the exit status of a command line."""
    words = shlex.split(command)
    if words[0] != "ssl-bench":
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
        return done.stdout, done.returncode
    done = ssl_bench(*words[1:])
    assert done.returncode in (0, 2), done.stderr
    return done.stdout if done.returncode == 0 else done.stderr, done.returncode


def matches(said, expected):
    pattern = "".join(r"(?:.*\n)*" if line == "..." else f"{re.escape(line)}\n" for line in masked(expected))
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in masked(said))) is not None


def masked(text):
    """Lines without their numbers and the widths that go with them."""
    return [line if line == "..." else " ".join(NUMBER.sub("#", line).split()) for line in text.rstrip().splitlines()]


@pytest.mark.parametrize(
    ("said", "expected", "same"),
    [
        ("linear 0.72\n", "linear   0.71\n", True),
        ("linear 0.72\nk-NN 0.6\n", "...\nk-NN 0.5", True),
        ("linear 0.72\nk-NN 0.6\n", "...\nknn 0.5", False),
        ("linear 0.72\nk-NN 0.6\n", "linear 0.72", False),
    ],
)
def test_the_comparison_of_outputs_can_fail(said, expected, same):
    assert matches(said, expected) is same
