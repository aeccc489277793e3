"""The examples of the documentation: short, installed as a user would, under the contracts of every registry entry."""

import json
from pathlib import Path

import pytest
import test_noise_moments as noise_contract
import test_objectives as objective_contract
import torch
from lightly.loss import VICRegLoss
from plugins import install, ssl_bench

from ssl_bench.config import DatasetConfig
from ssl_bench.data import DATASETS
from ssl_bench.data.load import load_dataset
from ssl_bench.noise import NOISES
from ssl_bench.objectives import OBJECTIVES
from ssl_bench.registry import Entry

EXAMPLES = Path(__file__).parent.parent / "examples"
SPECS = ["salt_and_pepper(ratio=0.3)", "salt_and_pepper(ratio=0.6, level=1.3)"]
data = noise_contract.data


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """The examples by name in this process, and no longer than a test: other tests go through all names."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    for registry, name, target in (
        (OBJECTIVES, "vicreg", "my_objective:VICReg"),
        (NOISES, "salt_and_pepper", "my_noise:SaltAndPepper"),
        (DATASETS, "dead_leaves", "my_dataset:DeadLeaves"),
    ):
        monkeypatch.setitem(registry._lazy, name, Entry(target, "an example"))
        monkeypatch.setitem(registry._loaded, name, registry._load(name))


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.py")), ids=lambda file: file.name)
def test_an_example_is_short(file):
    assert len(file.read_text().splitlines()) < 40


def test_a_user_installs_them_and_trains_seconds_with_each(tmp_path):
    site = tmp_path / "site"
    install(EXAMPLES, site)
    for kind, name in (("objectives", "vicreg"), ("noises", "salt_and_pepper"), ("datasets", "dead_leaves")):
        assert "plug-in of my-examples" in json.loads(ssl_bench(site, "list", kind, "--json").stdout)[name]
    small = ["dataset.limit=300", "training.epochs=1", "training.batch_size=50", "training.snapshots=3"]
    for number, words in enumerate(
        [
            ["objective=vicreg", "dataset=digits"],
            ["objective=denoising", "noise=salt_and_pepper(ratio=0.2)", "dataset=digits"],
            ["objective=simclr", "views.noise=salt_and_pepper(ratio=0.2)", "dataset=dead_leaves"],
        ]
    ):
        done = ssl_bench(site, "pretrain", *words, *small, "--out", tmp_path / str(number), "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["status"] == "finished"
    words = ["dataset=dead_leaves", "noise=salt_and_pepper(ratio=0.5)", "k=[4,16]", "--json"]
    found = json.loads(ssl_bench(site, "align", *words).stdout)
    assert found["noise"] == "salt_and_pepper(ratio=0.5)"
    wrong = ssl_bench(site, "noise", "show", "salt_and_pepper(ratio=2)", "dataset=digits")
    assert wrong.returncode == 2
    assert "'ratio' = 2" in wrong.stderr


@pytest.mark.parametrize("text", SPECS)
def test_the_noise_is_under_contract(text, data):
    noise_contract.test_closed_moments_against_samples(text, data)
    noise_contract.test_contract_every_family(text, noise_contract.SHAPE, data)
    noise_contract.test_contract_every_family(text, (3, 8, 8), data)


def test_the_objective_is_under_contract(monkeypatch):
    objective_contract.test_contract_every_trained_objective("vicreg")
    objective_contract.test_every_trained_objective_lowers_its_loss("vicreg")
    for backbone in ("vit_micro", "resnet_micro"):
        objective_contract.test_a_step_waits_for_nothing("vicreg", backbone)
    monkeypatch.setattr(objective_contract, "TRAINED", ["vicreg"])
    objective_contract.test_only_a_supervised_objective_reads_labels()


def test_the_objective_is_lightlys():
    objective = objective_contract.build("vicreg").eval()
    batch = objective_contract.make_batch(objective, count=8)
    first, second = objective.head(objective.backbone(batch.views.flatten(0, 1)).embedding).chunk(2)
    assert torch.allclose(objective_contract.step(objective, batch).loss, VICRegLoss()(first, second), rtol=1e-5)


def test_the_dataset_tells_the_same_twice_and_has_its_classes():
    first, again = (load_dataset(DatasetConfig(name="dead_leaves")) for _ in range(2))
    assert first.fingerprint == again.fingerprint
    assert (first.shape, first.classes, len(first.train), len(first.test)) == ((1, 16, 16), 3, 900, 300)
    assert torch.bincount(first.train.labels).tolist() == [300, 300, 300]
    assert not torch.equal(first.train.images[:300], first.test.images), "test images are others"
