"""Several processes: the same numbers as one, for every objective; each started and stopped as a user would."""

import errno
import importlib
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from conftest import make_config
from safetensors.torch import load_file

from campaigns import parity
from ssl_bench import processes
from ssl_bench.config import Config, identity, validate
from ssl_bench.data.augment_parameters import recipe_for, sample_parameters
from ssl_bench.errors import NotWritten, UserError
from ssl_bench.noise import make_noise
from ssl_bench.objectives import OBJECTIVES
from ssl_bench.objectives.base import Batch, Given
from ssl_bench.overrides import load_config
from ssl_bench.processes import Share
from ssl_bench.runs import lock
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.runs.lock import RunIsHeld
from ssl_bench.training.batches import BatchOrder
from ssl_bench.training.distributed import synchronise_norms
from ssl_bench.training.pretraining import pretrain

ROOT = Path(__file__).parent.parent
TWO = ["training.devices=2", "training.accelerator=cpu"]


def command(*words):
    return [sys.executable, "-m", "ssl_bench", *words]


def words_of(config_words, out):
    small = ["dataset=digits", "dataset.limit=300", "training.batch_size=64", "training.snapshots=4"]
    return ["pretrain", *small, "backbone.latent_dim=16", *config_words, "--out", str(out)]


pytestmark = pytest.mark.timeout(900)  # processes of their own, each of which imports torch


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    cases = [case for case in parity.CASES if case not in ("denoising", "simclr, noise views")]
    return parity.compare(tmp_path_factory.mktemp("parity"), cases, kinds=["float64"])


def test_every_objective_is_compared():
    trained = {name for name in OBJECTIVES if OBJECTIVES.get(name).trains}
    assert {parity.config_of(case, "ddp", 1).objective.name for case in parity.CASES} == trained


@pytest.mark.parametrize("strategy", parity.STRATEGIES)
def test_two_processes_train_as_one_does(found, strategy):
    rows = {name: row for name, row in found.items() if f", {strategy}, " in name}
    assert len(rows) == len(parity.CASES) - 2
    for name, row in rows.items():
        assert row["loss"] < 1e-6, name
        assert row["gradient"] < 1e-6, name
        assert row["weights"] < 1e-3, name


def test_two_processes_measure_what_one_does(found):
    assert found[parity.MEASURED] == {"measurements": 0.0}


@pytest.mark.parametrize("spec", ["gaussian(sigma=[0.2, 0.8])", "mask(ratio=0.5, patch=4)", "speckle(sigma=0.3)"])
@pytest.mark.parametrize("views", [1, 2])
def test_shares_of_a_noise_make_up_the_whole(spec, views):
    noise, images = make_noise(spec), torch.randn(views * 8, 3, 8, 8)
    whole = noise.sample(images, torch.Generator().manual_seed(1)).view(views, 8, 3, 8, 8)
    for rank in range(4):
        own = images.view(views, 4, 2, 3, 8, 8)[:, rank].flatten(0, 1)
        drawn = noise.sample_share(own, torch.Generator().manual_seed(1), Share(rank, 4), views)
        assert torch.equal(drawn.view(views, 2, 3, 8, 8), whole[:, 2 * rank : 2 * rank + 2])


def test_shares_of_view_parameters_make_up_the_whole():
    parameters = sample_parameters(recipe_for("simclr", 96), 12, (96, 96), torch.Generator().manual_seed(0))
    parts = [parameters.rows(Share(rank, 3).rows(2, views=2)) for rank in range(3)]
    for name in ("crop", "flip", "grayscale"):
        whole = getattr(parameters, name).view(2, 3, 2, -1)
        made = torch.stack([getattr(part, name).view(2, 2, -1) for part in parts], 1)
        assert torch.equal(made, whole)
    assert torch.equal(parts[1].jitter.factors.view(2, 2, 4), parameters.jitter.factors.view(2, 3, 2, 4)[:, 1])
    assert torch.equal(parts[2].blur.sigma.view(2, 2), parameters.blur.sigma.view(2, 3, 2)[:, 2])


def test_every_image_of_a_batch_belongs_to_one_process(monkeypatch):
    whole = BatchOrder(40, 12, seed=1, parts=2).indices(1)
    shares = []
    for rank in range(3):
        monkeypatch.setattr(processes, "count", lambda: 3)
        monkeypatch.setattr(processes, "rank", lambda rank=rank: rank)
        shares.append(BatchOrder(40, 12, seed=1, parts=2).indices(1).view(2, 2))
    assert torch.equal(torch.cat(shares, 1).flatten(), whole)


def test_how_many_share_a_run_is_no_part_of_it_unless_norms_see_their_own_images_alone():
    alone, shared = make_config(), make_config(*TWO, "training.strategy=fsdp")
    assert identity(alone) == identity(shared)
    apart = [make_config("training.sync_batchnorm=false", *more) for more in ([], TWO)]
    assert len({identity(alone), *map(identity, apart)}) == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["training.devices=3"], "a multiple of 3"),
        (["training.devices=2", "training.accumulate=64"], "a multiple of 128"),
        (["training.devices=2", "training.strategy=fsdp", "training.optimizer=lars"], "use training.strategy=ddp"),
        (["training.nodes=2"], "torchrun or srun"),
    ],
)
def test_what_cannot_be_shared_is_one_line(tmp_path, words, message):
    with pytest.raises(UserError, match=message):
        pretrain(make_config(*words), tmp_path / "run")


