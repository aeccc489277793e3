"""Starting a run's processes on this host: torchrun does, a process for each device."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from typing import IO

import torch
from rich.text import Text

from ssl_bench import stopping, terminal
from ssl_bench.config import Config
from ssl_bench.errors import UserError, printable
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.training.failure import TrainingFailed

# Seconds between two looks at the processes.
LOOKS = 0.2
# Of <linux/prctl.h>.
PR_SET_PDEATHSIG = 1


def pretrain_together(config: Config, run: RunDirectory) -> RunDirectory:
    """Train a claimed run with a process for each device of this host; a signal to stop is passed on.

    Raises: UserError for several hosts, which somebody else must start; RunIsHeld if others do this run; TrainingFailed
        if a process failed; Stopped.
    """
    settings = config.training
    if settings.nodes > 1:
        raise UserError(
            f"training.nodes={settings.nodes}: start this command on every host, with torchrun or srun "
            "(docs/scaling.md says how)"
        )
    run.refuse_if_held()
    before = run.record()
    words = ["pretrain", str(run.path / "config.yaml"), "--out", str(run.path)]
    with stopping.deferred():
        status = _run(words, settings.devices)
    record = run.record()
    if record.get("status") == "failed" and record != before:
        raise TrainingFailed(str(record.get("error")))
    if status != 0 or not run.finished:
        run.refuse_if_held()
        raise TrainingFailed(
            f"one of {settings.devices} processes ended with exit status {status}, its messages are above; "
            "what was saved is kept, and the same command goes on from there"
        )
    return run


def _run(words: list[str], count: int) -> int:
    """The exit status of ``ssl-bench WORDS`` in ``count`` processes; their messages go where this one's go."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    threads = str(max(1, torch.get_num_threads() // count))
    child = subprocess.Popen(
        [*launcher, "-m", "ssl_bench", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE if terminal.is_taken() else None,
        env={**os.environ, "OMP_NUM_THREADS": threads},
        # Ctrl-C is for this process, which asks the others to save; they do not outlive it either.
        start_new_session=True,
        preexec_fn=_end_with_parent,
    )
    saying = threading.Thread(target=_pass_on, args=(child.stderr,), daemon=True)
    saying.start()
    told = False
    try:
        while child.poll() is None:
            time.sleep(LOOKS)
            if stopping.asked() and not told:
                child.terminate()  # torchrun passes it on, and gives them time to save
                told = True
    finally:
        if child.poll() is None:
            child.terminate()
            child.wait()
        saying.join()
    return child.returncode


def _pass_on(said: IO[bytes] | None) -> None:
    """Say what processes say where something is drawn, which they would draw over."""
    for line in said or ():
        terminal.console().print(Text(printable(line.decode(errors="replace").rstrip())), soft_wrap=True)


def _end_with_parent() -> None:
    """Have Linux ask this process to stop when the one that started it dies, however that happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
