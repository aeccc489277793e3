"""Commands of ssl-bench in processes of their own, forked from one that has imported everything: starts are quick."""

from __future__ import annotations

import contextlib
import importlib
import os
import pkgutil
import resource
import signal
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# Seconds after which a command counts as hanging.
PATIENCE = 300.0


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit status (negative: the signal that killed it), what it said, seconds it took."""

    status: int
    said: str
    seconds: float

    @property
    def trace(self) -> bool:
        """Whether a user met a traceback."""
        return "Traceback (most recent call last)" in self.said


class Command:
    """A command that runs, in a process group of its own."""

    def __init__(
        self, words: Sequence[str], log: Path, environment: Mapping[str, str], largest_file: int | None = None
    ) -> None:
        self.log, self.started = log, time.monotonic()
        self.process = os.fork()
        if self.process == 0:
            _be(words, log, environment, largest_file)
        with contextlib.suppress(OSError):
            os.setpgid(self.process, self.process)

    def running(self) -> bool:
        """Whether it has not ended."""
        return os.waitid(os.P_PID, self.process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal: SIGKILL to all its processes, another to the one that was started."""
        if number == signal.SIGKILL:
            os.killpg(self.process, number)
        else:
            os.kill(self.process, number)

    def wait(self, seconds: float = PATIENCE) -> Ended:
        """Until it ends; killed if it takes too long."""
        deadline = time.monotonic() + seconds
        while self.running() and time.monotonic() < deadline:
            time.sleep(0.02)
        if self.running():
            self.send(signal.SIGKILL)
        _, status = os.waitpid(self.process, 0)
        took = time.monotonic() - self.started
        return Ended(os.waitstatus_to_exitcode(status), self.log.read_text(errors="replace"), took)


def trainers(command: int) -> list[int]:
    """The processes below a command that train a run together, by rank."""
    ranks = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if not _is_below(int(folder.name), command):
                continue
            environment = dict(
                entry.split("=", 1) for entry in (folder / "environ").read_text().split("\0") if "=" in entry
            )
        except (OSError, ValueError):
            continue  # it has ended meanwhile
        if "LOCAL_RANK" in environment:
            ranks[int(environment["LOCAL_RANK"])] = int(folder.name)
    return [ranks[rank] for rank in sorted(ranks)]


def _is_below(process: int, ancestor: int) -> bool:
    while process > 1:
        if process == ancestor:
            return True
        process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    return False


def import_everything() -> None:
    """All modules of the package, so that processes forked later have them."""
    import torch

    import ssl_bench

    torch.set_num_threads(1)
    for module in pkgutil.walk_packages(ssl_bench.__path__, "ssl_bench."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def _renew_threads() -> None:
    """Replace torch's pool of threads, which a fork breaks, while there is one thread.

    torch does so itself when it is next needed, without a lock: two threads of autograd that start at once abort.
    """
    import torch

    torch.set_num_threads(1)


def _be(words: Sequence[str], log: Path, environment: Mapping[str, str], largest_file: int | None) -> None:
    """Become the command; this never returns."""
    status = 1
    try:
        os.setpgid(0, 0)
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.environ.update(environment)
        sys.argv = ["ssl-bench", *words]
        _renew_threads()
        if largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
        from ssl_bench.cli import main

        main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