@pytest.mark.parametrize("killed_by", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_may_go_on_with_another_number_of_processes(tmp_path, killed_by):
    """Begun by two, ended by one: as if one had done it all, but for the order of sums. The two do not outlive ours."""
    words = ["training.epochs=30", "training.checkpoint_seconds=0", "training.log_every=1", "training.optimizer=sgd"]
    run = RunDirectory(tmp_path / "begun")
    with subprocess.Popen(command(*words_of([*words, *TWO], run.path)), stderr=subprocess.PIPE) as child:
        wait_until(lambda: child.poll() is not None or (run.metrics() and run.metrics()[-1]["step"] >= 2))
        child.send_signal(killed_by)
        message = child.communicate(timeout=300)[1].decode()
    assert child.returncode == (0 if killed_by == signal.SIGTERM else -killed_by), message
    wait_until(lambda: not lock.is_held(run.path))
    record = run.record()
    assert record["status"] == "stopped"
    assert 2 <= record["progress"]["step"] < 120
    config = validate(Config, load_config(None, words_of(words, run.path)[1:-2]))
    pretrain(config, run.path)
    pretrain(config, tmp_path / "alone")
    last = [list(RunDirectory(tmp_path / name).snapshots().values())[-1] for name in ("begun", "alone")]
    one, other = map(load_file, last)
    first = load_file(next(iter(run.snapshots().values())))
    weights = [name for name in one if name.endswith("weight")]
    apart = sum(float((one[name] - other[name]).square().sum()) for name in weights)
    way = sum(float((one[name] - first[name]).square().sum()) for name in weights)
    assert apart < 0.01 * way


def test_a_run_that_others_do_is_left_alone(tmp_path):
    config = make_config(*TWO)
    run = RunDirectory(tmp_path / "run")
    run.path.mkdir()
    with run.held(), pytest.raises(RunIsHeld, match="is being written by process"):
        pretrain(config, run.path)
    assert run.record()["status"] == "waiting"


def test_the_example_plugin_draws_as_one_process_would(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "plugin_package"))
    plugin = importlib.import_module("tiny_plugin")
    seen = []

    class Backbone(torch.nn.Module):
        info = SimpleNamespace(dim=1)

        def forward(self, images):
            seen.append(images)
            return SimpleNamespace(embedding=images.mean((1, 2, 3))[:, None])

    noise = make_noise("gaussian(sigma=0.5)")
    objective = plugin.TinyObjective.build(Backbone(), plugin.TinyOptions(), Given(classes=2, noise=noise))
    images = torch.randn(1, 6, 1, 8, 8)

    def step(part):
        objective.step(Batch(part, torch.zeros(part.shape[1])), torch.Generator().manual_seed(0))
        return seen.pop()

    whole = step(images)
    monkeypatch.setattr(plugin, "share", lambda: Share(1, 3))
    assert torch.equal(step(images[:, 2:4]), whole[2:4])


def test_a_full_disk_can_be_told_to_other_processes():
    error = NotWritten(Path("runs/one/run.json"), OSError(errno.ENOSPC, "No space left on device"))
    told = pickle.loads(pickle.dumps(error))
    assert (str(told), told.errno) == (str(error), errno.ENOSPC)


@pytest.mark.parametrize("options", [{}, {"affine": False}, {"track_running_stats": False}])
def test_a_synchronised_norm_of_one_process_is_the_plain_one(options):
    plain, synchronised = torch.nn.BatchNorm2d(3, **options), torch.nn.BatchNorm2d(3, **options)
    synchronise_norms(torch.nn.Sequential(synchronised), torch.device("cpu"))
    images = torch.randn(6, 3, 4, 4)
    for training in (True, False):
        plain.train(training)
        synchronised.train(training)
        assert torch.allclose(synchronised(images), plain(images), atol=1e-6)
    if plain.running_mean is not None:
        assert torch.allclose(synchronised.running_var, plain.running_var)


def wait_until(there, seconds=300.0):
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.1)


SBATCH = {"SLURM_JOB_ID": "4321", "SLURM_JOB_NAME": "trial", "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2"}
SRUN = {**SBATCH, "SLURM_STEP_NUM_TASKS": "2", "SLURM_NODELIST": "127.0.0.1", "SLURM_NODEID": "0"}


def test_a_script_of_sbatch_is_one_process(monkeypatch):
    for name, value in {**SBATCH, "SLURM_PROCID": "0"}.items():
        monkeypatch.setenv(name, value)
    assert processes.launched() == 1
    processes.join()
    assert processes.count() == 1


def test_tasks_of_srun_do_one_run_together(tmp_path):
    """In the environment that srun makes, without srun."""
    words = command(*words_of(["training.epochs=1", *TWO], tmp_path / "run"))
    tasks = [
        subprocess.Popen(
            words,
            env={**os.environ, **SRUN, "SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = [task.communicate(timeout=200) for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0], said
    assert "finished" in said[0][0]
    assert said[1][0] == ""
    assert RunDirectory(tmp_path / "run").finished
