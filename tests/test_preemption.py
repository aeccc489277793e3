"""Being asked to stop: what a process says and returns, what a Slurm job does, and that nothing is lost."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import make_config
from safetensors.torch import load_file

from ssl_bench.launching.preemption import preemptible, progress
from ssl_bench.stopping import Stopped, asked, deferred, stoppable
from ssl_bench.training.pretraining import pretrain


@pytest.fixture(autouse=True)
def no_slurm(monkeypatch):
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)


def send(name):
    os.kill(os.getpid(), getattr(signal, name))


def run_at(folder, step, evaluated=0):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps({"progress": {"step": step}}))
    (folder / "evaluation.json").write_text(json.dumps({"snapshots": [{}] * evaluated}))


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Commands of Slurm that say what the test wants and remember what they were asked."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def make(state="RUNNING", requeue="exit 0", **environment):
        for name, script in (("squeue", f"echo {state}"), ("scontrol", requeue)):
            (folder / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/asked\n{script}\n')
            (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        monkeypatch.setenv("SLURM_JOB_ID", "42")
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return tmp_path / "asked"

    return make


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1", "SIGUSR2"])
def test_a_signal_ends_the_work_with_status_0_and_one_line(tmp_path, capfd, name):
    with pytest.raises(SystemExit) as end, preemptible(tmp_path):
        send(name)
    assert end.value.code == 0
    lines = capfd.readouterr().err.splitlines()
    assert lines == [f"ssl-bench: stopped by {name}; what is done is kept, and the same command goes on"]
    assert asked() is None, "a signal of before must not stop what comes after"


def test_deferred_work_looks_by_itself_and_is_stopped_at_its_end_at_the_latest():
    done = []

    def work():
        with deferred():
            send("SIGUSR1")
            done.append(asked())
        done.append("never")

    with pytest.raises(Stopped), stoppable():
        work()
    assert done == ["SIGUSR1"]


def test_handlers_are_as_they_were_afterwards():
    before = signal.getsignal(signal.SIGTERM)
    with stoppable():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_slurm_job_queues_itself_again(tmp_path, slurm, capfd):
    log = slurm()
    with pytest.raises(Stopped), preemptible(tmp_path):
        send("SIGTERM")
    assert "Slurm job 42 is queued again" in capfd.readouterr().err
    assert log.read_text().splitlines()[-1] == "scontrol requeue 42"


@pytest.mark.parametrize("state", ["COMPLETING", "CANCELLED", "PREEMPTED", ""])
def test_a_job_that_slurm_takes_away_is_left_to_slurm(tmp_path, slurm, capfd, state):
    log = slurm(state)
    with pytest.raises(Stopped), preemptible(tmp_path):
        send("SIGTERM")
    assert "in its own hands" in capfd.readouterr().err
    assert "scontrol" not in log.read_text()


def test_a_job_that_cannot_be_queued_again_says_so(tmp_path, slurm, capfd):
    slurm(requeue="echo requeue is disabled >&2; exit 1")
    with pytest.raises(Stopped), preemptible(tmp_path):
        send("SIGTERM")
    assert "could not be queued again: requeue is disabled" in capfd.readouterr().err


def test_a_restarted_job_without_progress_does_not_turn_in_circles(tmp_path, slurm, capfd):
    log = slurm(SLURM_RESTART_COUNT="1")
    run_at(tmp_path / "run", 10)
    with pytest.raises(Stopped), preemptible(tmp_path / "run"):
        send("SIGTERM")
    assert "did nothing since it was restarted" in capfd.readouterr().err
    assert not log.exists()


@pytest.mark.parametrize(("step", "evaluated"), [(11, 0), (10, 1)])
def test_a_restarted_job_that_got_further_queues_itself_again(tmp_path, slurm, capfd, step, evaluated):
    slurm(SLURM_RESTART_COUNT="1")
    run_at(tmp_path / "run", 10)

    def work():
        run_at(tmp_path / "run", step, evaluated)
        send("SIGTERM")

    with pytest.raises(Stopped), preemptible(tmp_path / "run"):
        work()
    assert "is queued again" in capfd.readouterr().err


def test_of_several_processes_the_first_speaks_and_queues(tmp_path, slurm, capfd):
    log = slurm(SLURM_PROCID="1")
    with pytest.raises(Stopped), preemptible(tmp_path):
        send("SIGTERM")
    assert capfd.readouterr().err == ""
    assert not log.exists()


def test_progress_of_a_comparison_is_that_of_its_runs(tmp_path):
    run_at(tmp_path / "runs" / "b", 5, 1)
    run_at(tmp_path / "runs" / "a", 3)
    (tmp_path / "runs" / "c").mkdir()
    assert progress(tmp_path) == [("a", 3, 0, 0), ("b", 5, 1, 0), ("c", 0, 0, 0)]
    assert progress(tmp_path / "runs" / "b") == [("b", 5, 1, 0)]
    assert progress(tmp_path / "absent") == []


def test_pretraining_that_is_stopped_saves_and_goes_on_to_the_same_weights(tmp_path, one_thread):
    config = make_config("objective=autoencoder", "training.epochs=25", "training.log_every=1")
    whole = pretrain(config, tmp_path / "whole")
    run = tmp_path / "cut"
    settings = whole.path / "config.yaml"
    command = [sys.executable, "-m", "ssl_bench", "pretrain", str(settings), "--out", str(run)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    end = time.monotonic() + 120
    while not (run / "snapshots" / "step_00000001.safetensors").exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.01)
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert "stopped by SIGTERM; what is done is kept" in said
    assert "Traceback" not in said
    record = json.loads((run / "run.json").read_text())
    assert record["status"] == "stopped"
    assert 0 < record["progress"]["step"] < 100
    done = pretrain(config, run)
    assert done.finished
    ours, theirs = (load_file(one.snapshot_file(100)) for one in (done, whole))
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        assert value.equal(theirs[key]), key
