import json
import os
import signal
import subprocess
import sys

import pytest
from conftest import make_config
from test_run_lock import HOLDS
from typer.testing import CliRunner

from ssl_bench.cli import app
from ssl_bench.errors import UserError
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.runs.index import list_runs
from ssl_bench.training.pretraining import pretrain


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return pretrain(make_config("training.epochs=1"), tmp_path_factory.mktemp("runs") / "runs" / "done")


def asked(*words):
    answer = CliRunner().invoke(app, ["runs", *words, "--json"], catch_exceptions=False)
    assert answer.exit_code == 0
    return json.loads(answer.stdout)


def test_runs_are_listed_as_they_stand_now(finished, tmp_path):
    waiting = RunDirectory(finished.path.parent / "deeper" / "planned")
    waiting.claim(make_config())
    rows = {row["path"]: row for row in asked("list", str(finished.path.parent))["runs"]}
    assert [rows[str(run.path)]["state"] for run in (finished, waiting)] == ["finished", "waiting"]
    assert rows[str(finished.path)]["samples_seen"] == 256
    waiting.update(status="failed", error="no more room")
    row = asked("list", str(waiting.path))["runs"][0]
    assert (row["state"], row["error"]) == ("failed", "no more room")
    lines = CliRunner().invoke(app, ["runs", "list", str(finished.path.parent)]).stdout
    assert "failed" in lines
    assert "no more room" in lines
    with pytest.raises(UserError, match="is no directory"):
        list_runs([tmp_path / "none"])


def test_the_index_may_be_lost_damaged_or_stale(finished, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    index = tmp_path / "ssl_bench" / "runs.json"
    rows = list_runs([finished.path])
    assert index.exists()
    for content in ("", "{", index.read_text().replace("digits", "figits"), json.dumps({"version": 0, "runs": {}})):
        index.write_text(content)
        assert list_runs([finished.path]) == rows
    index.unlink()
    assert list_runs([finished.path]) == rows
    # From the index, as long as nothing changed.
    monkeypatch.setattr("ssl_bench.runs.index.summarise_run", lambda run: pytest.fail("read again"))
    assert list_runs([finished.path]) == rows


def test_a_run_is_shown_with_what_is_damaged(finished):
    about = asked("show", str(finished.path))
    assert (about["state"], about["damage"], about["step"], about["snapshots"]) == ("finished", None, 4, [0, 1, 2, 4])
    file = finished.snapshot_file(1)
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "step_00000001.safetensors is damaged" in asked("show", str(finished.path))["damage"]
    file.write_bytes(whole)


def test_gc_takes_what_can_be_made_again_and_nothing_finished(finished, tmp_path):
    run = RunDirectory(tmp_path / "run")
    subprocess.run(["cp", "-r", finished.path, run.path], check=True)
    keeps = {file.name: file.read_bytes() for file in run.path.rglob("*") if file.is_file() and file.suffix != ".pt"}
    (run.path / "cache").mkdir()
    (run.path / "cache" / "features_1.safetensors").write_bytes(b"x" * 100)
    (run.path / ".run.json.7.part").write_text("half")
    (run.path / "heartbeat.json").write_text("{}")
    promised = asked("gc", str(tmp_path), "--dry-run")
    assert (run.path / "cache").exists()
    done = asked("gc", str(tmp_path))
    assert done["files"] == promised["files"]
    assert {os.path.basename(one["path"]) for one in done["files"]} == {
        "cache",
        "checkpoint",
        ".run.json.7.part",
        "heartbeat.json",
    }
    assert done["bytes"] == sum(one["bytes"] for one in done["files"]) > 1000
    assert {file.name: file.read_bytes() for file in run.path.rglob("*") if file.is_file()} == keeps
    assert asked("gc", str(tmp_path))["files"] == []


def test_gc_keeps_the_checkpoints_of_what_is_not_finished_or_not_whole(finished, tmp_path):
    run = RunDirectory(tmp_path / "run")
    subprocess.run(["cp", "-r", finished.path, run.path], check=True)
    run.update(status="stopped")
    assert asked("gc", str(tmp_path))["files"] == []
    run.update(status="finished")
    run.snapshot_file(4).unlink()
    assert asked("gc", str(tmp_path))["files"] == []
    assert list(run.checkpoint_folder.iterdir())


def test_gc_leaves_a_living_run_alone(finished, tmp_path):
    run = RunDirectory(tmp_path / "run")
    subprocess.run(["cp", "-r", finished.path, run.path], check=True)
    process = subprocess.Popen([sys.executable, "-c", HOLDS, str(run.path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "held\n"
        for words in ([], ["--dry-run"]):
            done = asked("gc", str(tmp_path), *words)
            assert (done["files"], done["held"]) == ([], [str(run.path)])
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert [one["path"] for one in asked("gc", str(tmp_path))["files"]]
