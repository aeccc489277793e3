"""A hook of mkdocs: the site is made of the repository's own files, where they lie.

Pages keep their paths (``README.md``, ``docs/runs.md``, ``reports/theory/README.md``), so that one relative link is
right on a code host and in the site. An entry of the navigation that ends with a slash stands for the pages of
that folder which are named nowhere else: a new report, or a new page of a command, needs no entry of its own.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
PAGES = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs", "reports")
# What pages link to besides: shown as it is.
BESIDE = ("LICENSE", "CITATION.cff", "configs", "examples")
ENDINGS = {".md", ".png", ".svg", ".json", ".csv", ".yaml", ".py", ".toml", ".cff", ""}


def published() -> list[str]:
    """Paths of all files of the site, relative to the repository: what git knows or would take, and no more."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *PAGES, *BESIDE],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    return sorted(path for path in set(listed) if Path(path).suffix in ENDINGS and (ROOT / path).is_file())


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Folders of the navigation become their pages."""
    pages = [path for path in published() if path.endswith(".md")]
    named = set(_named(config.nav))
    config.nav = [_expanded(entry, pages, named) for entry in config.nav or []]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The repository's files in the place of those of ``docs_dir``; what the theme brings stays."""
    brought = [file for file in files if not str(file.abs_src_path or "").startswith(str(ROOT / "docs"))]
    own = [File(path, str(ROOT), config.site_dir, config.use_directory_urls) for path in published()]
    return Files([*brought, *own])


def on_page_markdown(markdown: str, **_: Any) -> str:
    """What only a code host, or only a writer, needs is left out: marks of generated tables."""
    return re.sub(r"^<!-- .* -->\n", "", markdown, flags=re.MULTILINE)


def _named(nav: Any) -> Iterator[str]:
    """All paths in a navigation."""
    for entry in nav if isinstance(nav, list) else [nav]:
        if isinstance(entry, dict):
            for below in entry.values():
                yield from _named(below)
        elif entry:
            yield str(entry)


def _expanded(entry: Any, pages: list[str], named: set[str]) -> Any:
    if isinstance(entry, dict):
        return {title: _expanded(below, pages, named) for title, below in entry.items()}
    if isinstance(entry, list):
        parts = [_expanded(below, pages, named) for below in entry]
        return [part for made in parts for part in (made if isinstance(made, list) else [made])]
    if isinstance(entry, str) and entry.endswith("/"):
        folders = {path for path in named if path.endswith("/") and path != entry and path.startswith(entry)}
        return [
            page
            for page in pages
            if page.startswith(entry) and page not in named and not page.startswith(tuple(folders))
        ]
    return entry
