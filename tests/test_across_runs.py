"""What several runs say together, on run directories written by hand."""

import json

import numpy as np
import pytest
import yaml
from conftest import make_config

import ssl_bench
from ssl_bench.across_runs import label_free, order_of_runs
from ssl_bench.config import identity
from ssl_bench.errors import UserError
from ssl_bench.runs.directory import RunDirectory

BANDS = 4


def band(index, half, decoded_half, reconstructs):
    return {
        "index": index,
        "low": index,
        "high": index,
        "directions": 2,
        "variance_fraction": 0.5 / 2**index,
        "frequency": [0.1, 0.3, 0.2, 0.4][index],
        "relative_error": 0.1 if reconstructs else None,
        "half_time": half if reconstructs else None,
        "decodability": 0.9,
        "decodability_half_time": decoded_half,
    }


def write_run(folder, objective, seed, times, step=10, fingerprint="images"):
    """A finished, analyzed run whose half-times are the ones given."""
    config = make_config(f"objective={objective}", f"seed={seed}")
    run = RunDirectory(folder / f"{objective}{seed}")
    run.path.mkdir(parents=True)
    (run.path / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    record = {"id": identity(config), "status": "finished", "progress": {"step": step}}
    run.record_file.write_text(json.dumps(record | {"dataset": {"fingerprint": fingerprint}}))
    reconstructs = objective == "autoencoder"
    bands = [band(index, time, time, reconstructs) for index, time in enumerate(times)]
    rows = [{"step": one} for one in sorted({0, step // 2, step})]
    spectrum = {"snapshots": rows, **dict.fromkeys(("pca", "patch_pca", "radial", "dct"), bands)}
    run.spectrum_file.write_text(json.dumps(spectrum))
    return run


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for seed in range(4):
        write_run(tmp_path, "autoencoder", seed, [100, 200, 400, None])
        write_run(tmp_path, "simclr", seed, (np.array([800, 400, 200, 100]) + rng.uniform(0, 9, 4)).tolist())
    write_run(tmp_path, "random", 0, [0, 0, 0, 0], step=0)
    return tmp_path


def test_the_order_of_each_configuration_and_whether_they_differ(folder):
    found = ssl_bench.band_order(folder)
    autoencoder, simclr = found["configurations"]
    assert autoencoder["name"] == "autoencoder resnet_micro digits"
    assert autoencoder["runs"] == [f"autoencoder{seed}" for seed in range(4)]
    ours = autoencoder["pca"]["half_time"]
    assert ours["order"] == [0, 1, 2, 3]
    assert ours["half_time"] == [100, 200, 400, None]
    assert ours["gamma"]["variance"] == {"median": 1, "min": 1, "max": 1, "n": 4}
    # Frequencies 0.1 0.3 0.2 0.4 against times 1 2 3 4: five of six pairs in order.
    assert ours["gamma"]["frequency"]["median"] == pytest.approx(4 / 6)
    assert "half_time" not in simclr["pca"], "it reconstructs nothing"
    assert simclr["pca"]["decodability_half_time"]["order"] == [3, 2, 1, 0]
    assert {(test["basis"], test["quantity"]) for test in found["tests"]} == {
        (basis, "decodability_half_time") for basis in ("pca", "patch_pca", "radial", "dct")
    }
    assert all(test["p"] == test["least_p"] == test["p_holm"] == 2 / 2**4 for test in found["tests"]), "four seeds"
    assert all(test["paired"] and test["seeds"] == [0, 1, 2, 3] for test in found["tests"])
    json.dumps(found, allow_nan=False)


def test_runs_on_other_images_are_not_tested_against_each_other(tmp_path):
    runs = [write_run(tmp_path, "autoencoder", seed, [1, 2, 3, 4]) for seed in range(3)]
    runs += [write_run(tmp_path, "simclr", seed, [1, 2, 3, 4], fingerprint="others") for seed in range(3)]
    found = order_of_runs([RunDirectory(run.path) for run in runs])
    assert len(found["configurations"]) == 2
    assert found["tests"] == []


def test_what_was_analyzed_at_its_end_only_has_no_order(tmp_path):
    """Not known is not never: such a run would look as if it had learned nothing."""
    run = write_run(tmp_path, "autoencoder", 0, [None] * 4)
    content = json.loads(run.spectrum_file.read_text())
    run.spectrum_file.write_text(json.dumps(content | {"snapshots": content["snapshots"][-1:]}))
    with pytest.raises(UserError, match="no trained run with spectra"):
        ssl_bench.band_order(tmp_path)


def test_runs_measured_otherwise_are_no_further_seeds(tmp_path):
    for seed in range(2):
        run = write_run(tmp_path, "autoencoder", seed, [1, 2, 3, 4])
        content = json.loads(run.spectrum_file.read_text())
        run.spectrum_file.write_text(json.dumps(content | {"settings": {"fit_samples": 100 + seed}}))
    assert [len(one["runs"]) for one in ssl_bench.band_order(tmp_path)["configurations"]] == [1, 1]


def test_a_folder_without_spectra_is_a_mistake(tmp_path):
    write_run(tmp_path, "random", 0, [0, 0, 0, 0], step=0)
    with pytest.raises(UserError, match="holds no trained run with spectra: give the --out of compare"):
        ssl_bench.band_order(tmp_path)


def test_metrics_against_the_probe_over_all_runs():
    rows = [
        {
            "probe": {"linear_top1": top1},
            "spectrum": {"embedding": {"rankme": rank, "lidar": None, "uniformity": -top1}},
        }
        for top1, rank in ((0.1, 3.0), (0.2, 5.0), (0.3, 4.0), (0.4, 9.0), (0.5, 11.0))
    ]
    rows += [{"probe": None, "spectrum": None}]
    found = label_free(rows)
    assert found["rankme"]["spearman"] == pytest.approx(0.9)
    assert found["uniformity"]["spearman"] == pytest.approx(-1)
    assert found["lidar"] == {"spearman": None, "p": None, "n": 0}
    assert found["rankme"]["n"] == 5
