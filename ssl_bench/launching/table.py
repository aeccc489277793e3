"""A comparison as a live table: a line a configuration, its seeds as states. Nothing is read or reckoned here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ssl_bench.errors import printable
from ssl_bench.launching.standing import OVER, WORKING, Stage, Standing
from ssl_bench.launching.time_left import in_words

STYLES: dict[Stage, str] = {
    "waiting": "dim",
    "training": "cyan",
    "probing": "magenta",
    "analyzing": "magenta",
    "finished": "green",
    "failed": "bold red",
}
# What training counts for in the bar; probes and spectra are the rest.
TRAINING = 0.9
BETWEEN = 2
# The least that is left of a name, and of the bar.
NAME, BAR = 16, 10


@dataclass(frozen=True)
class Line:
    """One configuration: its name, and how its runs stand, seed by seed."""

    name: str
    seeds: tuple[Standing, ...]


def draw(lines: Sequence[Line], width: int, height: int, left: float | None = None, note: str = "") -> RenderableType:
    """The table, cut to a size; what does not fit is counted.

    Args:
        lines: All configurations, in the order of the matrix.
        width: Columns of the terminal.
        height: Its rows, of which one is left free.
        left: Seconds until all is done.
        note: A line for who does the runs.
    """
    shown = _most_telling(lines, height - 2 - bool(note))
    hidden = [line for line in lines if line not in shown]
    parts: list[RenderableType] = [_table(shown, width)]
    if hidden:
        parts.append(Text(f"and {len(hidden)} more: {_counted(hidden)}", "dim", no_wrap=True, overflow="ellipsis"))
    parts += [Text(printable(note), "dim", no_wrap=True, overflow="ellipsis")] if note else []
    return Group(*parts, _overall(lines, width, left))


def _most_telling(lines: Sequence[Line], room: int) -> list[Line]:
    """As many lines as fit, in their order: what is worked on first, then what failed, what waits, what is done."""
    if len(lines) <= room:
        return list(lines)
    order: tuple[Stage, ...] = (*WORKING, "failed", "waiting", "finished")

    def rank(place: int) -> int:
        return min((order.index(seed.stage) for seed in lines[place].seeds), default=len(order))

    chosen = sorted(range(len(lines)), key=rank)[: max(room - 1, 1)]
    return [lines[place] for place in sorted(chosen)]


def _table(lines: Sequence[Line], width: int) -> Table:
    """Names and states, the states in the longest form that fits."""
    names = [printable(line.name) for line in lines]
    longest_name = max(map(len, names), default=0)
    cells: list[Text] = []
    longest = 0
    for form in FORMS:
        cells = [_states(line.seeds, form) for line in lines]
        longest = max((cell.cell_len for cell in cells), default=0)
        if longest + BETWEEN + min(longest_name, max(NAME, width // 3)) <= width:
            break
    else:
        cells = [Text(_counted([line])) for line in lines]
        longest = min(max((cell.cell_len for cell in cells), default=0), width - BETWEEN - NAME)
    table = Table.grid(padding=(0, BETWEEN, 0, 0))
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=max(width - longest - BETWEEN, NAME))
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=longest)
    for name, cell in zip(names, cells, strict=True):
        table.add_row(Text(name), cell)
    return table


def _states(seeds: Sequence[Standing], form: Callable[[Standing], str]) -> Text:
    words = [Text(form(seed), STYLES[seed.stage]) for seed in seeds]
    return Text(" " * BETWEEN).join(words)


def _in_full(seed: Standing) -> str:
    if seed.stage == "training":
        loss = "" if seed.loss is None else f", loss {seed.loss:.3g}"
        return f"training {100 * seed.trained:.0f} %{loss}"
    if seed.stage == "finished":
        return "finished" if seed.linear is None else f"{seed.linear:.3f}"
    return f"stopped at {100 * seed.trained:.0f} %" if seed.stage == "waiting" and seed.step else seed.stage


def _in_short(seed: Standing) -> str:
    if seed.stage == "training":
        return f"{100 * seed.trained:.0f} %"
    if seed.stage == "finished":
        return "done" if seed.linear is None else f"{seed.linear:.3f}"
    return {"waiting": "wait", "probing": "probe", "analyzing": "bands", "failed": "FAIL"}[seed.stage]


FORMS = (_in_full, _in_short)


def _counted(lines: Sequence[Line]) -> str:
    """How many runs are in which state."""
    counts = Counter(seed.stage for line in lines for seed in line.seeds)
    return ", ".join(f"{counts[stage]} {stage}" for stage in (*OVER, *WORKING, "waiting") if counts[stage])


def _overall(lines: Sequence[Line], width: int, left: float | None) -> Table:
    """A bar, and how many are done."""
    every = [seed for line in lines for seed in line.seeds]
    done = sum(1.0 if seed.stage in OVER else TRAINING * seed.trained for seed in every)
    words = Text(standing_in_words(every, left))
    bar_width = max(min(30, width - words.cell_len - 2 * BETWEEN), BAR)
    grid = Table.grid(padding=(0, BETWEEN, 0, 0))
    grid.add_column()
    # Cut here: of columns that do not fit together, rich would leave nothing of the bar.
    grid.add_column(no_wrap=True, overflow="ellipsis", max_width=max(width - bar_width - 2 * BETWEEN, 1))
    grid.add_row(ProgressBar(total=max(len(every), 1), completed=done, width=bar_width), words)
    return grid


def standing_in_words(every: Sequence[Standing], left: float | None) -> str:
    """How many runs are over, and how long the others take: ``3 of 12 finished, 1 failed, about 5 min left``."""
    counts = Counter(seed.stage for seed in every)
    words = f"{counts['finished']} of {len(every)} finished"
    words += f", {counts['failed']} failed" if counts["failed"] else ""
    return words + (f", about {in_words(left)} left" if left else "")
