"""Runs as jobs of Slurm, without one: commands that say what a test wants. ``scripts/test-slurm`` tries a real one."""

import builtins
import os
import re
import signal
import sys
from types import SimpleNamespace

import pytest
import submitit
from rich.console import Console
from test_launching import holder, planned

from ssl_bench.completing import is_complete
from ssl_bench.config import TrainingConfig
from ssl_bench.errors import UserError
from ssl_bench.launching import slurm, submitting
from ssl_bench.launching.batches import Batch, forget, keep, new_batch, remembered
from ssl_bench.launching.display import Display
from ssl_bench.launching.queue import Job, QueueIsSilent, read_queue
from ssl_bench.launching.settings import LauncherConfig
from ssl_bench.launching.slurm import TRIES, Watch, run_by_slurm
from ssl_bench.launching.submitting import do_run, submit
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.stopping import Stopped, stoppable


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Commands of Slurm, each a line of shell; what they are asked is kept in ``asked``."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def make(**scripts):
        for name, script in {"srun": "exit 1", "squeue": "exit 0", "sbatch": "exit 1", **scripts}.items():
            (folder / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/asked\n{script}\n')
            (folder / name).chmod(0o755)
        return tmp_path / "asked"

    return make


class Cluster:
    """A queue that does what a test says, and remembers what was submitted."""

    def __init__(self, monkeypatch, settling=0.0):
        self.jobs, self.submitted = {}, []
        monkeypatch.setattr(slurm, "submit", self.submit)
        monkeypatch.setattr(slurm, "SETTLING", settling)

    def submit(self, folder, runs, settings, size):
        number = str(len(self.submitted) + 1)
        names = [run.name for run in runs]
        batch = keep(folder, Batch(f"ssl-bench-{number}", tuple(names), number))
        self.submitted.append(names)
        for name in names:
            self.set(batch.job_id(name), "PENDING")
        return [batch]

    def set(self, job, state):
        self.jobs[job] = Job(job, state, "name")


@pytest.fixture
def cluster(monkeypatch):
    return Cluster(monkeypatch)


def watch(plan):
    return Watch(plan, Display(plan, None, Console(stderr=True), live=False))


def finish(run):
    do_run(str(run.path))
    assert is_complete(run)


def step(run, number):
    run.update(progress={"step": number})


def test_each_missing_run_is_submitted_once_whoever_watches(tmp_path, cluster):
    plan = planned(tmp_path / "out", "seed=[0,1]")
    names = [plan.run(config).path.name for config in plan.main]
    first = watch(plan)
    assert first.look(cluster.jobs)
    assert cluster.submitted == [names]
    cluster.set("1_0", "RUNNING")
    assert first.look(cluster.jobs)
    assert watch(plan).look(cluster.jobs), "another process finds the jobs of the one before"
    assert cluster.submitted == [names]
    assert first.line == "2 runs: 0 done, 1 running, 1 waiting"
    more = planned(tmp_path / "out", "seed=[0,1,2]")
    assert watch(more).look(cluster.jobs)
    assert cluster.submitted == [names, [more.run(more.main[2]).path.name]]


def test_complete_runs_need_no_job_and_when_all_are_there_is_nothing_to_wait_for(tmp_path, cluster):
    plan = planned(tmp_path / "out", "training.epochs=0")
    finish(plan.run(plan.main[0]))
    assert not watch(plan).look(cluster.jobs)
    assert cluster.submitted == []


def test_a_job_that_was_cut_off_is_followed_by_another_as_long_as_it_gets_further(tmp_path, cluster, capfd):
    plan = planned(tmp_path / "out")
    run, looker = plan.run(plan.main[0]), watch(plan)
    looker.look(cluster.jobs)
    for number in range(1, 4):
        step(run, number)
        cluster.set(str(number), "FAILED")
        assert looker.look(cluster.jobs)
        assert len(cluster.submitted) == number + 1
    for vain in range(TRIES):
        assert run.record()["error"] is None
        cluster.set(str(4 + vain), "NODE_FAIL")
        looker.look(cluster.jobs)
    assert len(cluster.submitted) == 3 + TRIES
    error = run.record()["error"]
    assert "Slurm job 5 ended (NODE_FAIL) without getting any further: see" in error
    assert "jobs/5_0_log.err" in error
    assert error in capfd.readouterr().err
    assert not looker.look(cluster.jobs)
    assert watch(plan).look(cluster.jobs), "the same command tries again"
    assert run.record()["error"] is None


@pytest.mark.parametrize(
    ("state", "error"), [("CANCELLED", "Slurm job 1 was cancelled"), ("FAILED", "the loss became nan")]
)
def test_what_was_cancelled_or_failed_by_itself_is_not_submitted_again(tmp_path, cluster, state, error):
    plan = planned(tmp_path / "out")
    run, looker = plan.run(plan.main[0]), watch(plan)
    looker.look(cluster.jobs)
    step(run, 5)
    run.update(error=None if state == "CANCELLED" else "the loss became nan")
    cluster.set("1", state)
    assert not looker.look(cluster.jobs)
    assert run.record()["error"] == error
    assert len(cluster.submitted) == 1


def test_a_job_that_just_ended_is_given_time_to_be_seen(tmp_path, monkeypatch):
    cluster = Cluster(monkeypatch, settling=1000)
    plan = planned(tmp_path / "out")
    looker = watch(plan)
    looker.look(cluster.jobs)
    cluster.set("1", "COMPLETED")
    assert looker.look(cluster.jobs)
    assert len(cluster.submitted) == 1
    cluster.set("1", "PENDING")
    looker.look(cluster.jobs)
    assert looker.ended == {}, "it was queued again"


def test_a_run_that_another_process_does_gets_no_job(tmp_path, cluster):
    plan = planned(tmp_path / "out")
    other = holder(plan.run(plan.main[0]))
    try:
        assert watch(plan).look(cluster.jobs)
        assert cluster.submitted == []
    finally:
        other.communicate("", timeout=20)
    assert watch(plan).look(cluster.jobs)
    assert len(cluster.submitted) == 1


def test_a_queue_that_is_silent_is_asked_again(tmp_path, cluster, monkeypatch, capfd):
    looker = watch(planned(tmp_path / "out"))
    looker.look(cluster.jobs)

    def silent():
        raise QueueIsSilent("squeue failed: Unable to contact slurm controller")

    monkeypatch.setattr(slurm, "read_queue", silent)
    monkeypatch.setattr(slurm, "time", SimpleNamespace(sleep=lambda _: None, monotonic=lambda: 0))
    assert looker.wait(cluster.jobs) == cluster.jobs
    assert "Unable to contact slurm controller; asked again in 4 s" in capfd.readouterr().err


def test_whoever_stops_waiting_leaves_the_jobs_and_says_how_to_end_them(
    tmp_path, cluster, commands, monkeypatch, capfd
):
    commands()

    def sleep(_):
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(slurm, "time", SimpleNamespace(sleep=sleep, monotonic=lambda: 0))
    plan = planned(tmp_path / "out", "seed=[0,1]")
    with pytest.raises(Stopped), stoppable():
        run_by_slurm(plan)
    assert "the Slurm jobs go on without this command; 'scancel 1' would end them" in capfd.readouterr().err


def test_the_queue_as_squeue_prints_it(commands):
    asked = commands(squeue=r"printf '7|RUNNING|a\n12_3|PENDING|b|c\n8|CANCELLED|d\n'")
    queue = read_queue()
    assert queue["12_3"] == Job("12_3", "PENDING", "b|c")
    assert [job.ended for job in queue.values()] == [False, False, True]
    assert [job.waits for job in queue.values()] == [False, True, False]
    assert "--array" in asked.read_text()
    commands(squeue="echo no controller >&2; exit 1")
    with pytest.raises(QueueIsSilent, match="no controller"):
        read_queue()


def test_a_batch_submitted_by_who_was_killed_before_it_knew_the_job_is_found_by_its_name(tmp_path):
    batch = new_batch(tmp_path, ["a", "b"])
    queue = {"9_0": Job("9_0", "RUNNING", batch.name), "8": Job("8", "RUNNING", "another")}
    assert [one.job_id("b") for one in remembered(tmp_path, queue)] == ["9_1"]
    assert remembered(tmp_path, {})[0].id == "9", "and remembered"
    never = new_batch(tmp_path, ["c"])
    assert [one.name for one in remembered(tmp_path, queue)] == [batch.name]
    assert not (tmp_path / f"{never.name}.json").exists()
    forget(tmp_path, batch)
    assert remembered(tmp_path, queue) == []
    assert Batch("one", ("a",), "5").job_id("a") == "5"


def test_what_is_submitted_asks_for_what_the_settings_say(tmp_path, commands, monkeypatch):
    commands(sbatch=f"env | grep ^SLURM_ > {tmp_path}/env; cp $1 {tmp_path}/script; echo Submitted batch job 31")
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("SLURM_CONF", "/some/where")
    settings = LauncherConfig(
        partition="gpu",
        minutes=90,
        notice=300,
        gpus=1,
        cpus=8,
        memory="64GB",
        at_once=3,
        container="apptainer exec --nv s.sif",
        python="python",
        srun=("--mpi=none",),
        setup=("module load cuda",),
        sbatch={"account": "vision"},
    )
    runs = [tmp_path / "a", tmp_path / "b"]
    (batch,) = submit(tmp_path / "jobs", runs, settings, TrainingConfig(nodes=2, devices=4))
    assert [batch.job_id("a"), batch.job_id("b")] == ["31_0", "31_1"]
    script = (tmp_path / "script").read_text()
    flags = dict(re.findall(r"^#SBATCH --([a-z-]+)(?:=(.*))?$", script, flags=re.MULTILINE))
    wanted = {
        "partition": "gpu",
        "time": "90",
        "signal": "USR2@300",
        "nodes": "2",
        "ntasks-per-node": "4",
        "gpus-per-node": "4",
        "cpus-per-task": "8",
        "mem": "64GB",
        "array": "0-1%2",
        "account": "vision",
        "requeue": "",
    }
    assert {key: flags.get(key) for key in wanted} == wanted
    assert script.index("module load cuda") < script.index("srun")
    assert "--mpi=none apptainer exec --nv s.sif python -u -m submitit.core._submit" in script
    assert (tmp_path / "env").read_text() == "SLURM_CONF=/some/where\n"
    assert os.environ["SLURM_JOB_ID"] == "1"


def test_what_slurm_refuses_is_one_line_and_not_remembered(tmp_path, commands):
    commands(sbatch="echo 'sbatch: error: invalid partition specified: gpuu' >&2; exit 1")
    with pytest.raises(UserError, match=r"^Slurm refused the jobs: sbatch: error: invalid partition specified: gpuu$"):
        submit(tmp_path / "jobs", [tmp_path / "a"], LauncherConfig(), TrainingConfig())
    assert remembered(tmp_path / "jobs", {}) == []


def test_without_submitit_or_slurm_it_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="there is no sbatch here"):
        submitting.check_slurm()
    original = builtins.__import__

    def without(name, *rest):
        if name == "submitit":
            raise ImportError(name)
        return original(name, *rest)

    monkeypatch.delitem(sys.modules, "submitit")
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"pip install 'ssl-bench\[slurm\]'"):
        submitting.check_slurm()


def test_a_job_does_a_run_as_submitit_starts_it(tmp_path):
    plan = planned(tmp_path / "out", "training.epochs=0")
    run = plan.run(plan.main[0])
    submitit.DebugExecutor(folder=tmp_path / "jobs").submit(do_run, str(run.path)).result()
    assert is_complete(RunDirectory(run.path))
