import errno
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import make_config

from ssl_bench.errors import NotWritten, UserError
from ssl_bench.runs import lock
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.runs.lock import RunIsHeld

HOLDS = """
import sys, time
from pathlib import Path
from ssl_bench.runs.lock import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLDS, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_writer_is_told_who_is_the_first(tmp_path, holder):
    run = RunDirectory(tmp_path / "run")
    with pytest.raises(RunIsHeld, match=rf"written by process {holder.pid} on \S+ \(last sign of life \d+ s ago\)"):
        run.held().__enter__()
    assert issubclass(RunIsHeld, UserError)
    assert run.state() == "running"


def test_a_killed_writer_holds_nothing(tmp_path, holder):
    run = RunDirectory(tmp_path / "run")
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with run.held():
        assert lock.is_held(run.path)
        with run.held():
            pass
        assert lock.is_held(run.path), "the inner one gives nothing back"
    assert not lock.is_held(run.path)
    assert not (run.path / "heartbeat.json").exists()


def test_a_stopped_writer_is_slow_and_not_dead(tmp_path, holder):
    holder.send_signal(signal.SIGSTOP)
    try:
        (tmp_path / "run" / "heartbeat.json").unlink(missing_ok=True)
        assert RunDirectory(tmp_path / "run").state() == "running"
        with pytest.raises(RunIsHeld, match="another process"):
            RunDirectory(tmp_path / "run").held().__enter__()
    finally:
        holder.send_signal(signal.SIGCONT)


def test_clocks_that_jump_kill_nobody(tmp_path, monkeypatch):
    run, real = RunDirectory(tmp_path), time.time
    with run.held():
        for jump in (-86_400, 86_400):
            monkeypatch.setattr(time, "time", lambda jump=jump: real() + jump)
            assert run.state() == "running"
            assert lock.read_heartbeat(tmp_path).age < 10


def test_where_a_lock_is_not_seen_a_heartbeat_is(tmp_path):
    now = {"host": "elsewhere", "pid": 7, "time": time.time() - 30, "boot": "another", "uptime": 5.0}
    (tmp_path / "heartbeat.json").write_text(json.dumps(now))
    assert lock.is_held(tmp_path)
    assert 29 < lock.read_heartbeat(tmp_path).age < 40
    (tmp_path / "heartbeat.json").write_text(json.dumps({**now, "time": time.time() - 1000}))
    assert not lock.is_held(tmp_path)
    (tmp_path / "heartbeat.json").write_text(json.dumps({**now, "host": os.uname().nodename}))
    assert not lock.is_held(tmp_path), "on its own host, the lock is always seen"
    (tmp_path / "heartbeat.json").write_text('{"host": ')
    assert not lock.is_held(tmp_path)


def test_states(tmp_path):
    run = RunDirectory(tmp_path / "run")
    assert run.state() == "waiting"
    with run.held():
        assert run.state() == "running"
        run.claim(make_config())
        assert run.state() == "running"
    assert run.state() == "waiting"
    run.update(status="running")
    assert run.state() == "dead"
    for status in ("waiting", "stopped", "failed", "finished"):
        run.update(status=status)
        assert run.state() == status
        with run.held():
            assert run.state() == ("finished" if status == "finished" else "running")
    run.record_file.write_text("{")
    assert run.state() == "dead"


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match=r"thesis\.txt"):
        RunDirectory(tmp_path).held().__enter__()
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_folder_that_may_not_be_written_to_is_named(tmp_path, monkeypatch):
    def refuses(self):
        raise OSError(errno.EROFS, "Read-only file system", str(self.lock_file))

    monkeypatch.setattr(lock.FileLock, "acquire", refuses)
    with pytest.raises(NotWritten, match=r"run could not be written: Read-only file system\. What is finished is kept"):
        RunDirectory(tmp_path / "run").held().__enter__()
