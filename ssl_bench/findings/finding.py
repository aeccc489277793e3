"""What a finding is: a prediction written down before its runs, the comparisons that test it, and who judges them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from ssl_bench.config import Options, validate
from ssl_bench.errors import UserError, did_you_mean
from ssl_bench.overrides import expand_short_forms, load_config, shipped_folders

FOLDER = "findings"


class Finding(Options):
    """A file of ``configs/findings``.

    ``predictions`` are by name, in words; ``judge`` gives each a verdict. ``remarks`` say what else a reader has to
    keep in mind. ``comparisons`` are settings by the name of the folder they run in, each laid over ``settings``.
    ``align`` are questions to the closed form, by name.
    """

    title: str
    source: str
    judge: str
    predictions: dict[str, str] = Field(min_length=1)
    remarks: tuple[str, ...] = ()
    settings: dict[str, Any] = Field(default_factory=dict)
    comparisons: dict[str, dict[str, Any]] = Field(default_factory=dict)
    align: dict[str, dict[str, Any]] = Field(default_factory=dict)

    def comparison(self, name: str) -> dict[str, Any]:
        """The nested settings of one comparison."""
        return merged(expand_short_forms(self.settings), expand_short_forms(self.comparisons[name]))


def finding_names() -> dict[str, str]:
    """The shipped findings: their titles by name."""
    return {name: str(load_config(file).get("title", "")) for name, file in _files().items()}


def load_finding(name: str) -> Finding:
    """A shipped finding by its name, or one of the user's by its file.

    Raises: UserError if there is none, or its file says something a finding has not.
    """
    files = _files()
    file = files.get(name, Path(name))
    if name not in files and file.suffix not in (".yaml", ".yml"):
        raise UserError(f"no finding {name!r}; {did_you_mean(name, files)}")
    return validate(Finding, load_config(file), str(name))


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings laid over others."""
    both = dict(under)
    for key, value in over.items():
        below = both.get(key)
        both[key] = merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return both


def _files() -> dict[str, Path]:
    folders = [folder / FOLDER for folder in shipped_folders()]
    return {file.stem: file for folder in folders if folder.is_dir() for file in sorted(folder.glob("*.yaml"))}
