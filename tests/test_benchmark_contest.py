"""The benchmark's contestants: they take turns, they fail alone, and they do the same work."""

import math

import pytest
import torch

from benchmarks import ours
from benchmarks.cases import Case, Steps, TrainingSteps, config_of, count_flops
from benchmarks.contest import Entry, Timing, contest
from benchmarks.made import made_images
from benchmarks.results import Plan, rows_of
from benchmarks.rivals import lightly_step, plain_step, views
from benchmarks.rivals.lightly_models import LightlyMAE, LightlySimCLR
from benchmarks.rivals.loading import LoaderSteps, PilImages
from benchmarks.rivals.networks import backbone_of
from benchmarks.sections import accuracy, augmentation, compiling, step
from benchmarks.timed_runs import Point, seconds_to
from ssl_bench.backbones import make_backbone
from ssl_bench.objectives.base import Batch
from ssl_bench.resolve import resolve
from ssl_bench.training.pretraining import build_objective

BATCH = 6


def entry(factory, **settings):
    """A contestant of tests/contestants.py."""
    return Entry(factory, f"contestants:{factory}", settings)


def test_contestants_take_turns_choose_after_the_first_and_tell_at_the_end(tmp_path):
    file = tmp_path / "turns"
    entries = [entry("writer", file=file, name="a"), entry("Choosing"), entry("writer", file=file, name="b")]
    timings = contest(entries, 3)
    assert file.read_text() == "ab" * 4  # the first work is not measured
    assert [timing.items for timing in timings] == [2, 5, 2]
    for timing in timings:
        assert timing.error is None
        assert len(timing.seconds) == len(timing.cpu) == 3
        assert timing.startup > 0
        assert timing.first > 0
        assert timing.memory > 10 * 2**20
    rows = rows_of("case", "items/s", timings)
    assert rows[1].extra["workers"] == 3
    assert rows[1].extra["first_seconds"] == timings[1].first


def test_one_that_fails_leaves_the_others(tmp_path):
    file = tmp_path / "turns"
    entries = [
        entry("failing", after=2),
        entry("dying"),
        entry("missing"),
        entry("writer", file=file, name="w"),
    ]
    rows = rows_of("case", "items/s", contest(entries, 3))
    assert [row.error for row in rows] == [
        "ValueError: no more",
        "its process ended",
        "no_such_package is not installed",
        None,
    ]
    assert all(row.median is None for row in rows[:3])
    assert file.read_text() == "wwww"
    assert rows[3].median > 0
    assert rows[3].ratio is None  # there is nobody to compare with


def test_helpers_stand_still_while_others_have_their_turn(tmp_path):
    file = tmp_path / "ticks"
    helper, watcher = contest([entry("helped", file=file), entry("watching", file=file)], 2)
    assert watcher.error is None
    assert helper.error is None
    assert file.stat().st_size > 50  # and it did go on in its own turns


def test_ratios_are_of_neighbours_in_time():
    # The machine is ten times slower in the second round: the ratio of each round is 2 all the same.
    mine = Timing(Entry("ours", ""), seconds=[1.0, 10.0, 2.0], cpu=[1.0] * 3, items=4)
    theirs = Timing(Entry("theirs", ""), seconds=[2.0, 20.0, 4.0], cpu=[1.0] * 3, items=4)
    first, second = rows_of("case", "items/s", [mine, theirs], [{}, {"more": 1}])
    assert first.median == 2.0
    assert first.ratio is None
    assert (second.ratio_low, second.ratio, second.ratio_high) == (2.0, 2.0, 2.0)
    assert second.extra["more"] == 1


def test_a_turn_is_as_long_as_asked_for(monkeypatch):
    now = [0.0]

    def slow():
        now[0] += 0.25
        return torch.tensor(1.0)

    monkeypatch.setattr("benchmarks.cases.time.perf_counter", lambda: now[0])
    steps = Steps(slow, items=3, turn=5.0)
    assert steps() == 3
    steps.tune()
    assert steps.count == 20
    assert steps() == 60
    assert steps.total == 21  # trying is no work


