import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import wandb
from conftest import make_config
from lightly.utils import lars as lightly_lars
from safetensors.torch import load_file

from ssl_bench import resolve as resolving
from ssl_bench.config import Config, WandbConfig, validate
from ssl_bench.data.load import load_dataset
from ssl_bench.errors import UserError
from ssl_bench.objectives.autoencoder import Autoencoder
from ssl_bench.overrides import load_config
from ssl_bench.resolve import resolve
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.seeds import derive_seed
from ssl_bench.training import loop, pretraining
from ssl_bench.training.batches import BatchOrder
from ssl_bench.training.failure import TrainingFailed
from ssl_bench.training.lars import LARS
from ssl_bench.training.observers import WandbMirror
from ssl_bench.training.pretraining import build_objective, pretrain
from ssl_bench.training.running_statistics import RunningStatistics
from ssl_bench.training.schedule import learning_rate_factor, snapshot_steps

OBJECTIVES = [
    ["objective=autoencoder", "backbone=resnet_micro"],
    ["objective=denoising", "backbone=vit_micro", "noise=mask(ratio=0.5, patch=2)"],
    ["objective=mae", "backbone=vit_micro"],
    ["objective=simclr", "backbone=resnet_micro", "views.noise=gaussian(sigma=0.3)"],
    ["objective=supervised", "backbone=resnet_micro"],
]


class Killed(BaseException):
    """Stands for a kill: nothing in the harness may catch it."""


def weights(run: RunDirectory):
    return {step: load_file(file) for step, file in run.snapshots().items()}


def assert_same_weights(one, other):
    assert list(one) == list(other)
    for step in one:
        assert all(torch.equal(one[step][name], other[step][name]) for name in one[step]), f"step {step} differs"


def deterministic_metrics(run):
    return [row for row in run.metrics() if row["name"] != "images_per_second"]


@pytest.mark.parametrize("overrides", OBJECTIVES, ids=lambda words: words[0].removeprefix("objective="))
@pytest.mark.parametrize("killed_at", [1, 5])
def test_resumed_is_bit_equal_to_undisturbed(tmp_path, monkeypatch, overrides, killed_at):
    config = make_config(
        *overrides, "training.checkpoint_seconds=0", "training.log_every=2", "training.deterministic=true"
    )
    whole = pretrain(config, tmp_path / "whole")
    original = loop.Trainer.step

    def dies(self, step):
        if step == killed_at:
            raise Killed
        return original(self, step)

    monkeypatch.setattr(loop.Trainer, "step", dies)
    with pytest.raises(Killed):
        pretrain(config, tmp_path / "cut")
    assert not RunDirectory(tmp_path / "cut").finished
    monkeypatch.setattr(loop.Trainer, "step", original)
    resumed = pretrain(config, tmp_path / "cut")
    assert_same_weights(weights(whole), weights(resumed))
    assert deterministic_metrics(whole) == deterministic_metrics(resumed)


@pytest.mark.parametrize("optimizer", ["sgd", "lars"])
def test_other_optimizers_resume_too(tmp_path, monkeypatch, optimizer):
    test_resumed_is_bit_equal_to_undisturbed(
        tmp_path, monkeypatch, ["objective=autoencoder", f"training.optimizer={optimizer}"], 5
    )


def test_the_run_directory_follows_the_contract(tmp_path):
    run = pretrain(make_config(), tmp_path / "run")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["status"] == "finished"
    assert record["total_steps"] == 8
    assert {"id", "versions", "git", "hardware", "backbone", "timings", "dataset"} <= set(record)
    assert record["backbone"]["adaptation"]["stem"] == "3x3 convolution, stride 1"
    steps = sorted(run.snapshots())
    assert steps[0] == 0
    assert steps[-1] == 8
    for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines():
        assert set(json.loads(line)) == {"step", "samples_seen", "epoch", "name", "value"}
    again = resolve(run.config(), load_dataset(run.config().dataset))
    assert again == run.config(), "running config.yaml again gives this run"


def test_a_finished_run_is_left_alone(tmp_path):
    run = pretrain(make_config(), tmp_path / "run")
    before = {file: file.stat().st_mtime_ns for file in run.path.rglob("*") if file.is_file()}
    pretrain(make_config(), tmp_path / "run")
    assert before == {file: file.stat().st_mtime_ns for file in run.path.rglob("*") if file.is_file()}


def test_a_directory_belongs_to_one_configuration(tmp_path):
    pretrain(make_config(), tmp_path / "run")
    with pytest.raises(UserError, match=r"another configuration \(training.epochs is 2 there, 3 here\)"):
        pretrain(make_config("training.epochs=3"), tmp_path / "run")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match=r"thesis\.txt"):
        pretrain(make_config(), tmp_path / "full")
    assert [file.name for file in (tmp_path / "full").iterdir()] == ["thesis.txt"]


