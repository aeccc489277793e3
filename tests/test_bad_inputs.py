"""Any input works or is refused in one line: the first few of those that ``scripts/bad-inputs`` tries."""

import os

import pytest

from campaigns.attempts import in_folder
from campaigns.bad_inputs import KINDS, hold

# How many times as many as usual: for a long run.
TIMES = int(os.environ.get("SSL_BENCH_BAD_INPUTS", "1"))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_input_works_or_is_refused_in_one_line(kind, tmp_path):
    with in_folder(tmp_path / "work"):
        found = hold(kind, kind.few * TIMES)
    assert found["refused"]  # else nothing odd was tried