def test_arithmetic_is_counted():
    left, right = torch.ones(8, 16), torch.ones(16, 4)
    steps = TrainingSteps(lambda: (left @ right).sum(), items=2, turn=0.01)
    assert steps.about()["gflop_per_image"] == pytest.approx(2 * 8 * 16 * 4 / 2 / 1e9)


def test_a_loader_goes_on_over_epochs_and_takes_a_number_of_workers():
    data = made_images(20, size=8)
    seen = []

    def update(batch):
        seen.append(batch[1])
        return torch.zeros(())

    case = Case("simclr", "resnet_micro", 8, 20, 8, workers=(0, 1), turn=0.01)
    steps = LoaderSteps(PilImages(data.train, lambda image: torch.tensor(image.size)), case, update)
    for _ in range(5):
        steps()
    assert [len(labels) for labels in seen] == [8] * 5  # two batches an epoch, the rest is dropped
    steps.tune()
    assert steps.about()["workers"] in (0, 1)


def built(objective, backbone):
    """Our objective and its data, and the same backbone bare."""
    data = made_images(32, size=16)
    case = Case(objective, backbone, 16, 32, BATCH)
    mine = build_objective(resolve(config_of(case), data), data).train()
    return mine, make_backbone(config_of(case).backbone, 16, 3), data


def views_of(data, count):
    return data.standardised(data.train.images[: count * BATCH]).view(count, BATCH, 3, 16, 16)


@pytest.mark.parametrize("backbone", ["resnet_micro", "vit_micro"])
def test_simclr_at_equal_settings_is_our_simclr(backbone):
    mine, bare, data = built("simclr", backbone)
    theirs = LightlySimCLR(bare).train()
    theirs.backbone.load_state_dict(mine.backbone.state_dict())
    theirs.projection_head.load_state_dict(mine.head.state_dict())
    pair = views_of(data, 2)
    loss = mine.step(Batch(pair, data.train.labels[:BATCH]), torch.Generator()).loss
    same = theirs.loss_together(*pair)
    torch.testing.assert_close(same, loss, rtol=1e-5, atol=1e-5)
    assert_same_gradients(loss, mine.backbone, same, theirs.backbone)


def test_mae_at_equal_settings_is_our_mae():
    mine, bare, data = built("mae", "vit_micro")
    theirs = LightlyMAE(bare, class_token=False).train()
    theirs.backbone.vit.load_state_dict(mine.backbone.vit.state_dict())
    load_decoder(theirs.decoder, mine)
    images = views_of(data, 1)
    order = torch.rand(BATCH, mine.patches, generator=torch.Generator().manual_seed(3)).argsort(1) + 1
    keep = torch.cat([torch.zeros(BATCH, 1, dtype=torch.int64), order[:, : mine.visible]], 1)
    loss = mine.step(Batch(images, data.train.labels[:BATCH]), torch.Generator().manual_seed(3)).loss
    same = theirs.loss(images[0], keep, order[:, mine.visible :])
    torch.testing.assert_close(same, loss, rtol=1e-5, atol=1e-5)
    assert_same_gradients(loss, mine.backbone.vit, same, theirs.backbone.vit)


def load_decoder(decoder, mine):
    decoder.decoder_embed.load_state_dict(mine.embed.state_dict())
    decoder.decoder_blocks.load_state_dict(mine.decoder.blocks.state_dict())
    decoder.decoder_norm.load_state_dict(mine.decoder.norm.state_dict())
    decoder.decoder_pred.load_state_dict(mine.to_pixels.state_dict())
    decoder.mask_token.data.copy_(mine.mask_token)
    decoder.decoder_pos_embed.data.copy_(mine.decoder.positions)


def assert_same_gradients(loss, module, other_loss, other_module):
    loss.backward()
    other_loss.backward()
    gradients = [dict(one.named_parameters()) for one in (module, other_module)]
    named = {name for name, parameter in gradients[0].items() if parameter.grad is not None}
    assert named
    for name in named:
        torch.testing.assert_close(gradients[1][name].grad, gradients[0][name].grad, rtol=1e-3, atol=1e-5, msg=name)


