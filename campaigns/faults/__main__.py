"""``python -m campaigns.faults``: run the campaign, write its tables; exit status 1 if a fault was not survived."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported

from campaigns.faults.campaign import run
from campaigns.faults.kinds import KINDS
from campaigns.faults.starting import import_everything
from campaigns.faults.table import record, write


def main() -> None:
    """Parse, run, write."""
    parser = argparse.ArgumentParser(prog="scripts/fault-campaign", description=__doc__)
    parser.add_argument("--faults", type=int, default=100, help="how many to inject")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=40, help="of each run: how long there is something to disturb")
    parser.add_argument("--kind", choices=KINDS, help="only this kind; by default those that are quick, in turns")
    parser.add_argument("--name", default="faults", help="of the two files")
    parser.add_argument("--out", type=Path, default=Path("reports/reliability"))
    asked = parser.parse_args()
    started = time.monotonic()
    import_everything()
    from ssl_bench.runs.environment import describe_environment

    git = describe_environment()["git"]

    def say(line: str) -> None:
        print(f"{time.monotonic() - started:6.0f} s  {line}", file=sys.stderr, flush=True)

    campaign = run(asked.faults, asked.seed, asked.epochs, say, asked.kind)
    words = {"faults": asked.faults, "seed": asked.seed, "epochs": asked.epochs, "kind": asked.kind, "name": asked.name}
    options = [word for name, value in words.items() if value is not None for word in (f"--{name}", str(value))]
    command = shlex.join(["scripts/fault-campaign", *options])
    found = record(campaign, command, asked.seed, time.monotonic() - started, git)
    write(asked.out, asked.name, found)
    print(asked.out / f"{asked.name}.md")
    sys.exit(1 if found["wrong"] else 0)


if __name__ == "__main__":
    main()
