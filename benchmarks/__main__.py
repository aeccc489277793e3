"""``python -m benchmarks``, the command behind scripts/benchmark."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks import machine
from benchmarks.jobs import Job
from benchmarks.results import Plan
from benchmarks.runner import measure
from benchmarks.store import SECTIONS
from ssl_bench.errors import UserError, did_you_mean

REPEATS = 5
# Of a section that takes minutes a turn.
REPEATS_OF = {"demo": 1}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for. Returns the exit status: 0 done, 1 a section failed, 2 a mistake of the user's."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        asked = _parser().parse_args(given)
        jobs = jobs_of(asked)
        name = asked.name or machine.default_name() + ("_quick" if asked.quick else "")
        command = shlex.join(["scripts/benchmark", *given])
        return 0 if measure(jobs, Path(asked.out) / f"{name}.json", command) else 1
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def jobs_of(asked: argparse.Namespace) -> list[Job]:
    """The sections asked for, or all, in their order.

    Raises: UserError for an unknown one.
    """
    for name in asked.sections:
        if name not in SECTIONS:
            raise UserError(f"unknown section {name!r}; {did_you_mean(name, SECTIONS)}")
    if asked.before is not None and asked.sections and "demo" not in asked.sections:
        raise UserError("--before is for the section demo: ask for that too, or leave --before out")
    wanted = [name for name in SECTIONS if not asked.sections or name in asked.sections]
    return [_job(name, asked) for name in wanted]


def _job(name: str, asked: argparse.Namespace) -> Job:
    repeats = asked.repeats or (1 if asked.quick else REPEATS_OF.get(name, REPEATS))
    plan = Plan(machine.device(), repeats, torch.get_num_threads(), asked.quick)
    return Job(name, f"benchmarks.sections.{name}:run", plan, {"before": asked.before} if name == "demo" else {})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/benchmark", description="ssl_bench side by side with what people use today."
    )
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"{', '.join(SECTIONS)}; all by default")
    parser.add_argument("--out", default="reports/speed", help="folder of results and reports (default: %(default)s)")
    parser.add_argument("--name", help="of the files; by default after the machine")
    parser.add_argument("--repeats", type=_at_least_one, help=f"turns (default: {REPEATS}; demo: {REPEATS_OF['demo']})")
    parser.add_argument("--quick", action="store_true", help="a smoke test, of sizes that say nothing")
    parser.add_argument("--before", metavar="REV", help="demo: compare with this commit, in turns")
    return parser


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
