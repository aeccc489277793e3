"""The verb ``finding``: run what a finding asks for, keep what is there, judge, and write the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ssl_bench.aligning import align
from ssl_bench.comparison import compare
from ssl_bench.config import AlignConfig, validate
from ssl_bench.data.images import ImageData
from ssl_bench.data.load import load_dataset, stratified_index
from ssl_bench.errors import UserError
from ssl_bench.files import read_json, write_json
from ssl_bench.findings.evidence import Evidence, Row
from ssl_bench.findings.finding import Finding, load_finding
from ssl_bench.findings.judges import get_judge
from ssl_bench.findings.page import write_result
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.runs.environment import describe_environment

# Into so many parts without overlap the training images are cut where a finding asks for it.
PARTS = 3


def finding(name: str, out: str | Path) -> dict[str, Any]:
    """Test what a finding predicts: do its runs, ask the closed form, judge each prediction.

    Args:
        name: A shipped finding, or a YAML file.
        out: Where comparisons lie, one folder each; the result is written there as ``NAME.md``, ``NAME.json`` and,
            with a figure, ``NAME.svg``.

    Returns: what ``NAME.json`` holds.

    Raises: UserError if there is no such finding, or its settings or data cannot be.
    """
    asked, folder = load_finding(name), Path(out)
    judge = get_judge(asked.judge)
    settings = {one: asked.comparison(one) for one in asked.comparisons}
    rows = {one: _rows(compare(raw, folder / one)) for one, raw in settings.items()}
    alignments = {one: _answer(raw, folder / f"align_{Path(name).stem}_{one}.json") for one, raw in asked.align.items()}
    outcome = judge(Evidence(rows, alignments))
    _check_judged(asked, outcome.verdicts)
    made = {**describe_environment(), "commits_of_runs": _commits(folder, rows)}
    return write_result(Path(name).stem, asked, settings, rows, outcome, made, folder)


def _commits(folder: Path, rows: Mapping[str, Sequence[Row]]) -> list[str]:
    """Of this code, by which the runs were made."""
    runs = [RunDirectory(folder / name / "runs" / row["directory"]) for name, part in rows.items() for row in part]
    return sorted({str(run.record().get("git")) for run in runs})


def _rows(summary: Mapping[str, Any]) -> list[Row]:
    return [*summary["runs"], *summary["baselines"]]


def _answer(raw: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """What the closed form says, kept for the next time; with ``parts: true`` of each part of the training images."""
    question = {key: value for key, value in raw.items() if key != "parts"}
    wanted = validate(AlignConfig, question, "align")
    if file.exists() and read_json(file).get("question") == dict(raw):
        return dict(read_json(file)["answer"])
    if raw.get("parts"):
        data = load_dataset(wanted.dataset)
        answer = {"parts": [align(part, wanted.noise, wanted.k, wanted.target) for part in _parts(data)]}
    else:
        answer = align(wanted.dataset, wanted.noise, wanted.k, wanted.target)
    write_json(file, {"question": dict(raw), "answer": answer})
    return answer


def _parts(data: ImageData) -> list[ImageData]:
    """Thirds of the training images without overlap, classes in proportion; the test images are the same."""
    left, parts = torch.arange(len(data.train)), []
    for place in range(PARTS):
        chosen = stratified_index(data.train.labels[left], len(left) // (PARTS - place), seed=place)
        parts.append(ImageData(data.name, data.train.take(left[chosen]), data.test, data.classes, data.details))
        kept = torch.ones(len(left), dtype=torch.bool)
        kept[chosen] = False
        left = left[kept]
    return parts


def _check_judged(asked: Finding, verdicts: Mapping[str, Any]) -> None:
    """Every prediction has a verdict, and every verdict was predicted.

    Raises: UserError otherwise: a finding of the user's may name what its judge does not know.
    """
    if asked.predictions.keys() != verdicts.keys():
        raise UserError(
            f"judge {asked.judge!r} gives verdicts on {', '.join(verdicts)}; "
            f"the finding predicts {', '.join(asked.predictions)}"
        )
