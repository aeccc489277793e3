"""Shell commands that do single runs, for schedulers that this package does not know."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from ssl_bench.config import Config
from ssl_bench.launching.settings import LauncherConfig
from ssl_bench.planning import Plan


def commands(plan: Plan) -> list[str]:
    """One line a missing run, to be run by ``sh`` anywhere the files are; a run on several nodes: once on each."""
    here = shlex.quote(str(Path.cwd()))  # paths in a configuration may start from here
    return [f"cd {here} && {_command(config, plan)}" for config in plan.missing()]


def python_command(settings: LauncherConfig) -> str:
    """What starts Python for a run, in a container if there is one."""
    python = settings.python or shlex.quote(sys.executable)
    return f"{settings.container} {python}" if settings.container else python


def _command(config: Config, plan: Plan) -> str:
    run = plan.run(config)
    verb = f"-m ssl_bench runs do {shlex.quote(str(run.path.absolute()))}"
    training, python = config.training, python_command(plan.launcher)
    if training.nodes == 1:
        return f"{python} {verb}"
    meet = f"--rdzv-backend=c10d --rdzv-id={run.record()['id']} --rdzv-endpoint=$MASTER_ADDR:${{MASTER_PORT:-29400}}"
    size = f"--nnodes={training.nodes} --nproc-per-node={training.devices}"
    return f"{python} -m torch.distributed.run {size} {meet} {verb}"