def test_a_loss_that_is_no_number_stops_the_run(tmp_path, monkeypatch):
    original = Autoencoder.step

    def breaks(self, batch, generator):
        output = original(self, batch, generator)
        return type(output)(output.loss * float("nan"))

    monkeypatch.setattr(Autoencoder, "step", breaks)
    with pytest.raises(TrainingFailed, match="loss became nan"):
        pretrain(make_config(), tmp_path / "run")
    run = RunDirectory(tmp_path / "run")
    assert run.record()["status"] == "failed"
    assert "learning_rate" in run.record()["error"]
    assert sorted(run.snapshots()) == [0], "no snapshot of broken weights"
    monkeypatch.setattr(Autoencoder, "step", original)
    assert pretrain(make_config(), tmp_path / "run").record()["status"] == "finished"


def test_a_metrics_line_cut_off_by_a_kill_is_forgotten(tmp_path):
    run = pretrain(make_config(), tmp_path / "run")
    rows = run.metrics()
    with run.metrics_file.open("a") as handle:
        handle.write('{"step": 9, "samp')
    assert run.metrics() == rows
    size = len(run.metrics_file.read_text().splitlines(keepends=True)[0])
    run.cut_metrics(size)
    assert run.metrics() == rows[:1]
    run.cut_metrics(0)
    assert run.metrics() == []


def test_all_objectives_of_a_seed_start_from_the_same_backbone():
    data = load_dataset(make_config().dataset)
    starts = []
    for words in (["objective=autoencoder"], ["objective=simclr"], ["objective=denoising", "training.epochs=3"]):
        config = resolve(make_config(*words), data)
        starts.append(build_objective(config, data).backbone.state_dict())
    other = build_objective(resolve(make_config("seed=1"), data), data).backbone.state_dict()
    for start in starts[1:]:
        assert all(torch.equal(start[name], starts[0][name]) for name in start)
    assert not all(torch.equal(other[name], starts[0][name]) for name in other)


def test_the_schedule():
    factors = [learning_rate_factor(step, 100, 0.1) for step in range(100)]
    assert factors[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert factors[10] == pytest.approx(1.0)
    assert factors[55] == pytest.approx(0.5)
    assert all(later <= earlier for earlier, later in itertools.pairwise(factors[10:]))
    assert 0 < factors[-1] < 0.01
    assert learning_rate_factor(0, 1, 0.0) == 1.0


@pytest.mark.parametrize(("total", "count"), [(0, 12), (1, 12), (10, 12), (390, 12), (100_000, 20), (7, 3)])
def test_snapshot_steps(total, count):
    steps = snapshot_steps(total, count)
    assert steps == sorted(set(steps))
    assert steps[0] == 0
    assert steps[-1] == total
    assert len(steps) <= count
    if total == 100_000:
        # Log-spaced: equal ratios, up to the rounding of small steps.
        ratios = [later / earlier for earlier, later in itertools.pairwise(steps) if earlier > 20]
        assert max(ratios) / min(ratios) < 1.05


def test_each_image_is_seen_at_most_once_an_epoch():
    order = BatchOrder(103, 10, seed=3)
    first = torch.cat([order.indices(step) for step in range(10)])
    second = torch.cat([order.indices(step) for step in range(10, 20)])
    assert len(set(first.tolist())) == len(set(second.tolist())) == 100
    assert not torch.equal(first, second)
    assert torch.equal(order.indices(3), BatchOrder(103, 10, seed=3).indices(3))


def test_accumulated_gradients_are_those_of_the_whole_batch(tmp_path):
    # A backbone without batch statistics: those of a part are not those of the whole.
    whole = pretrain(make_config("backbone=vit_micro"), tmp_path / "whole")
    parts = pretrain(make_config("backbone=vit_micro", "training.accumulate=4"), tmp_path / "parts")
    one, other = weights(whole)[8], weights(parts)[8]
    assert all(torch.allclose(one[name], other[name], atol=1e-4) for name in one)


def test_lars_is_lightlys_to_the_bit():
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(4, 3, generator=generator), torch.zeros(2, 2), torch.randn(5, generator=generator)]
    ours, theirs = ([torch.nn.Parameter(weight.clone()) for weight in start] for _ in range(2))
    optimizers = []
    for chosen, weights in ((LARS, ours), (lightly_lars.LARS, theirs)):
        groups = [{"params": weights[:2], "weight_decay": 1e-2}, {"params": weights[2:], "weight_decay": 0.0}]
        optimizers.append(chosen(groups, lr=0.3, momentum=0.9))
    for step in range(4):
        for one, other in zip(ours, theirs, strict=True):
            # A weight without gradient, and one of length zero, are not scaled.
            gradient = torch.zeros_like(one) if step == 1 else torch.randn(one.shape, generator=generator)
            one.grad, other.grad = gradient, gradient.clone()
        for optimizer in optimizers:
            optimizer.step()
        assert all(torch.equal(*pair) for pair in zip(ours, theirs, strict=True)), f"step {step}"
    assert torch.equal(ours[2].grad, theirs[2].grad)
    # What was saved with lightly's goes on with ours.
    optimizers[0].load_state_dict(optimizers[1].state_dict())
    optimizers[0].step()


