"""A run at Weights & Biases, told as little as can be: for the metrics of a training, and for a report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ssl_bench.config import WandbConfig
from ssl_bench.errors import UserError, warn

# How long the end of a run waits for wandb to send what is left; the default is for ever.
FINISH_SECONDS = 60.0


def start_run(asked: WandbConfig, folder: Path, **about: Any) -> Any:
    """A run of wandb, whose files lie in ``folder/wandb``; offline, with a warning, where the network is broken.

    Args:
        asked: Project and mode, which is not ``disabled``.
        folder: An existing folder, or one that can be made.
        about: More of what ``wandb.init`` takes: ``id``, ``name``, ``config``, ``job_type``.

    Raises:
        UserError: Nobody is logged in, the folder cannot be written, or wandb's service does not start.
    """
    import wandb

    # The service that writes may be one that another process started, in a folder of its own.
    about["dir"] = str(folder.resolve())
    # Of this code, its folder, its environment and what it prints nothing is told: a remote of git may hold a
    # password, and what Slurm leaves in the environment a token.
    closed = {"disable_git": True, "save_code": False, "disable_code": True, "x_disable_meta": True}
    about["settings"] = wandb.Settings(finish_timeout=FINISH_SECONDS, console="off", **closed)
    try:
        return wandb.init(project=asked.project, mode=asked.mode, resume="allow", **about)
    except wandb.errors.CommError as error:
        warn(f"wandb cannot be reached ({error}): its files are kept in {folder / 'wandb'}, for `wandb sync`")
        wandb.teardown()  # its service still holds the name of the run
        return wandb.init(project=asked.project, mode="offline", **about)
    except (wandb.Error, OSError) as error:
        raise UserError(f"wandb: {error}; log in with `wandb login`, or use its mode offline") from error
