"""Several processes: the same numbers as one, for every objective; each started and stopped as a user would."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from conftest import make_config
from safetensors.torch import load_file

from campaigns import parity
from ssl_bench import processes
from ssl_bench.config import Config, identity, validate
from ssl_bench.data.augment_parameters import recipe_for, sample_parameters
from ssl_bench.errors import UserError
from ssl_bench.noise import make_noise
from ssl_bench.objectives import OBJECTIVES
from ssl_bench.overrides import load_config
from ssl_bench.processes import Share
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.training.batches import BatchOrder
from ssl_bench.training.pretraining import pretrain

ROOT = Path(__file__).parent.parent
TWO = ["training.devices=2", "training.accelerator=cpu"]


def command(*words):
    return [sys.executable, "-m", "ssl_bench", *words]


def words_of(config_words, out):
    small = ["dataset=digits", "dataset.limit=300", "training.batch_size=64", "training.snapshots=4"]
    return ["pretrain", *small, "backbone.latent_dim=16", *config_words, "--out", str(out)]


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


def test_a_run_may_go_on_with_another_number_of_processes(tmp_path):
    """Begun by two, ended by one: as if one had done it all, but for the order of sums."""
    words = ["training.epochs=2", "training.checkpoint_seconds=0", "training.log_every=1", "training.optimizer=sgd"]
    begun = tmp_path / "begun"
    with subprocess.Popen(command(*words_of([*words, *TWO], begun)), stderr=subprocess.PIPE) as child:
        run = RunDirectory(begun)
        wait_until(lambda: child.poll() is not None or (run.metrics() and run.metrics()[-1]["step"] >= 2))
        child.send_signal(signal.SIGTERM)
        message = child.communicate(timeout=100)[1].decode()
    assert child.returncode == 0, message
    assert RunDirectory(begun).record()["status"] in ("stopped", "finished")
    config = validate(Config, load_config(None, words_of(words, begun)[1:-2]))
    pretrain(config, begun)
    pretrain(config, tmp_path / "alone")
    one, other = (
        load_file(list(RunDirectory(tmp_path / name).snapshots().values())[-1]) for name in ("begun", "alone")
    )
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.allclose(value.double(), other[name].double(), atol=5e-3), name


def wait_until(there, seconds=90.0):
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.1)
