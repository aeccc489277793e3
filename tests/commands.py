"""The command as a user types it, in this process: only Python's start, most of its time, is left out."""

import io
import os
import sys
import warnings
from contextlib import chdir, redirect_stderr, redirect_stdout
from subprocess import CompletedProcess
from unittest.mock import patch

from ssl_bench.cli import main


def ssl_bench(*words, cwd=".", **environment):
    """What ``ssl-bench WORDS`` says and its exit status; a traceback is an error of the test."""
    said, aside = io.StringIO(), io.StringIO()
    with (
        patch.object(sys, "argv", ["ssl-bench", *words]),
        patch.dict(os.environ, environment),
        chdir(cwd),
        redirect_stdout(said),
        redirect_stderr(aside),
        warnings.catch_warnings(),
    ):
        try:
            main()
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
    return CompletedProcess(["ssl-bench", *words], status, said.getvalue(), aside.getvalue())
