"""The tables of a campaign: reports/reliability/faults.json and .md."""

from __future__ import annotations

import os
import platform
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

from campaigns.faults.campaign import Campaign
from campaigns.faults.kinds import KINDS
from ssl_bench.files import write_json, write_text

PACKAGES = ("torch", "safetensors", "filelock", "wandb")


def record(campaign: Campaign, command: str, seed: int, seconds: float, git: str | None) -> dict[str, Any]:
    """What a campaign found. A fault is survived if the command, and then its round, ended as it should."""
    injected: Counter[str] = Counter()
    survived: Counter[str] = Counter()
    wrong = []
    for number, each in enumerate(campaign.rounds):
        for fault in each.faults:
            injected[fault.kind] += fault.injected
            survived[fault.kind] += fault.injected and fault.wrong is None and each.wrong is None
            if fault.wrong:
                wrong.append({"round": number, "fault": f"{fault.kind} {fault.what}".strip(), "what": fault.wrong})
        if each.wrong:
            wrong.append({"round": number, "fault": "the end", "what": each.wrong})
    return {
        "command": command,
        "seed": seed,
        "minutes": round(seconds / 60, 1),
        "rounds": len(campaign.rounds),
        "undisturbed_seconds": campaign.undisturbed_seconds,
        "disk": "tmpfs" if campaign.tmpfs else "a limit on the size of files (no tmpfs could be mounted)",
        "kinds": {kind: {"injected": injected[kind], "survived": survived[kind]} for kind in KINDS if injected[kind]},
        "wrong": wrong,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "git": git,
        "cores": os.cpu_count(),
    }


def write(folder: Path, name: str, found: dict[str, Any]) -> None:
    """Write both files."""
    write_json(folder / f"{name}.json", found)
    write_text(folder / f"{name}.md", _page(found))


def _page(found: dict[str, Any]) -> str:
    kinds = found["kinds"]
    rows = [f"| {kind} | {count['injected']} | {count['survived']} |" for kind, count in kinds.items()]
    total = [sum(count[key] for count in kinds.values()) for key in ("injected", "survived")]
    wrong = [f"- Round {one['round']}, {one['fault']}: {_short(one['what'])}" for one in found["wrong"]] or ["Nothing."]
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    return f"""# Faults injected and survived

A small comparison (two objectives and the untrained network, embedded digits; where one of two processes is killed, one
objective in two processes that talk by gloo) is disturbed several times on its way; after each fault the same command
is started again. It must end with the numbers, and the bits of every snapshot, that it has undisturbed
({found["undisturbed_seconds"]:.0f} s); a command that meets a fault must say so in a line and leave with the right exit
status. A fault counts as survived only if its whole round ended so.

| fault | injected | survived |
|---|---:|---:|
{chr(10).join(rows)}
| **all** | **{total[0]}** | **{total[1]}** |

What was wrong:

{chr(10).join(wrong)}

`{found["command"]}`: {found["rounds"]} rounds in {found["minutes"]} minutes on {found["cores"]} cores,
commit {found["git"]}, {versions}. The disk that fills up is {found["disk"]}.
"""


def _short(text: str) -> str:
    return " ".join(text.split())[-300:].replace("|", "/")