@pytest.mark.parametrize("class_token", [True, False])
def test_mae_costs_what_ours_costs(class_token):
    data = made_images(8)
    case = Case("mae", "vit_tiny", 32, 8, 8)
    mine = build_objective(resolve(config_of(case), data), data).train()
    theirs = LightlyMAE(make_backbone(config_of(case).backbone, 32, 3), class_token).train()
    images = data.standardised(data.train.images)

    batch = Batch(images[None], data.train.labels)
    cost = count_flops(lambda: mine.step(batch, torch.Generator()).loss.backward())
    assert count_flops(lambda: theirs(images).backward()) == pytest.approx(cost, rel=0.04)


@pytest.mark.parametrize(
    ("factory", "objective", "backbone"),
    [
        (lightly_step.shipped, "simclr", "vit_micro"),
        (lightly_step.shipped, "mae", "vit_micro"),
        (lightly_step.equal, "mae", "vit_micro"),
        (plain_step.step, "denoising", "resnet_micro"),
        (ours.step, "mae", "vit_micro"),
        (ours.step, "supervised", "resnet_micro"),
    ],
)
def test_a_contestant_trains(factory, objective, backbone, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))  # which ours changes
    work = factory(Case(objective, backbone, 16, 32, 8, workers=(0,), turn=0.01))
    assert work() == 8
    assert 0 < float(work.total) < 20
    assert work.about()["gflop_per_image"] > 0


def test_the_others_have_the_usual_layers():
    data = made_images(8, size=16)
    backbone = backbone_of(Case("mae", "vit_micro", 16), data)
    linear = {type(layer) for layer in backbone.modules() if isinstance(layer, torch.nn.Linear)}
    assert linear == {torch.nn.Linear}


def test_views_of_the_others_are_standardised_images():
    for make in (views.lightly, views.torchvision_pil, views.torchvision_tensor):
        steps = make(16, 4, 0.01)
        assert steps() == 8
        assert -4 < float(steps.total) < 4
        assert isinstance(steps, Steps)


@pytest.mark.parametrize("section", [augmentation, step, compiling])
def test_a_quick_section_has_a_number_or_a_reason_in_each_row(section):
    made = section.run(Plan(repeats=1, threads=1, quick=True))
    assert made.rows
    for row in made.rows:
        assert row.error is None or row.error.endswith("is not installed"), row
        assert row.error is not None or row.median > 0
    mine = [row for row in made.rows if row.name.startswith("ssl_bench")]
    assert mine
    assert all(row.error is None for row in mine)


def test_accuracy_says_where_its_images_are_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_BENCH_DATA", str(tmp_path))
    made = accuracy.run(Plan(repeats=1, threads=1))
    assert made.rows == []
    assert "cifar10" in made.notes[0]


def test_the_time_to_an_accuracy_is_interpolated():
    curve = [Point(10, 0.30), Point(20, 0.38), Point(30, 0.42), Point(40, 0.41)]
    assert seconds_to(0.40, curve) == pytest.approx(25)
    assert seconds_to(0.20, curve) == 10  # nothing is known of the time before
    assert seconds_to(0.50, curve) == math.inf


def test_a_row_of_times_says_how_many_times_as_long_the_other_took():
    fast, slow = ([Point(seconds, 0.3), Point(2 * seconds, 0.5)] for seconds in (10, 30))
    never = [Point(1, 0.3), Point(2, 0.3)]
    row = accuracy.row_of("lightly", [slow, slow], [fast, fast])
    assert (row.median, row.ratio, row.unit) == (45.0, 3.0, "s")
    assert row.extra["reached"] == "2 of 2 seeds"
    assert row.extra["curve"] == [(30, 0.3), (60, 0.5)]
    assert accuracy.row_of("ours", [fast], None).ratio is None
    row = accuracy.row_of("lightly", [slow, never, slow], [fast, never, never])
    assert (row.median, row.high) == (45.0, None)  # the third quartile is forever
    assert (row.ratio_low, row.ratio, row.ratio_high) == (0.0, 1.0, 3.0)
    assert accuracy.row_of("lightly", [never, never, slow], [fast] * 3).error == "40% was reached by 1 of 3 seeds"