def test_running_statistics_are_averages_until_their_own_momentum():
    norm, frozen = torch.nn.BatchNorm1d(3), torch.nn.BatchNorm1d(3, momentum=None)
    statistics = RunningStatistics(torch.nn.Sequential(norm, frozen))
    seen = []
    for step in range(12):
        statistics.before(step)
        batch = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
        norm(batch)
        seen.append(batch.mean(0))
        if step <= statistics.settled:
            assert torch.allclose(norm.running_mean, torch.stack(seen).mean(0), atol=1e-6)
        assert (norm.momentum == 0.1) == (step >= statistics.settled)
    assert statistics.settled == 9
    assert frozen.momentum is None


def test_half_precision_is_used_where_it_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(resolving, "cpu_multiplies_bf16", lambda: True)
    monkeypatch.setattr(pretraining, "count_flops", lambda *_: {})  # takes steps of its own
    original, seen = Autoencoder.step, set()

    def watched(self, batch, generator):
        seen.add((self.backbone(batch.views[0]).embedding.dtype, batch.views.dtype))
        return original(self, batch, generator)

    monkeypatch.setattr(Autoencoder, "step", watched)
    pretrain(make_config("training.precision=bf16-mixed", "training.epochs=1"), tmp_path / "run")
    assert seen == {(torch.bfloat16, torch.float32)}


def test_half_precision_needs_a_processor_that_has_it(tmp_path, monkeypatch):
    monkeypatch.setattr(resolving, "cpu_multiplies_bf16", lambda: False)
    with pytest.raises(UserError, match=r"this CPU has no instructions for bf16 .* use training.precision=32-true"):
        pretrain(make_config("training.precision=bf16-mixed"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    monkeypatch.undo()
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert not resolving.cpu_multiplies_bf16(), "nothing is known: no"


def test_seeds_of_different_purposes_differ():
    seeds = {
        derive_seed(seed, purpose, index) for seed in range(3) for purpose in ("views", "order") for index in range(3)
    }
    assert len(seeds) == 18
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["objective=simclear"], "did you mean 'simclr'"),
        (["objective=mae", "backbone=resnet_micro"], "use a ViT"),
        (["noise=gaussian(sigma=1)"], "takes no noise: give noise=null, or use objective=denoising"),
        (["views.flip=0"], "takes no views settings"),
        (["training.batch_size=4096"], "larger than the dataset: with 300 training images"),
        (["training.accumulate=5"], "does not divide"),
        (["objective=denoising", "noise=gausian(sigma=1)"], "did you mean 'gaussian'"),
        (["objective=simclr", "views.noise=mask(ratio=2, patch=1)"], "'ratio' = 2"),
        (["objective=simclr", "views.crop_scale=[0.9,0.2]"], "crop_scale"),
        (["objective.decoder_width=33"], "decoder_width"),
        (["backbone=pixels"], "use objective=pixels"),
        (["objective=mae", "backbone=vit_micro", "backbone.patch_size=8"], "needs two patches at least"),
    ],
)
def test_impossible_settings_leave_no_directory(tmp_path, words, message):
    with pytest.raises(UserError) as caught:
        pretrain(make_config(*words), tmp_path / "run")
    assert message in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_run_belongs_to_its_images(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (80, 8, 8, 1), dtype=np.uint8)
    labels = np.arange(80) % 2
    file = tmp_path / "mine.npz"
    np.savez(file, train_images=images, train_labels=labels, test_images=images, test_labels=labels)
    words = ["dataset=arrays", f"dataset.file={file}", "dataset.limit=null"]
    pretrain(make_config(*words), tmp_path / "run")
    np.savez(file, train_images=255 - images, train_labels=labels, test_images=images, test_labels=labels)
    with pytest.raises(UserError, match="trained on other images than"):
        pretrain(make_config(*words), tmp_path / "run")


def test_weights_that_are_no_numbers_are_not_kept(tmp_path, monkeypatch):
    original = loop.Trainer.step

    def poisons(self, step):
        metrics = original(self, step)
        if step == self.total - 1:
            next(self.objective.parameters()).data.fill_(float("nan"))
        return metrics

    monkeypatch.setattr(loop.Trainer, "step", poisons)
    with pytest.raises(TrainingFailed, match="weights are not finite after step 8"):
        pretrain(make_config(), tmp_path / "run")
    run = RunDirectory(tmp_path / "run")
    assert run.record()["status"] == "failed"
    assert 8 not in run.snapshots()


