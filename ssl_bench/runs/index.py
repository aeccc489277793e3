"""Runs by folder, and what each came to: read once, then kept in the user's cache until a file of the run changes.

The index may be deleted at any time: it holds nothing that the runs do not say.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ssl_bench.errors import UserError
from ssl_bench.files import cache_folder, read_json, write_json
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.runs.lock import read_heartbeat
from ssl_bench.runs.summary import summarise_run

# The form of the rows; an index of another form is made anew.
VERSION = 1


def find_runs(folders: Iterable[Path]) -> Iterator[RunDirectory]:
    """Run directories in folders, at any depth, each once, by name.

    Raises: UserError if a folder is not there.
    """
    seen: set[Path] = set()
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"{folder} is no directory: give runs, or folders that hold some")
        for run in _below(folder):
            if (real := run.path.resolve()) not in seen:
                seen.add(real)
                yield run


def list_runs(folders: Iterable[Path]) -> list[dict[str, Any]]:
    """A row a run: who it is, how it stands now, its probe; ``error`` says where its files could not be read.

    Raises: UserError as :func:`find_runs` does.
    """
    file = cache_folder() / "runs.json"
    known = _read(file)
    kept = dict(known)
    rows = []
    for run in find_runs(folders):
        name, stamp = str(run.path.resolve()), _stamp(run)
        entry = known.get(name)
        if entry is None or entry["stamp"] != stamp:
            entry = {"stamp": stamp, "row": _row(run)}
        kept[name] = entry
        beat = read_heartbeat(run.path)
        alive = {"state": run.state(), "last_sign_of_life": None if beat is None else round(beat.age, 1)}
        # Seconds since 1970, of the newest change of its record.
        changed = stamp[0][0] / 1e9 if stamp[0] else None
        rows.append({"path": str(run.path), **entry["row"], **alive, "changed": changed})
    if kept != known:
        with contextlib.suppress(OSError):  # an index that cannot be written costs time
            write_json(file, {"version": VERSION, "runs": _still_there(kept)}, sealed=True)
    return rows


def _below(folder: Path) -> Iterator[RunDirectory]:
    if (folder / "run.json").exists():
        yield RunDirectory(folder)
        return
    for inner in sorted(folder.iterdir()):
        if inner.is_dir() and not inner.is_symlink() and not inner.name.startswith("."):
            yield from _below(inner)


def _row(run: RunDirectory) -> dict[str, Any]:
    """What a run came to, without its bands."""
    try:
        row = summarise_run(run)
        return {key: value for key, value in row.items() if key not in ("spectrum", "directory")}
    except UserError as error:
        return {"id": None, "status": None, "probe": None, "error": str(error)}
    except (KeyError, TypeError, IndexError) as error:
        return {"id": None, "status": None, "probe": None, "error": f"its records are of another form ({error!r})"}


def _stamp(run: RunDirectory) -> list[list[int]]:
    """Changes whenever a file changes that a row is made of."""
    stamps = []
    for file in (run.record_file, run.path / "config.yaml", run.evaluation_file, run.spectrum_file):
        try:
            about = file.stat()
            stamps.append([about.st_mtime_ns, about.st_size])
        except OSError:
            stamps.append([])
    return stamps


def _read(file: Path) -> dict[str, Any]:
    """The rows of the index; none where it is not there, damaged or of another form."""
    try:
        content = read_json(file)
    except UserError:
        return {}
    return dict(content["runs"]) if content.get("version") == VERSION else {}


def _still_there(entries: dict[str, Any]) -> dict[str, Any]:
    return {name: entry for name, entry in entries.items() if (Path(name) / "run.json").exists()}
