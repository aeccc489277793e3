"""Imports point down: what ARCHITECTURE.md promises, read from the code."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "ssl_bench"
BASE = {"clock", "errors", "files", "memory", "seeds", "spec", "registry", "config", "overrides"} | {
    "corrected",
    "explaining",
    "intervals",
    "processes",
    "stopping",
    "yaml_files",
}
MAY_IMPORT = {
    "noise": BASE | {"data"},
    "data": BASE | {"noise"},
    "backbones": BASE,
    "targets": BASE | {"noise", "data"},
    "objectives": BASE | {"noise", "targets", "data", "backbones"},
    "runs": BASE,
    "resolve": BASE | {"noise", "targets", "data", "backbones", "objectives"},
    "training": BASE | {"noise", "targets", "data", "backbones", "objectives", "runs", "resolve", "wandb_runs"},
    "theory": BASE | {"noise", "targets", "data"},
    "evaluation": BASE | {"data", "backbones"},
    "encoders": BASE | {"data", "backbones", "evaluation"},
    "design": BASE | {"noise", "targets", "data", "spectrum"},
    "drawing": BASE | {"noise", "data", "spectrum", "showing"},
    "spectrum": BASE | {"data", "backbones", "evaluation"},
    "across_runs": BASE | {"runs", "evaluation", "spectrum"},
    "reporting": BASE | {"runs", "across_runs", "spectrum", "wandb_runs"},
}


def rooms_imported_by(file):
    for node in ast.walk(ast.parse(file.read_text())):
        names = [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            parts = name.split(".")
            if parts[0] == "ssl_bench" and len(parts) > 1:
                yield parts[1]


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_a_room_imports_only_what_lies_below_it(room):
    files = [PACKAGE / f"{room}.py"] if (PACKAGE / f"{room}.py").exists() else sorted((PACKAGE / room).rglob("*.py"))
    assert files
    for file in files:
        found = set(rooms_imported_by(file)) - {room}
        assert found <= MAY_IMPORT[room], f"{file.name} imports {sorted(found - MAY_IMPORT[room])}"
