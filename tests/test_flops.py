"""Floating point operations: counted on shapes, as they are on numbers; nothing of the run is touched."""

import json

import pytest
import torch
from conftest import make_config
from torch.utils.flop_counter import FlopCounterMode

from ssl_bench.backbones import linear
from ssl_bench.data.load import load_dataset
from ssl_bench.objectives.base import Batch
from ssl_bench.resolve import resolve
from ssl_bench.runs.summary import summarise_run
from ssl_bench.training.flops import count_flops
from ssl_bench.training.pretraining import build_objective, pretrain

IMAGES = 16
CASES = [
    ["objective=autoencoder", "backbone=resnet_micro"],
    ["objective=denoising", "backbone=mlp", "noise=pca(gains=[0, 1])"],
    ["objective=mae", "backbone=vit_micro"],
    ["objective=simclr", "backbone=resnet_micro"],
]


def made(overrides):
    config = make_config(*overrides)
    data = load_dataset(config.dataset)
    config = resolve(config, data)
    objective = build_objective(config, data)
    objective.prepare(data)
    return objective, data


@pytest.mark.parametrize("overrides", CASES, ids=lambda words: words[0].removeprefix("objective="))
def test_counted_on_shapes_is_counted_on_numbers(overrides):
    objective, data = made(overrides)
    before = {name: value.clone() for name, value in objective.state_dict().items()}
    state = torch.random.get_rng_state()
    flops = count_flops(objective, data, IMAGES)
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(before[name], value) for name, value in objective.state_dict().items())
    assert all(weight.grad is None for weight in objective.parameters())

    batch = Batch(torch.randn(objective.views.count, IMAGES, *data.shape), torch.zeros(IMAGES, dtype=torch.int64))
    with FlopCounterMode(display=False) as counter:
        objective.step(batch, torch.Generator().manual_seed(0)).loss.backward()
    assert flops["train_image"] == counter.get_total_flops() / IMAGES > 0
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        objective.backbone.eval()(batch.views[0])
    assert flops["encode_image"] == counter.get_total_flops() / IMAGES > 0


def test_the_products_of_onednn_count_as_torchs_own(monkeypatch):
    objective, data = made(["objective=mae", "backbone=vit_micro"])
    monkeypatch.setattr(linear, "onednn_is_faster", lambda: False)
    plain = count_flops(objective, data, IMAGES)
    monkeypatch.setattr(linear, "onednn_is_faster", lambda: True)
    assert count_flops(objective, data, IMAGES) == plain


def test_what_cannot_be_counted_is_null_and_stops_nothing(monkeypatch, tmp_path):
    config = make_config("objective=autoencoder", "backbone=mlp")
    data = load_dataset(config.dataset)
    objective = build_objective(resolve(config, data), data)
    original = type(objective).step

    def reads_a_number(self, batch, generator):
        assert float(batch.views.sum()) is not None
        return original(self, batch, generator)

    monkeypatch.setattr(type(objective), "step", reads_a_number)
    flops = count_flops(objective, data, IMAGES)
    assert flops["train_image"] is None
    assert flops["encode_image"] == 2 * sum(w.numel() for w in objective.backbone.parameters() if w.dim() == 2)
    run = pretrain(config, tmp_path / "run", data)
    assert run.finished
    assert summarise_run(run)["train_flops"] is None


def test_a_run_records_them_and_its_row_adds_them_up(tmp_path):
    run = pretrain(make_config("objective=autoencoder", "backbone=mlp"), tmp_path / "run")
    flops = json.loads(run.record_file.read_text())["flops"]
    row = summarise_run(run)
    assert row["flops"] == flops
    assert row["train_flops"] == flops["train_image"] * row["samples_seen"] > 0
    untrained = pretrain(make_config("objective=random", "backbone=mlp"), tmp_path / "untrained")
    assert summarise_run(untrained)["train_flops"] == 0
    assert summarise_run(untrained)["flops"]["encode_image"] == flops["encode_image"]
