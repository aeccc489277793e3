import json
from pathlib import Path

import pytest
from plugins import install, ssl_bench

from ssl_bench.errors import UserError
from ssl_bench.registry import Entry, Registry

PLUGIN = Path(__file__).parent / "plugin_package"


def make_registry():
    return Registry(
        "objective", {"simclr": Entry("ssl_bench.errors:UserError", "one"), "mae": Entry("no.such:thing", "two")}
    )


def test_names_are_listed_without_importing():
    assert make_registry().summaries() == {"mae": "two", "simclr": "one"}


def test_unknown_names_get_the_nearest():
    with pytest.raises(UserError, match="unknown objective 'simclear'; did you mean 'simclr'"):
        make_registry().get("simclear")


def test_a_taken_name_is_refused():
    with pytest.raises(ValueError, match="registered already"):
        make_registry().register("simclr")(UserError)


def test_the_decorator_registers():
    registry = make_registry()

    @registry.register("mine")
    class Mine(UserError):
        """What mine is."""

    assert registry.get("mine") is Mine
    assert registry.summaries()["mine"] == "What mine is."


def test_a_third_party_package_adds_one_of_each(tmp_path):
    """Installs a tiny package into a folder and uses its objective, backbone, dataset, noise, analyzer and probe."""
    site = tmp_path / "site"
    install(PLUGIN, site)

    def run(*words):
        return ssl_bench(site, *words)

    for kind, name in (
        ("objectives", "tiny_objective"),
        ("backbones", "tiny_backbone"),
        ("datasets", "tiny_dataset"),
        ("noises", "tiny_noise"),
        ("targets", "tiny_target"),
        ("analyzers", "tiny_analyzer"),
        ("probes", "tiny_probe"),
    ):
        listed = json.loads(run("list", kind, "--json").stdout)
        assert "tiny-plugin" in listed[name]
    out = tmp_path / "run"
    words = [
        "objective=tiny_objective",
        "objective.scale=2",
        "noise=tiny_noise(shift=0.5)",
        "target=tiny_target()",
        "backbone=tiny_backbone",
        "dataset=tiny_dataset",
        "dataset.samples=200",
    ]
    done = run("pretrain", *words, "training.epochs=1", "training.batch_size=50", "--out", str(out))
    assert done.returncode == 0, done.stderr
    done = run("analyze", str(out), "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["snapshots"]
    assert all(value == 7.0 for row in rows for value in row["pca"]["tiny_analyzer"])
    probes = json.loads(run("evaluate", str(out), "probes=[tiny_probe]", "--json").stdout)["probes"]
    assert probes["tiny_probe"]["protocol"] == "nearest_mean/1"
    wrong = run("pretrain", *words, "objective.scal=2", "--out", str(tmp_path / "other"))
    assert wrong.returncode == 2
    assert "did you mean 'scale'" in wrong.stderr
