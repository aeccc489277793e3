"""Who does the runs of a comparison: this process, processes beside it, whoever runs the printed lines."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from types import SimpleNamespace

import pytest
from test_comparison import raw

from ssl_bench import comparison, completing
from ssl_bench.comparison import compare
from ssl_bench.completing import complete, is_complete
from ssl_bench.errors import UserError
from ssl_bench.launching import in_turn, side_by_side
from ssl_bench.launching.commands import commands
from ssl_bench.launching.side_by_side import Gpus
from ssl_bench.planning import make_plan
from ssl_bench.runs.lock import RunIsHeld
from ssl_bench.shelf import Shelf
from ssl_bench.stopping import Stopped, stoppable

ONE = ["objective=autoencoder", "baselines=[]"]


@pytest.fixture
def same_threads(one_thread, monkeypatch):
    """Results depend on the number of threads in the last digits."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def planned(out, *words):
    return make_plan(raw(*ONE, *words), out, Shelf())


def numbers(summary):
    return [{key: value for key, value in row.items() if key != "seconds"} for row in summary["runs"]]


def holder(run):
    """A process that holds a run until it is told to go."""
    program = f"""
        import sys
        from pathlib import Path
        from ssl_bench.runs.lock import held
        with held(Path({str(run.path)!r})):
            print("held", flush=True)
            sys.stdin.read()
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    return process


def worker(tmp_path, monkeypatch, script):
    """Let a shell script stand for the processes that do runs; its last argument is the run."""
    program = tmp_path / "worker"
    program.write_text(f"#!/bin/sh\nfor run; do :; done\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(side_by_side.sys, "executable", str(program))


def test_planned_runs_wait_with_their_configuration_and_are_missing_until_they_are_complete(tmp_path):
    plan = planned(tmp_path / "out", "seed=[0,1]")
    runs = [plan.run(config) for config in plan.every()]
    assert [run.state() for run in runs] == ["waiting", "waiting"]
    assert [run.config() for run in runs] == plan.main
    complete(runs[0].path)
    assert [is_complete(run) for run in runs] == [True, False]
    assert plan.missing() == [plan.main[1]]
    asked_more = planned(tmp_path / "out", "seed=0", "analysis.bands=4")
    assert asked_more.missing() == asked_more.main


def test_the_lines_do_the_runs_and_compare_gathers(tmp_path, monkeypatch):
    out = tmp_path / "a folder"
    lines = compare(raw(*ONE, "seed=[0,1]"), out, "commands")["commands"]
    assert len(lines) == 2
    assert not (out / "summary.json").exists()
    done = subprocess.run(lines[0], shell=True, capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stderr
    assert compare(raw(*ONE, "seed=[0,1]"), out, "commands")["commands"] == lines[1:]
    monkeypatch.setattr(completing, "evaluate", lambda *_: pytest.fail("measured already"))
    assert compare(raw(*ONE, "seed=0"), out)["runs"][0]["status"] == "finished"


def test_a_run_on_several_hosts_is_a_line_for_torchrun_on_each(tmp_path):
    plan = planned(
        tmp_path / "out", "training.devices=2", "training.nodes=2", "launcher.container=apptainer exec s.sif"
    )
    line = commands(plan)[0]
    assert "apptainer exec s.sif" in line
    assert "-m torch.distributed.run --nnodes=2 --nproc-per-node=2" in line
    assert line.endswith(f"-m ssl_bench runs do {plan.run(plan.main[0]).path}")


def test_side_by_side_gives_what_one_after_another_gives(tmp_path, same_threads, capfd):
    words = [*ONE, "seed=[0,1]"]
    assert numbers(compare(raw(*words), tmp_path / "two", jobs=2)) == numbers(compare(raw(*words), tmp_path / "one"))
    log = next((tmp_path / "two" / "runs").glob("*/log.txt"))
    assert "finished" in log.read_text()


def test_a_process_that_dies_is_recorded_with_its_last_words_and_the_others_go_on(tmp_path, monkeypatch):
    worker(tmp_path, monkeypatch, 'echo "out of luck"; case "$run" in *seed0*) kill -9 $$;; esac; exit 3')
    plan = planned(tmp_path / "out", "seed=[0,1]")
    side_by_side.run_side_by_side(plan, 2)
    errors = [plan.run(config).record()["error"] for config in plan.main]
    assert errors == [
        "its process was killed by signal 9: out of luck",
        "its process ended with status 3: out of luck",
    ]


def test_so_many_at_once_and_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(side_by_side, "POLL", 0.01)
    log = tmp_path / "log"
    worker(tmp_path, monkeypatch, f"echo start >> {log}; sleep 0.3; echo end >> {log}")
    side_by_side.run_side_by_side(planned(tmp_path / "out", "seed=[0,1,2,3]"), 2)
    running, most = 0, 0
    for line in log.read_text().splitlines():
        running += 1 if line == "start" else -1
        most = max(most, running)
    assert (running, most) == (0, 2)


def test_a_signal_is_passed_on_and_all_are_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(side_by_side, "POLL", 0.01)
    trap = f"trap 'sleep 0.3; echo saved >> {tmp_path}/saved; exit 0' TERM"
    worker(tmp_path, monkeypatch, f"{trap}; touch $run/started; while :; do sleep 0.05; done")
    plan = planned(tmp_path / "out", "seed=[0,1,2]")
    started = [plan.run(config).path / "started" for config in plan.main[:2]]

    def settle(_):
        if all(file.exists() for file in started):
            os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)

    monkeypatch.setattr(side_by_side, "time", SimpleNamespace(sleep=settle))
    with pytest.raises(Stopped) as stop, stoppable():
        side_by_side.run_side_by_side(plan, 2)
    assert (stop.value.why, stop.value.code) == ("SIGTERM", 0)
    assert (tmp_path / "saved").read_text() == "saved\nsaved\n"
    assert not (plan.run(plan.main[2]).path / "started").exists()


def test_a_run_that_another_process_does_is_left_to_it(tmp_path, monkeypatch, capfd):
    plan = planned(tmp_path / "out", "seed=[0,1]")
    first = plan.run(plan.main[0])
    other = holder(first)
    with pytest.raises(RunIsHeld, match=str(other.pid)):
        complete(first.path)
    assert first.record().get("error") is None

    def waited(_):
        assert is_complete(plan.run(plan.main[1])), "what nobody does is done first"
        other.communicate("", timeout=20)

    monkeypatch.setattr(in_turn, "time", SimpleNamespace(sleep=waited))
    in_turn.run_in_turn(plan, Shelf())
    assert plan.missing() == []
    assert f"process {other.pid}" in capfd.readouterr().err


def test_side_by_side_waits_for_other_processes(tmp_path, monkeypatch, capfd):
    plan = planned(tmp_path / "out")
    run = plan.run(plan.main[0])
    other = holder(run)
    worker(tmp_path, monkeypatch, "touch $run/started")
    looks = []

    def sleep(_):
        looks.append((run.path / "started").exists())
        if len(looks) == 3:
            other.communicate("", timeout=20)

    monkeypatch.setattr(side_by_side, "time", SimpleNamespace(sleep=sleep))
    side_by_side.run_side_by_side(plan, 2)
    assert looks[:3] == [False] * 3
    assert (run.path / "started").exists()
    assert "waiting for other processes" in capfd.readouterr().err


def test_gpus_are_dealt_out_evenly(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    pool = Gpus()
    first, second = pool.take(2), pool.take(2)
    assert (first, second) == (["4", "5"], ["6", "4"])
    pool.give_back(first)
    assert pool.take(2) == ["5", "4"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(side_by_side.torch.cuda, "device_count", lambda: 0)
    assert Gpus().take(2) == []


@pytest.mark.parametrize(
    ("launcher", "jobs", "message"),
    [("slrm", 1, "did you mean 'slurm'"), ("slurm", 2, "leave it out"), ("local", 0, "1 or more")],
)
def test_a_launcher_that_is_none_is_a_mistake(tmp_path, launcher, jobs, message):
    with pytest.raises(UserError, match=message):
        compare(raw(*ONE), tmp_path / "out", launcher, jobs)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("how", [("slurm", 1), ("local", 2)])
def test_who_starts_processes_is_not_started_as_several(tmp_path, monkeypatch, how):
    monkeypatch.setattr(comparison.processes, "launched", lambda: 2)
    with pytest.raises(UserError, match="start it without torchrun or srun"):
        compare(raw(*ONE), tmp_path / "out", *how)
    assert not (tmp_path / "out").exists()


def test_a_job_with_a_gpu_is_resolved_as_one_wherever_it_is_planned(tmp_path):
    words = raw(*ONE, "launcher.gpus=1", "training.accelerator=gpu")
    plan = make_plan(words, tmp_path / "out", Shelf(), "slurm")
    assert plan.main[0].training.precision == "bf16-mixed"
    with pytest.raises(UserError, match="sees no GPU here"):
        make_plan(raw(*ONE, "training.accelerator=gpu"), tmp_path / "other", Shelf(), "slurm")
    json.dumps(plan.launcher.model_dump(mode="json"))
