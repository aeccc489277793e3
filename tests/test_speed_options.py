"""What makes a step fast changes neither what is computed nor what is kept."""

import json
import platform
import shutil
import subprocess
import sys
import threading
from functools import partial

import pytest
import torch
from conftest import make_config
from lightning_fabric import Fabric
from safetensors.torch import load_file
from test_no_waiting import Watch
from torch import nn

from ssl_bench.data import views
from ssl_bench.data.augment import apply
from ssl_bench.data.images import Split
from ssl_bench.data.load import load_dataset
from ssl_bench.errors import UserError
from ssl_bench.memory import keep_freed_memory
from ssl_bench.resolve import resolve
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.subjects import load_subject
from ssl_bench.training import compiling, loop
from ssl_bench.training.batches import BatchOrder
from ssl_bench.training.feeding import ResidentFeed, StreamedFeed
from ssl_bench.training.loop import Trainer
from ssl_bench.training.pretraining import build_objective, pretrain
from ssl_bench.training.speed import COMPILED_TO_EAGER, channels_last, compiling_pays, fast_arithmetic, fits, lay_out

CPU = torch.device("cpu")
# With batch norm and without, noise on a schedule, tokens left out, several views.
CASES = {
    "autoencoder": ["objective=autoencoder"],
    "denoising": ["objective=denoising", "noise=schedule(from=gaussian(sigma=0.1), to=gaussian(sigma=1))"],
    "mae": ["objective=mae", "backbone=vit_micro"],
    "simclr": ["objective=simclr"],
    "supervised": ["objective=supervised", "backbone=mlp"],
}
# SGD, since Adam makes a whole step of the rounding of a small gradient.
TRAINING = ["training.epochs=3", "training.optimizer=sgd", "training.learning_rate=0.02", "training.log_every=1"]
TRAINING += ["training.checkpoint_seconds=0"]


class Killed(BaseException):
    """Stands for a kill: nothing in the harness may catch it."""


@pytest.fixture(params=["aot_eager"])
def cheap_compiler(request, monkeypatch):
    """Graphs are captured and run as captured; no C++ is compiled."""
    torch._dynamo.reset()
    monkeypatch.setitem(compiling.SETTINGS, "backend", request.param)
    yield
    torch._dynamo.reset()


def weights_of(run):
    return {step: load_file(file) for step, file in run.snapshots().items()}


def losses(run):
    return [row["value"] for row in run.metrics() if row["name"] == "loss"]


def assert_close(one, other, tolerance=2e-4):
    assert losses(one) == pytest.approx(losses(other), rel=tolerance, abs=tolerance)
    for (step, these), (_, those) in zip(weights_of(one).items(), weights_of(other).items(), strict=True):
        assert list(these) == list(those), "names of weights"
        for name in these:
            torch.testing.assert_close(these[name], those[name], rtol=tolerance, atol=tolerance, msg=f"{step} {name}")


