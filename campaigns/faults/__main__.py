"""``python -m campaigns.faults``: run the campaign, write its tables; exit status 1 if a fault was not survived."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported

from campaigns.faults.campaign import run
from campaigns.faults.starting import import_everything
from campaigns.faults.table import record, write


def main() -> None:
    """Parse, run, write."""
    parser = argparse.ArgumentParser(prog="scripts/fault-campaign", description=__doc__)
    parser.add_argument("--faults", type=int, default=100, help="how many to inject")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=40, help="of each run: how long there is something to disturb")
    parser.add_argument("--together", type=int, default=0, help="and as many where one of two processes is killed")
    parser.add_argument("--out", type=Path, default=Path("reports/reliability"))
    asked = parser.parse_args()
    started = time.monotonic()
    import_everything()
    from ssl_bench.runs.environment import describe_environment

    git = describe_environment()["git"]

    def say(line: str) -> None:
        print(f"{time.monotonic() - started:6.0f} s  {line}", file=sys.stderr, flush=True)

    campaigns = [run(asked.faults, asked.seed, asked.epochs, say)] if asked.faults else []
    campaigns += [run(asked.together, asked.seed, asked.epochs, say, together=True)] if asked.together else []
    words = {"faults": asked.faults, "together": asked.together, "seed": asked.seed, "epochs": asked.epochs}
    command = " ".join(["scripts/fault-campaign", *(f"--{name} {value}" for name, value in words.items())])
    found = record(campaigns, command, asked.seed, time.monotonic() - started, git)
    write(asked.out, found)
    print(asked.out / "faults.md")
    sys.exit(1 if found["wrong"] else 0)


if __name__ == "__main__":
    main()
