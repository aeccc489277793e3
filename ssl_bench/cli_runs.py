"""The command line of single runs of a comparison: doing one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ssl_bench.cli_common import AsJson, show
from ssl_bench.launching.preemption import preemptible

runs_app = typer.Typer(
    help="The runs of a comparison, one by one.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@runs_app.command("do")
def runs_do(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The directory of a run that compare planned.")],
    as_json: AsJson = False,
) -> None:
    """Pretrain, evaluate and analyze one planned run, as far as it is not done: one job of a comparison."""
    with preemptible(run):
        from ssl_bench.completing import complete

        record = complete(run).record()
    show(record, as_json, lambda: [f"{run}: {record['status']}, evaluated and analyzed"])
