import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.timeout(900)
def test_ten_faults_are_survived(tmp_path):
    command = ["-m", "campaigns.faults", "--faults", "10", "--seed", "3", "--epochs", "6", "--out", str(tmp_path)]
    ended = subprocess.run([sys.executable, *command], cwd=Path(__file__).parent.parent, capture_output=True, text=True)
    found = json.loads((tmp_path / "faults.json").read_text()) if (tmp_path / "faults.json").exists() else None
    assert ended.returncode == 0, (found or {}).get("wrong") or ended.stderr[-3000:]
    kinds = found["kinds"].values()
    assert sum(kind["injected"] for kind in kinds) == sum(kind["survived"] for kind in kinds) == 10
    assert sum(kind["injected"] > 0 for kind in kinds) >= 3
    assert "| **10** | **10** |" in (tmp_path / "faults.md").read_text()
