"""Any input works or is refused in one line: the first few of those that ``scripts/bad-inputs`` tries."""

import json
import os
from dataclasses import replace

import pytest

from campaigns.attempts import in_folder
from campaigns.bad_inputs import KINDS, hold, main

# How many times as many as usual: for a long run.
TIMES = int(os.environ.get("SSL_BENCH_BAD_INPUTS", "1"))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_input_works_or_is_refused_in_one_line(kind, tmp_path):
    with in_folder(tmp_path / "work"):
        found = hold(kind, kind.few * TIMES)
    assert found["refused"]  # else nothing odd was tried


def test_the_campaign_writes_what_it_tried_and_what_broke(tmp_path, monkeypatch):
    def breaks(content):
        raise ValueError("a traceback | in a table")

    kinds = [kind for kind in KINDS if kind.name == "image files"]
    monkeypatch.setattr("campaigns.bad_inputs.KINDS", [*kinds, replace(kinds[0], name="broken", attempt=breaks)])
    monkeypatch.setattr("sys.argv", ["bad-inputs", "--share", "0.002", "--out", str(tmp_path)])
    assert main() == 1
    rows = json.loads((tmp_path / "bad_inputs.json").read_text())["kinds"]
    assert rows[0]["tried"] == rows[0]["worked"] + rows[0]["refused"] == 12
    assert "ValueError: a traceback" in rows[1]["broken"]
    assert "| broken | 0 | 0 | 0 | ValueError: a traceback / in a table" in (tmp_path / "bad_inputs.md").read_text()
