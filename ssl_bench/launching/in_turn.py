"""The runs of a comparison one after another in this process, so that they share a dataset and its bench."""

from __future__ import annotations

from rich.console import Console

from ssl_bench.completing import complete
from ssl_bench.errors import UserError
from ssl_bench.planning import Plan
from ssl_bench.shelf import Shelf
from ssl_bench.training.loop import TrainingFailed
from ssl_bench.training.pretraining import title


def run_in_turn(plan: Plan, shelf: Shelf) -> None:
    """Do what is missing. A failure is recorded in its run, not raised."""
    console = Console(stderr=True, highlight=False)
    every = plan.every()
    for number, config in enumerate(every, start=1):
        console.print(f"[{number}/{len(every)}] {title(config)}", markup=False)
        try:
            complete(plan.run(config).path, shelf)
        except (TrainingFailed, UserError) as error:
            console.print(f"  failed: {error}", markup=False, soft_wrap=True)
