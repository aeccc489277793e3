"""Rounds of faults: each a comparison from nothing to its end, disturbed until there is nothing left to disturb."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from campaigns.faults.disk import Disk, small_disk
from campaigns.faults.kinds import ONE_OF_TWO, Fault, Place, draw, inject
from campaigns.faults.outcome import difference, outcome
from campaigns.faults.starting import Ended
from ssl_bench.errors import UserError

SETTINGS = (
    "objective=[autoencoder,simclr]",
    "baselines=[random]",
    "dataset=digits",
    "dataset.limit=400",
    "backbone=resnet_micro",
    "backbone.latent_dim=16",
    "training.batch_size=64",
    "training.snapshots=5",
    "training.log_every=5",
    "training.checkpoint_seconds=0.3",
    "training.accelerator=cpu",
    "evaluation.snapshot=all",
    "evaluation.learning_rates=[0.01,0.1]",
    "evaluation.probe_epochs=1",
    "analysis.fit_samples=200",
    "analysis.test_samples=100",
)
TOGETHER = (
    "objective=simclr",
    "baselines=[]",
    "training.devices=2",
    *(word for word in SETTINGS if not word.startswith(("objective=", "baselines="))),
)
# Faults a round where one kind is asked for.
A_KIND = 2
# Starts without a fault after which a comparison must be done.
STARTS = 2


@dataclass
class Round:
    """One comparison: its faults, and what was wrong in the end, if anything."""

    faults: list[Fault] = field(default_factory=list)
    wrong: str | None = None


@dataclass
class Campaign:
    """All rounds, and how long the comparison takes undisturbed."""

    undisturbed_seconds: float
    tmpfs: bool
    rounds: list[Round] = field(default_factory=list)

    @property
    def injected(self) -> int:
        """Faults that met a running command, or changed what it had written."""
        return sum(fault.injected for each in self.rounds for fault in each.faults)


def run(count: int, seed: int, epochs: int, say: Callable[[str], None], kind: str | None = None) -> Campaign:
    """Inject ``count`` faults, of one kind or of those that are quick.

    Raises: UserError if the comparison does not come to its end undisturbed.
    """
    with tempfile.TemporaryDirectory(prefix="faults-") as name, small_disk(Path(name) / "disk") as disk:
        settings = TOGETHER if kind == ONE_OF_TWO else SETTINGS
        words = ("compare", *settings, f"training.epochs={epochs}", "--out", str(disk.folder / "out"))
        place = Place(words, disk, Path(name) / "log", Path(name) / "cache", 0.0)
        ended = place.start().wait()
        _demand(ended)
        expected = outcome(disk.folder / "out")
        campaign = Campaign(round(ended.seconds, 1), disk.is_tmpfs)
        say(f"undisturbed: {ended.seconds:.1f} s, {len(expected)} numbers to compare")
        place = Place(words, disk, place.log, place.cache, ended.seconds)
        while campaign.injected < count:
            random = Random(f"{seed} {len(campaign.rounds)}")
            _empty(disk, place.cache)
            kinds = draw(random) if kind is None else [kind] * A_KIND
            campaign.rounds.append(_round(place, random, kinds, count - campaign.injected, expected, say))
        return campaign


def _round(
    place: Place, random: Random, kinds: list[str], most: int, expected: dict[str, object], say: Callable[[str], None]
) -> Round:
    """One fault after another, those that come too late left out; then the command undisturbed, and what it made."""
    done = Round()
    for kind in kinds:
        if sum(fault.injected for fault in done.faults) == most:
            break
        fault = inject(kind, place, random)
        done.faults.append(fault)
        state = fault.wrong or ("survived so far" if fault.injected else "too late")
        say(f"{fault.kind} {fault.what}: {state}")
    done.wrong = _ending(place, expected)
    say(f"round ends: {done.wrong or 'as if undisturbed'}")
    return done


def _ending(place: Place, expected: dict[str, object]) -> str | None:
    """Start the command until it ends well; what is wrong with what it made."""
    started = time.monotonic()
    for _ in range(STARTS):
        ended = place.start().wait()
        if ended.status == 0:
            break
    else:
        return f"exit status {ended.status} after {time.monotonic() - started:.0f} s: {ended.said[-1500:]}"
    try:
        return difference(outcome(place.disk.folder / "out"), expected)
    except UserError as error:
        return str(error)


def _empty(disk: Disk, cache: Path) -> None:
    for folder in (disk.folder / "out", cache):
        shutil.rmtree(folder, ignore_errors=True)


def _demand(ended: Ended) -> None:
    if ended.status != 0:
        raise UserError(f"the comparison fails undisturbed: {ended.said[-1500:]}")
