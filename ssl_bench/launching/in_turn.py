"""The runs of a comparison one after another in this process, so that they share a dataset and its bench."""

from __future__ import annotations

import time
from functools import partial

from ssl_bench import processes
from ssl_bench.completing import complete
from ssl_bench.config import Config
from ssl_bench.errors import UserError
from ssl_bench.launching.display import Display, showing
from ssl_bench.planning import Plan
from ssl_bench.runs.lock import RunIsHeld, is_held
from ssl_bench.shelf import Shelf
from ssl_bench.training.failure import TrainingFailed
from ssl_bench.training.pretraining import title

# Seconds between two looks at the runs that other processes do.
POLL = 2.0


def run_in_turn(plan: Plan, shelf: Shelf, live: bool = True) -> None:
    """Do what is missing; what others do already, when they are through. Failures are recorded, not raised."""
    every = plan.every()
    names = [f"[{number}/{len(every)}] {title(config)}" for number, config in enumerate(every, start=1)]
    cells = list(zip(every, names, strict=True))
    with showing(plan, 1, live) as display:
        for config, name in [cell for cell in cells if not _do(*cell, plan, shelf, display)]:
            path = plan.run(config).path
            while processes.by_first(partial(is_held, path)) or not _do(config, name, plan, shelf, display):
                time.sleep(POLL)


def _do(config: Config, name: str, plan: Plan, shelf: Shelf, display: Display) -> bool:
    """Do one run, or find that another process does it: then ``False``."""
    display.started(config, name)
    try:
        complete(plan.run(config).path, shelf)
    except RunIsHeld as error:
        display.say(f"  later: {error}")
        return False
    except (TrainingFailed, UserError) as error:
        display.say(f"  failed: {error}" if not display.live else f"{title(config)} failed: {error}")
    finally:
        display.ended(config)
    return True
