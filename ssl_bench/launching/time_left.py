"""How long a comparison still takes, about: from what its finished runs took, else from how fast its runs train."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from ssl_bench.launching.standing import OVER, PARTS, Standing


@dataclass(frozen=True)
class Work:
    """One run: the configuration it is a seed of, how it stands, its images a step (0 where nothing is trained)."""

    configuration: str
    standing: Standing
    batch: int


def time_left(runs: Sequence[Work], at_once: int) -> float | None:
    """Seconds until all runs are through, ``at_once`` at a time; ``None`` as long as nothing is known of training.

    Args:
        runs: All runs of the comparison.
        at_once: How many are worked on at a time.
    """
    done = [run for run in runs if run.standing.stage == "finished"]
    training = Costs((run.configuration, _training(run)) for run in runs if run.batch)
    probing, analyzing = (
        Costs((run.configuration, run.standing.seconds.get(part)) for run in done) for part in PARTS[1:]
    )
    each = []
    for run in runs:
        stage, name = run.standing.stage, run.configuration
        if stage in OVER:
            continue
        whole = training.of(name) if run.batch else 0.0
        if whole is None:
            return None
        probes = 0.0 if stage == "analyzing" else probing.of(name) or 0.0
        each.append(whole * (1 - run.standing.trained) + probes + (analyzing.of(name) or 0.0))
    return max([sum(each) / max(at_once, 1), *each], default=0.0)


class Costs:
    """What one part of a run takes, by configuration, in seconds."""

    def __init__(self, known: Iterable[tuple[str, float | None]]) -> None:
        by_name: dict[str, list[float]] = {}
        for name, seconds in known:
            if seconds is not None:
                by_name.setdefault(name, []).append(seconds)
        self._means = {name: fmean(values) for name, values in by_name.items()}
        self._mean = fmean(self._means.values()) if self._means else None

    def of(self, name: str) -> float | None:
        """The mean of a configuration, else of the others; ``None`` if nothing is known."""
        return self._means.get(name, self._mean)


def _training(run: Work) -> float | None:
    """Seconds of a whole training, of one that is over or under way."""
    standing = run.standing
    if standing.trained == 1:
        return standing.seconds.get(PARTS[0])
    return standing.total * run.batch / standing.speed if standing.speed and standing.total else None


def in_words(seconds: float) -> str:
    """A duration that is known about: ``20 s``, ``3 min``, ``2 h 10 min``."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