def assert_equal(one, other):
    assert losses(one) == losses(other)
    for these, those in zip(weights_of(one).values(), weights_of(other).values(), strict=True):
        assert all(torch.equal(these[name], those[name]) for name in these)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The run of each case, with the rules of a CPU."""
    made = {}

    def of(case):
        if case not in made:
            made[case] = pretrain(make_config(*CASES[case], *TRAINING), tmp_path_factory.mktemp("plain") / case)
        return made[case]

    return of


def make_trainer(folder, *words):
    config = make_config(*words)
    data = load_dataset(config.dataset)
    config = resolve(config, data)
    run = RunDirectory(folder)
    run.claim(config)
    objective = build_objective(config, data)
    objective.prepare(data)
    fabric = Fabric(accelerator="cpu", devices=1, precision=config.training.precision)
    trainer = Trainer(config, data, objective, run, fabric)
    trainer.module.train()
    return trainer


@pytest.mark.parametrize("case", ["autoencoder", "mae"])
def test_a_compiled_run_is_the_run(tmp_path, plain, cheap_compiler, case):
    config = make_config(*CASES[case], *TRAINING, "training.compile=true")
    run = pretrain(config, tmp_path / "run")
    assert run.record()["speed"]["compile"]
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    assert_close(run, plain(case))
    data = load_dataset(config.dataset)
    subject = load_subject(run, run.config(), data, run.last_step)
    assert torch.isfinite(subject.encode(data.standardised(data.test.images[:4]))).all()


@pytest.mark.parametrize("cheap_compiler", ["eager"], indirect=True)
@pytest.mark.parametrize("case", ["denoising", "mae", "simclr", "supervised"])
def test_nothing_is_compiled_twice(tmp_path, cheap_compiler, case):
    trainer = make_trainer(tmp_path / "run", *CASES[case], *TRAINING, "training.compile=true")
    torch._dynamo.utils.counters.clear()
    graphs = []
    with torch._dynamo.config.patch(error_on_recompile=True):
        for step in range(trainer.total):
            trainer.step(step)
            graphs.append(torch._dynamo.utils.counters["stats"]["unique_graphs"])
    first = trainer.statistics.settled
    assert first == (9 if case in ("denoising", "simclr") else 0)
    assert graphs[:first] == [0] * first, "not while momenta change"
    assert len(set(graphs[first:])) == 1
    assert graphs[-1] > 0
    assert not torch._dynamo.utils.counters["graph_break"]


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_compiled_with_the_real_compiler(tmp_path, plain):
    torch._dynamo.reset()
    config = make_config(*CASES["supervised"], *TRAINING, "training.compile=true")
    assert_close(pretrain(config, tmp_path / "run"), plain("supervised"))
    torch._dynamo.reset()


def test_a_missing_compiler_is_one_line(tmp_path, monkeypatch):
    def other(numbers):
        return numbers.sum() * 3 - 1

    monkeypatch.setattr(compiling, "_sum", other)
    patched = {"cpp.cxx": (None, "no-such-compiler"), "force_disable_caches": True}
    with torch._inductor.config.patch(patched), pytest.raises(UserError) as caught:
        pretrain(make_config("training.compile=true"), tmp_path / "run")
    assert "\n" not in str(caught.value)
    for part in ("training.compile=true", "no-such-compiler", "leave training.compile out"):
        assert part in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("case", ["autoencoder", "mae"])
def test_the_layout_of_maps_changes_rounding_only(tmp_path, plain, case):
    run = pretrain(make_config(*CASES[case], *TRAINING, "training.channels_last=false"), tmp_path / "run")
    assert not run.record()["speed"]["channels_last"]
    assert_close(run, plain(case))


@pytest.mark.parametrize("case", ["simclr", "mae"])
def test_streamed_images_are_the_same_to_the_bit(tmp_path, plain, case):
    run = pretrain(make_config(*CASES[case], *TRAINING, "training.resident=false"), tmp_path / "run")
    assert not run.record()["speed"]["resident"]
    assert plain(case).record()["speed"]["resident"]
    assert_equal(run, plain(case))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


def test_a_run_goes_on_with_other_options(tmp_path, monkeypatch, plain, cheap_compiler):
    original = loop.Trainer.step
    sessions = [
        ["training.compile=true", "training.resident=false"],
        ["training.channels_last=false"],
        ["training.compile=true"],
    ]
    for words, killed_at in zip(sessions, (10, 11, None), strict=True):

        def dies(self, step, killed_at=killed_at):
            if step == killed_at:
                raise Killed
            return original(self, step)

        monkeypatch.setattr(loop.Trainer, "step", dies)
        try:
            pretrain(make_config(*CASES["autoencoder"], *TRAINING, *words), tmp_path / "run")
        except Killed:
            assert killed_at is not None
    run = RunDirectory(tmp_path / "run")
    assert run.finished
    assert_close(run, plain("autoencoder"))
    keys = ("compile", "resident", "channels_last")
    made = [tuple(session["speed"][key] for key in keys) for session in run.record()["sessions"]]
    assert made == [(True, False, True), (False, True, False), (True, True, True)]


def test_what_was_chosen_is_recorded(tmp_path, plain):
    record = json.loads(plain("autoencoder").record_file.read_text())
    assert record["speed"] == {
        "compile": False,
        "channels_last": True,
        "resident": True,
        "precision": "32-true",
        "fused_optimizer": True,
        "threads": torch.get_num_threads(),
    }
    assert record["sessions"][0]["speed"] == record["speed"]
    baseline = pretrain(make_config("objective=random", "training.resident=false"), tmp_path / "run")
    assert baseline.finished
    assert "speed" not in baseline.record(), "nothing was trained"


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "lars"])
@pytest.mark.parametrize("case", CASES)
def test_a_step_waits_for_nothing(tmp_path, monkeypatch, case, optimizer):
    """What a CPU computes here, an accelerator is told to; the images concerned are chosen as an accelerator does."""
    monkeypatch.setattr(views, "apply", partial(apply, grouped=False))
    trainer = make_trainer(tmp_path / "run", *CASES[case], *TRAINING, f"training.optimizer={optimizer}")
    trainer.step(0)
    with Watch() as watch:
        metrics = trainer.step(1)
    assert watch.count > 100
    assert all(isinstance(value, torch.Tensor) for value in metrics.values())


def test_rules():
    assert not any(compiling_pays("cpu", spatial) for spatial in ("map", "tokens"))
    assert not compiling_pays("cuda", "map"), "not before it is measured"
    assert all(ratio > 1 for ratio in COMPILED_TO_EAGER.values())
    assert fits(10**12, None)
    assert fits(5, 10)
    assert not fits(6, 10)
    assert channels_last(make_config().training)
    assert not channels_last(make_config("training.channels_last=false").training)


def test_a_measured_gain_is_used(monkeypatch):
    monkeypatch.setitem(COMPILED_TO_EAGER, ("cuda", "map"), 0.9)
    assert compiling_pays("cuda", "map")
    assert not compiling_pays("cuda", "tokens")


@pytest.mark.parametrize("spatial", ["map", "tokens"])
def test_layout(spatial):
    config = make_config("objective=autoencoder", f"backbone={'resnet_micro' if spatial == 'map' else 'vit_micro'}")
    data = load_dataset(config.dataset)
    objective = build_objective(resolve(config, data), data)

    def last(module):
        kernels = [
            part.weight for part in module.modules() if isinstance(part, nn.Conv2d) and part.kernel_size > (1, 1)
        ]
        wide = [kernel for kernel in kernels if kernel.shape[1] > 1]
        return {kernel.is_contiguous(memory_format=torch.channels_last) for kernel in wide}

    assert last(objective.decoder) == {True}
    assert last(objective.backbone) <= {spatial == "map"}
    assert last(lay_out(objective, False)) <= {False}


def images_of(count=23):
    images = torch.randint(0, 256, (count, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Split(images, torch.arange(count))


def test_feeds_give_the_images_of_a_step():
    split, order = images_of(), BatchOrder(23, 5, seed=3)
    resident, streamed = (kind(split, 5, 3, CPU) for kind in (ResidentFeed, StreamedFeed))
    # Out of order too: as after a kill, and over the border of an epoch.
    for step in (0, 1, 2, 3, 4, 5, 17, 18, 2):
        index = order.indices(step)
        for feed in (resident, streamed):
            batch = feed.batch(step)
            assert torch.equal(batch.images, split.images[index])
            assert torch.equal(batch.labels, index)
    resident.close()
    streamed.close()


def test_images_in_a_file_are_read_where_they_lie(tmp_path):
    split = images_of()
    split.images.numpy().tofile(tmp_path / "images")
    mapped = torch.from_file(str(tmp_path / "images"), size=split.images.numel(), dtype=torch.uint8).view(23, 1, 4, 4)
    feed = ResidentFeed(Split(mapped, split.labels), 5, 3, CPU)
    assert feed.images.images.data_ptr() == mapped.data_ptr()
    assert torch.equal(feed.batch(6).images, ResidentFeed(split, 5, 3, CPU).batch(6).images)


def test_what_fails_in_the_background_is_raised(monkeypatch):
    split = images_of()
    feed = StreamedFeed(split, 5, 3, CPU)
    feed.batch(0)
    monkeypatch.setattr(feed, "images", Split(split.images[:1], split.labels))
    with pytest.raises(IndexError):
        # The first of them may be there already.
        [feed.batch(step) for step in (1, 2)]
    feed.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


def test_permutations_come_to_the_device_once_an_epoch(monkeypatch):
    order, drawn = BatchOrder(23, 5, 3, "meta"), []
    original = torch.randperm
    monkeypatch.setattr(torch, "randperm", lambda *size, **how: drawn.append(how) or original(*size, **how))
    for step in range(8):
        assert order.indices(step).device.type == "meta"
    assert len(drawn) == 2
    assert all(how["generator"].device == CPU for how in drawn)


def test_fast_arithmetic_is_for_training_on_a_gpu():
    def flags():
        return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark

    before = flags()
    with fast_arithmetic(CPU):
        assert flags() == before

    def fails():
        with fast_arithmetic(torch.device("cuda")):
            assert flags() == ("high", True, True)
            raise Killed

    with pytest.raises(Killed):
        fails()
    assert flags() == before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator")
def test_freed_memory_is_taken_again():
    code = """
import resource, torch
from ssl_bench.memory import keep_freed_memory

def faults():
    for _ in range(10):
        work()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    assert work() == work()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

work = lambda: [torch.ones(40 * 2**18).sum().item() for _ in range(3)]
print(faults(), keep_freed_memory(), faults(), keep_freed_memory())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    given_back, kept, taken_again, still = done.stdout.split()
    assert (kept, still) == ("True", "True")
    # Pages of 4 KiB.
    assert int(given_back) > 2 * 3 * 10_000
    assert int(taken_again) < 1000


def test_other_systems_keep_their_allocator(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed_memory() is False
