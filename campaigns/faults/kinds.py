"""The kinds of faults, and what must be true of a command that meets one."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from campaigns.faults.disk import Disk
from campaigns.faults.starting import PATIENCE, Command, Ended, trainers

ONE_OF_TWO = "one of two processes killed"
KINDS = ("killed", "asked to stop", "byte changed", "disk full", "network broken", ONE_OF_TWO)
# What is drawn from. The other two cost a minute each (wandb tries for a while; torchrun starts), and are asked for.
TEN = ("killed", "killed", "killed", "killed", "asked to stop", "asked to stop", "disk full", *["byte changed"] * 3)
NORMAL: Mapping[str, str] = {}
NO_NETWORK = {
    "WANDB_BASE_URL": "http://127.0.0.1:9",
    "WANDB_API_KEY": "0" * 40,
    "WANDB_INIT_TIMEOUT": "2",
    "WANDB_SILENT": "true",
}


@dataclass(frozen=True)
class Fault:
    """One fault: what was done, and what was wrong with how the command took it, if anything.

    ``injected`` is false where the command had ended before.
    """

    kind: str
    what: str
    injected: bool
    wrong: str | None


@dataclass(frozen=True)
class Place:
    """Where faults are injected: the command's words, its disk and log, and the seconds it takes undisturbed."""

    words: tuple[str, ...]
    disk: Disk
    log: Path
    cache: Path
    seconds: float

    def start(self, *more: str, largest_file: int | None = None, environment: Mapping[str, str] = NORMAL) -> Command:
        """Start the command."""
        own = {**environment, "XDG_CACHE_HOME": str(self.cache)}
        return Command([*self.words, *more], self.log, own, largest_file)


def draw(random: Random) -> list[str]:
    """The kinds of the faults of a round."""
    return random.sample(TEN, len(TEN))


def inject(kind: str, place: Place, random: Random) -> Fault:
    """Let the command meet one fault."""
    if kind in ("killed", "asked to stop"):
        return _signal(kind, place, random)
    others = {"byte changed": _change, "disk full": _fill, "network broken": _cut, ONE_OF_TWO: _kill_one}
    return others[kind](place, random)


def _signal(kind: str, place: Place, random: Random) -> Fault:
    """A signal at a random moment. SIGTERM is answered with exit status 0."""
    delay = random.uniform(0, place.seconds / 2)
    command = place.start()
    deadline = time.monotonic() + delay
    while command.running() and time.monotonic() < deadline:
        time.sleep(0.005)
    alive = command.running()
    if alive:
        command.send(signal.SIGKILL if kind == "killed" else signal.SIGTERM)
    ended = command.wait()
    expected = -signal.SIGKILL if kind == "killed" and alive else 0
    if ended.status == -signal.SIGTERM and (not ended.said or "report.html" in ended.said):
        expected = -signal.SIGTERM  # before it had begun, or when all was done
    return Fault(kind, f"after {delay:.2f} s", alive, _wrong(ended, expected))


def _change(place: Place, random: Random) -> Fault:
    """Another byte somewhere in some file, of the comparison or of the user's cache; the next start meets it."""
    files = [file for folder in (place.disk.folder, place.cache) for file in folder.rglob("*") if file.is_file()]
    files = sorted(file for file in files if file.stat().st_size)
    if not files:
        return Fault("byte changed", "there is no file yet", False, None)
    file = random.choice(files)
    content = bytearray(file.read_bytes())
    at = random.randrange(len(content))
    content[at] ^= random.randrange(1, 256)
    file.write_bytes(bytes(content))
    return Fault("byte changed", f"byte {at} of {file.relative_to(place.disk.folder.parent)}", True, None)


def _fill(place: Place, random: Random) -> Fault:
    """A disk that is full: the file is named, and the exit status is 1."""
    limit = place.disk.fill(random)
    try:
        ended = place.start(largest_file=limit).wait()
    finally:
        place.disk.free()
    full = ended.status != 0
    wrong = _wrong(ended, 1 if full else 0)
    if full and wrong is None and "could not be written" not in ended.said:
        wrong = f"it does not say which file could not be written: {ended.said[-300:]}"
    return Fault("disk full", "tmpfs" if limit is None else f"no file above {limit} bytes", full, wrong)


def _cut(place: Place, random: Random) -> Fault:
    """A mirror that cannot be reached: the command does all the same, and says so where it trained."""
    ended = place.start("wandb.mode=online", environment=NO_NETWORK).wait()
    return Fault("network broken", "", "wandb cannot be reached" in ended.said, _wrong(ended, 0))


def _kill_one(place: Place, random: Random) -> Fault:
    """One of the two processes that train together, at a random moment: the command ends too, and does not hang."""
    command = place.start()
    two: list[int] = []
    while command.running() and len(two) < 2:
        two = trainers(command.process)
        time.sleep(0.02)
    deadline = time.monotonic() + random.uniform(0, place.seconds / 2)
    while command.running() and time.monotonic() < deadline:
        time.sleep(0.005)
    alive = sorted(set(two) & set(trainers(command.process))) if command.running() else []
    victim = random.choice(alive) if alive else None
    if victim is not None:
        os.kill(victim, signal.SIGKILL)
    ended = command.wait()
    # What the one that was left says of its lost peer is torch's, traceback and all.
    wrong = _wrong(replace(ended, said=ended.said.replace("Traceback", "")), 0 if victim is None else 1)
    return Fault(ONE_OF_TWO, "" if victim is None else f"rank {alive.index(victim)}", victim is not None, wrong)


def _wrong(ended: Ended, expected: int) -> str | None:
    """What was wrong with how a command ended."""
    if ended.trace:
        return f"a traceback: {ended.said[-1500:]}"
    if ended.status != expected:
        late = f" after {ended.seconds:.0f} s" if ended.seconds >= PATIENCE else ""
        return f"exit status {ended.status}{late}, not {expected}: {ended.said[-300:]}"
    return None
