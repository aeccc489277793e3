"""Reports on stored runs: one page, and the same as Markdown, CSV and JSON. Nothing is trained or measured here."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ssl_bench.errors import UserError

if TYPE_CHECKING:
    from ssl_bench.reporting.collect import Collection

# Records of runs and comparisons: FILE.json must not take their place.
RECORDS = ("summary", "run", "evaluation", "spectrum", "heartbeat")
# How the files beside a page begin, and what stands at the head of a page: what has it not is somebody else's.
BEGINNINGS = {".md": "# Comparison on ", ".csv": "id,directory,objective,", ".json": '{\n "schema": '}
POLICY = """<meta http-equiv="Content-Security-Policy" content="default-src 'none'; """


def report(directories: Sequence[Path], file: Path, figures: Path | None = None) -> Path:
    """Report on finished runs: FILE.html, and beside it FILE.md (tables), FILE.csv (one line a run) and FILE.json.

    Args:
        directories: Comparison directories, folders that hold runs at any depth, or single runs.
        file: The page to write; its name ends in ``.html``.
        figures: A folder for the figures as files of their own, SVG and PNG; ``None`` for none.

    Returns: ``file``.

    Raises: UserError if there is no finished run, a stored file is damaged, ``file`` or ``figures`` cannot be written,
        or a file that no report wrote would be replaced.
    """
    from ssl_bench.files import replace_file
    from ssl_bench.reporting.collect import collect

    directories, file = [Path(directory) for directory in directories], Path(file)
    if file.suffix.lower() != ".html" or file.is_dir():
        raise UserError(f"a report is a page and cannot be {file}: choose a name that ends in .html")
    if file.stem in RECORDS:
        raise UserError(f"the data of a report named {file.name} would replace {file.stem}.json: choose another name")
    _check_nobodys(file)
    # All are made before the first is written: a report is there in full or not at all.
    made = _of_sound_runs(collect(directories), lambda collection: _files(collection, file, figures))
    if figures is not None:
        _make_folder(Path(figures))
    for path, content in made.items():
        try:
            replace_file(path, functools.partial(_write, content))
        except OSError as error:
            raise UserError(f"the report cannot be written to {path.parent}: {_reason(error)}") from error
    return file


def _check_nobodys(file: Path) -> None:
    """Raises: UserError if the report would replace something that no report wrote, a folder among them."""
    for path in (file, *(file.with_suffix(suffix) for suffix in BEGINNINGS)):
        if path.is_dir() or (path.is_file() and not _is_report(path)):
            raise UserError(f"{path} is no report's, and {file.name} would replace it: choose another name")


def _is_report(path: Path) -> bool:
    with path.open("rb") as stream:
        start = stream.read(4096).decode(errors="replace")
    return POLICY in start if path.suffix.lower() == ".html" else start.startswith(BEGINNINGS[path.suffix])


def _make_folder(figures: Path) -> None:
    """Raises: UserError if there can be no such folder."""
    try:
        figures.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"the folder of figures {figures} cannot be made: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)


def _of_sound_runs(collection: Collection, make: Callable[[Collection], dict[Path, bytes]]) -> dict[Path, bytes]:
    """The files of a report. Runs whose records cannot be reported are left out, and the report says so.

    Raises: UserError if none is left, or they cannot be reported together.
    """
    from ssl_bench.reporting.collect import Collection, Notice, check_any

    try:
        return make(collection)
    except UserError:
        raise
    except Exception:  # records may hold anything: whatever that makes of tables and figures
        sound, left_out = [], list(collection.left_out)
    for run in collection.runs:
        try:
            make(Collection((run,), (), ()))
            sound.append(run)
        except UserError:
            raise
        except Exception as error:
            left_out.append(Notice(run.name, f"its records are not of this version's form ({error!r})"))
    check_any(sound, left_out, "what was given")
    try:
        return make(Collection(tuple(sound), collection.skipped, tuple(left_out)))
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"these runs cannot be reported together ({error!r}): report on fewer at a time") from error


def _files(collection: Collection, file: Path, figures: Path | None) -> dict[Path, bytes]:
    from importlib.metadata import version

    from ssl_bench.reporting.as_json import render_json
    from ssl_bench.reporting.content import make_content
    from ssl_bench.reporting.papers import paper_files
    from ssl_bench.reporting.render import render_html
    from ssl_bench.reporting.text import render_csv, render_markdown
    from ssl_bench.runs.environment import now

    content = make_content(collection, file.parent)
    made = _readable(now()), version("ssl-bench")
    texts = {
        file.with_suffix(".json"): render_json(content, *made),
        file.with_suffix(".csv"): render_csv(content),
        file.with_suffix(".md"): render_markdown(content, file.name),
        file: render_html(content, *made),
    }
    drawn = {} if figures is None else {figures / name: made for name, made in paper_files(content).items()}
    return {path: text.encode() for path, text in texts.items()} | drawn


def _write(content: bytes, path: Path) -> None:
    path.write_bytes(content)


def _readable(time: str) -> str:
    return time.replace("T", " ").replace("+00:00", " UTC")