@pytest.mark.parametrize("dies_in", ["append_metrics", "update"])
def test_killed_while_writing_goes_on(tmp_path, monkeypatch, dies_in):
    """A kill between any two writes: what was logged or kept twice must not show."""
    config = make_config("training.checkpoint_seconds=0", "training.log_every=1")
    whole = pretrain(config, tmp_path / "whole")
    original = getattr(RunDirectory, dies_in)
    calls = []

    def dies(self, *arguments, **entries):
        original(self, *arguments, **entries)
        calls.append(1)
        if len(calls) == 6:
            (self.path / ".run.json.1.part").write_text("half")
            raise Killed

    monkeypatch.setattr(RunDirectory, dies_in, dies)
    with pytest.raises(Killed):
        pretrain(config, tmp_path / "cut")
    monkeypatch.setattr(RunDirectory, dies_in, original)
    resumed = pretrain(config, tmp_path / "cut")
    assert_same_weights(weights(whole), weights(resumed))
    assert deterministic_metrics(whole) == deterministic_metrics(resumed)
    assert len(resumed.record()["sessions"]) == 2


def test_a_claim_cut_off_by_a_kill_is_made_again(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".config.yaml.7.part").write_text("half")
    assert pretrain(make_config(), tmp_path / "run").finished


def test_wandb_mirrors_offline(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    run = pretrain(make_config("wandb.mode=offline"), tmp_path / "run")
    assert run.finished
    assert list((tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb"))


def test_a_mirror_lies_in_its_run_wherever_the_service_was_started(tmp_path, monkeypatch):
    """Processes share wandb's service by a variable of the environment, and each may be in a folder of its own."""
    monkeypatch.setenv("WANDB_SILENT", "true")
    wandb.setup().ensure_service()
    monkeypatch.chdir(tmp_path)
    WandbMirror(WandbConfig(mode="offline"), "one", "one", Path("run"), {}).close()
    assert list((tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb"))


def test_a_broken_network_stops_no_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WANDB_SILENT", "true")
    original = wandb.init

    def init(mode, **about):  # a real one, with a host that is not there, tries for half a minute: fault campaign
        if mode == "online":
            raise wandb.errors.CommError("connection refused")
        return original(mode=mode, **about)

    monkeypatch.setattr(wandb, "init", init)
    run = pretrain(make_config("wandb.mode=online", "training.epochs=1"), tmp_path / "run")
    assert run.finished
    assert list((tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb"))
    assert "wandb cannot be reached" in capsys.readouterr().err


def test_a_mirror_that_breaks_stops_no_run(tmp_path, monkeypatch, capsys):
    class Breaks:
        def log(self, *arguments, **entries):
            raise RuntimeError("the service died")

    monkeypatch.setattr("wandb.init", lambda **about: Breaks())
    assert pretrain(make_config("wandb.mode=offline", "training.epochs=1"), tmp_path / "run").finished
    assert capsys.readouterr().err.count("the service died") == 1


def test_default_configuration_is_complete():
    data = load_dataset(make_config().dataset)
    config = resolve(validate(Config, load_config(None, ["objective=denoising"])), data)
    assert config.noise == "gaussian(sigma=0.5)"
    assert config.backbone.embedding == "latent"
    assert math.isclose(config.training.learning_rate, 1e-3)


def test_deterministic_training_refuses_what_may_differ(tmp_path, monkeypatch):
    monkeypatch.setattr(pretraining, "count_flops", lambda *_: {})  # takes steps of its own
    seen = []
    original = Autoencoder.step

    def watched(self, batch, generator):
        seen.append(torch.are_deterministic_algorithms_enabled())
        return original(self, batch, generator)

    monkeypatch.setattr(Autoencoder, "step", watched)
    for number, wanted in enumerate(["true", "false"]):
        pretrain(make_config(f"training.deterministic={wanted}", "training.epochs=1"), tmp_path / str(number))
    assert seen == [True] * (len(seen) // 2) + [False] * (len(seen) // 2)
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="what a GPU adds up in another order, it takes a GPU to see")
@pytest.mark.parametrize(("deterministic", "bound"), [("true", 0.0), ("false", 0.05)])
def test_runs_on_a_gpu_differ_by_a_bounded_share_of_the_way_they_went(tmp_path, deterministic, bound):
    config = make_config("objective=simclr", f"training.deterministic={deterministic}", "training.accelerator=gpu")
    one, other = (weights(pretrain(config, tmp_path / name)) for name in "ab")
    first, last = min(one), max(one)
    way = sum(float((one[last][name] - one[first][name]).double().square().sum()) for name in one[last])
    apart = sum(float((one[last][name] - other[last][name]).double().square().sum()) for name in one[last])
    assert math.sqrt(apart) <= bound * math.sqrt(way)
