"""Bad inputs by the thousand: each works, or is refused in one line with exit status 2 and nothing left behind.

``scripts/bad-inputs`` tries many and writes the table; the tests try the first few of each kind, always the same.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from campaigns import attempts, files, words
from campaigns.found import FOUND
from ssl_bench.files import write_json, write_text

OUTCOMES = (attempts.WORKED, attempts.REFUSED)
PROMISE = (
    "each input works, or is refused in one line with exit status 2, without a traceback, and what is in the way of "
    "`--out` stays as it was. The inputs are always the same. A run that diverges and says so is one that worked."
)
SMALL_RUN = (
    *words.SMALL,
    *("training.epochs=1", "training.snapshots=3", "evaluation.probe_epochs=1", "analysis.fit_samples=20"),
    *("analysis.test_samples=10", "backbone=mlp"),
)


@dataclass(frozen=True)
class Kind:
    """A kind of inputs.

    ``inputs`` makes them, in the folder that is worked in; ``attempt`` says what became of one
    (:data:`~campaigns.attempts.WORKED` or :data:`~campaigns.attempts.REFUSED`). ``few`` of them are tried by the tests,
    ``many`` by the campaign.
    """

    name: str
    inputs: Callable[[], SearchStrategy[Any]]
    attempt: Callable[[Any], str]
    few: int
    many: int


def _overrides(given: list[str]) -> str:
    return attempts.attempt(lambda: attempts.settings(None, given))


def _run(given: list[str]) -> str:
    out = Path("out")
    shutil.rmtree(out, ignore_errors=True)
    return attempts.command(["pretrain", *words.SMALL, *given, "--out", str(out)], out)


def _changed_files() -> SearchStrategy[tuple[str, bytes]]:
    """A file of a finished run, and what it holds instead."""
    run = Path("whole")
    if not run.exists():
        attempts.command(["pretrain", *SMALL_RUN, "--out", str(run)])
        attempts.command(["evaluate", str(run)])
    kinds = []
    for file in sorted(file for file in run.rglob("*") if file.is_file() and not file.name.startswith(".")):
        name = str(file.relative_to(run))
        changed = files.mutated([file.read_bytes()])
        if file.suffix == ".json":
            changed |= files.changed_json(file.read_text()).map(str.encode)
        kinds.append(st.tuples(st.just(name), changed))
    return st.one_of(kinds)


def _changed_run(change: tuple[str, bytes]) -> str:
    """List, report, probe and go on with a run of which one file has changed."""
    name, content = change
    run = Path("changed")
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree("whole", run)
    (run / name).write_bytes(content)
    lines = [
        ["runs", "list", "."],
        ["report", str(run), "--out", "report.html"],
        ["evaluate", str(run)],
        ["pretrain", *SMALL_RUN, "--out", str(run)],
    ]
    became = [attempts.command(line) for line in lines]
    return attempts.REFUSED if attempts.REFUSED in became else attempts.WORKED


KINDS = (
    Kind("settings: YAML files", words.yaml_texts, attempts.settings_text, 60, 1500),
    Kind("settings: key=value words", words.overrides, _overrides, 60, 3000),
    Kind("specs of noises", words.noise_specs, attempts.noise, 60, 3000),
    Kind("specs of targets", words.target_specs, attempts.target, 40, 1500),
    Kind("specs of subspaces", words.subspace_specs, attempts.subspace, 40, 600),
    Kind("runs with odd settings", lambda: words.overrides(2), _run, 15, 200),
    Kind("command lines", words.commands, attempts.command, 25, 300),
    Kind("image files", lambda: files.mutated(files.images()), attempts.image, 100, 6000),
    Kind("archives of arrays", lambda: files.mutated(files.archives()), attempts.archive, 60, 3000),
    Kind("weights: torch", lambda: files.mutated(files.weights()), lambda one: attempts.weights(one, ".pt"), 60, 3000),
    Kind(
        "weights: safetensors",
        lambda: files.mutated(files.safetensors()),
        lambda one: attempts.weights(one, ".safetensors"),
        60,
        3000,
    ),
    Kind("run directories", _changed_files, _changed_run, 8, 60),
)


def hold(kind: Kind, examples: int) -> Counter[str]:
    """Try so many inputs of a kind, always the same, in the current folder; how many worked and were refused.

    Raises: what the first input that breaks the promise raises, made as small as can be.
    """
    found: Counter[str] = Counter()

    @hypothesis_settings(
        max_examples=examples, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(kind.inputs())
    def promise(one: Any) -> None:
        found[kind.attempt(one)] += 1

    promise()
    return found


def campaign(share: float) -> list[dict[str, Any]]:
    """Try all kinds, a share of the many of each, in a folder of their own. Returns: a row a kind."""
    rows = []
    for kind in KINDS:
        started, found, broken = time.monotonic(), Counter[str](), ""
        with tempfile.TemporaryDirectory() as folder, attempts.in_folder(Path(folder)):
            try:
                found = hold(kind, max(1, round(kind.many * share)))
            except Exception as error:  # a broken promise, of whatever kind
                broken = f"{type(error).__name__}: {error}; {' '.join(getattr(error, '__notes__', []))}"
        seconds = round(time.monotonic() - started, 1)
        row = {"kind": kind.name, "tried": found.total(), **{name: found[name] for name in OUTCOMES}}
        rows.append({**row, "broken": broken, "seconds": seconds})
        print(
            f"{kind.name}: {found.total():,} tried in {seconds:.0f} s{'; ' + broken if broken else ''}", file=sys.stderr
        )
    return rows


def table(result: dict[str, Any]) -> str:
    """The campaign as Markdown."""
    lines = ["# Bad inputs", "", f"Made by `{result['command']}` in {result['seconds']:.0f} s: " + PROMISE, ""]
    lines += ["| inputs | tried | worked | refused in one line | promise broken |", "|---|---:|---:|---:|---|"]
    for row in result["kinds"]:
        counts = " | ".join(f"{row[key]:,}" for key in ("tried", *OUTCOMES))
        lines.append(f"| {row['kind']} | {counts} | {row['broken'].replace('|', '/')[:200] or 'never'} |")
    lines += ["", "## What it found", "", "Each is mended, and has a test of its own or is among the inputs above.", ""]
    lines += ["| input | what happened | now |", "|---|---|---|"]
    lines += [f"| {one.given} | {one.happened} | {one.now} |" for one in FOUND]
    return "\n".join(lines) + "\n"


def main() -> int:
    """``scripts/bad-inputs``. Returns the exit status: 1 if the promise was broken."""
    parser = argparse.ArgumentParser(prog="scripts/bad-inputs", description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of the inputs, those that are tried; 1 by default")
    parser.add_argument("--out", type=Path, default=Path("reports/reliability"), help="folder of the table")
    asked = parser.parse_args()
    started = time.monotonic()
    out = asked.out.resolve()
    kinds = campaign(asked.share)
    command = "scripts/bad-inputs" + (f" --share {asked.share:g}" if asked.share != 1 else "")
    result = {"schema": 1, "command": command, "seconds": round(time.monotonic() - started, 1), "kinds": kinds}
    result["found"] = [one._asdict() for one in FOUND]
    write_json(out / "bad_inputs.json", result)
    write_text(out / "bad_inputs.md", table(result))
    return 1 if any(row["broken"] for row in kinds) else 0


if __name__ == "__main__":
    sys.exit(main())
