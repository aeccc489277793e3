"""Who judges a finding, by name. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from ssl_bench.errors import UserError, did_you_mean
from ssl_bench.findings.evidence import Evidence
from ssl_bench.findings.verdict import Outcome

JUDGES = ("variance", "order", "guidance", "noise", "datasets", "objectives")
Judge = Callable[[Evidence], Outcome]


def get_judge(name: str) -> Judge:
    """The function that gives a verdict on each prediction of a finding.

    Raises: UserError for an unknown name.
    """
    if name not in JUDGES:
        raise UserError(f"no judge {name!r} of findings; {did_you_mean(name, JUDGES)}")
    judge: Judge = import_module(f"{__name__}.{name}").judge
    return judge
