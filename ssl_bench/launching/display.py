"""What people see while a comparison works: a live table on a terminal, a line a started or ended run elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from ssl_bench import processes, terminal
from ssl_bench.config import Config, flatten
from ssl_bench.errors import printable
from ssl_bench.launching.standing import WORKING, Files, Standing, read_standing
from ssl_bench.launching.table import Line, draw, standing_in_words
from ssl_bench.launching.time_left import Work, in_words, time_left
from ssl_bench.objectives import OBJECTIVES
from ssl_bench.planning import Plan

# Looks at the runs in a second.
LOOKS = 1.0
# Settings that the name of a configuration holds already.
NAMED = (
    "objective.name",
    "noise",
    "target",
    "views.noise",
    "backbone.name",
    "dataset.name",
    "dataset.subspace",
    "seed",
)


class Display:
    """What is known of the runs of a plan: read from their directories, as often as it is asked for."""

    def __init__(self, plan: Plan, at_once: int | None, console: Console, live: bool) -> None:
        self.plan, self.at_once, self.console, self.live = plan, at_once, console, live
        self.note = ""
        self._files = Files()
        self._begun: set[Path] = set()
        self._working: set[Path] = set()
        # Who failed before waits to be tried again.
        failed = [config for config in plan.every() if self._standing(config).stage == "failed"]
        self._before = {plan.run(config).path for config in failed}

    def started(self, config: Config, line: str) -> None:
        """A run is begun by this process; the line is for where there is no table."""
        self._begun.add(self.plan.run(config).path)
        self._working.add(self.plan.run(config).path)
        if not self.live:
            self.say(line)

    def ended(self, config: Config) -> None:
        """This process is through with a run."""
        self._working.discard(self.plan.run(config).path)
        standing = self.standing(config)
        if not self.live and standing.stage == "finished":
            probe = "" if standing.linear is None else f"linear probe {standing.linear:.3f}, "
            self.say(f"  finished: {probe}{sum(standing.seconds.values()):.0f} s; {self.how_it_stands()}")

    def say(self, line: str) -> None:
        """One line, above the table if there is one."""
        self.console.print(Text(printable(line)), soft_wrap=True)

    def how_it_stands(self) -> str:
        """All runs in one line: how many are over, and about how long the others take."""
        every = [self.standing(config) for config in self._configs]
        return standing_in_words(every, self._left(every))

    def left_in_words(self) -> str:
        """About how long all takes still, to be put behind something else; empty if that is not known."""
        left = self._left([self.standing(config) for config in self._configs])
        return f", about {in_words(left)} left" if left else ""

    def standing(self, config: Config) -> Standing:
        """How a run stands; one that failed before this comparison began, and was not tried again, waits."""
        standing, path = self._standing(config), self.plan.run(config).path
        if standing.stage in WORKING:
            self._before.discard(path)
        if standing.stage == "failed" and path in self._before - self._begun:
            return Standing("waiting", total=standing.total, seconds=standing.seconds)
        return standing

    def table(self) -> RenderableType:
        """The live table, as large as the terminal."""
        standings = [self.standing(config) for config in self._configs]
        lines: dict[str, list[Standing]] = {}
        for name, standing in zip(self._names, standings, strict=True):
            lines.setdefault(name, []).append(standing)
        size = self.console.size
        shown = [Line(name, tuple(seeds)) for name, seeds in lines.items()]
        return draw(shown, size.width, size.height, self._left(standings), self.note)

    @cached_property
    def _configs(self) -> list[Config]:
        return [*self.plan.main, *self.plan.baselines]

    @cached_property
    def _names(self) -> list[str]:
        """What each run's configuration is called here: what all have in common is left out."""
        swept = [key for key in self.plan.swept if key not in NAMED]
        return [_name(config, self._configs, swept) for config in self._configs]

    @cached_property
    def _batches(self) -> list[int]:
        """Images a step of each run; 0 where nothing is trained."""
        trains = {config.objective.name: OBJECTIVES.get(config.objective.name).trains for config in self._configs}
        return [
            config.training.batch_size * (trains[config.objective.name] and config.training.epochs > 0)
            for config in self._configs
        ]

    def _left(self, standings: Sequence[Standing]) -> float | None:
        """Seconds until all is done."""
        busy = sum(standing.stage in WORKING for standing in standings)
        works = [Work(*about) for about in zip(self._names, standings, self._batches, strict=True)]
        return time_left(works, busy if self.at_once is None else self.at_once)

    def _standing(self, config: Config) -> Standing:
        run = self.plan.run(config)
        return read_standing(run, config, self._files, run.path in self._working)


@contextmanager
def showing(plan: Plan, at_once: int | None, live: bool) -> Iterator[Display]:
    """Show how the runs of a plan stand while inside.

    Args:
        plan: What is done.
        at_once: How many runs are done at a time; ``None`` if that is seen from how many are worked on.
        live: Whether a live table may be drawn, on a terminal; else there are lines.
    """
    console = Console(stderr=True, highlight=False, quiet=not processes.is_first())
    live = live and processes.is_first() and terminal.is_screen(console)
    display = Display(plan, at_once, console, live)
    if not live:
        yield display
        return
    newest: list[RenderableType] = [""]

    def view() -> RenderableType:
        try:
            newest[0] = display.table()
        except Exception as error:  # a picture that cannot be made stops no run
            newest[0] = Text(f"the table cannot be drawn: {printable(str(error))}", "red")
        return newest[0]

    with (
        terminal.drawing_on(console),
        Live(console=console, get_renderable=view, refresh_per_second=LOOKS, transient=True, redirect_stdout=False),
    ):
        yield display


def _name(config: Config, every: Sequence[Config], swept: Sequence[str]) -> str:
    """A configuration among others, without its seed."""
    words = [config.objective.name, *(spec for spec in (config.noise, config.target, config.views.noise) if spec)]
    if len({one.backbone.name for one in every}) > 1:
        words.append(config.backbone.name)
    if len({(one.dataset.name, one.dataset.subspace) for one in every}) > 1:
        words += [word for word in (config.dataset.name, config.dataset.subspace) if word]
    flat = flatten(config.model_dump(mode="json")) if swept else {}
    return " ".join([*words, *(f"{key}={json.dumps(flat.get(key))}" for key in swept)])
