import csv
import json
import weakref

import pytest

from ssl_bench import completing, shelf
from ssl_bench.comparison import compare
from ssl_bench.config import DatasetConfig
from ssl_bench.data.load import load_dataset
from ssl_bench.errors import UserError
from ssl_bench.matrix import axes, baseline_cells, cells
from ssl_bench.objectives.autoencoder import Autoencoder
from ssl_bench.overrides import load_config
from ssl_bench.resolve import resolve
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.training.failure import TrainingFailed

SMALL = [
    "dataset=digits",
    "dataset.limit=300",
    "training.epochs=1",
    "training.batch_size=64",
    "training.snapshots=4",
    "analysis.fit_samples=200",
    "analysis.test_samples=100",
    "evaluation.learning_rates=[0.01,0.1]",
    "evaluation.probe_epochs=1",
    "backbone.latent_dim=16",
]
BAND = {
    "index",
    "low",
    "high",
    "variance_fraction",
    "relative_error",
    "half_time",
    "decodability",
    "decodability_half_time",
}


def fails(config, path, data):
    run = RunDirectory(path)
    run.claim(resolve(config, data))
    run.update(status="failed")
    raise TrainingFailed("the loss became nan")


def raw(*words):
    return load_config(None, [*SMALL, *words])


def names(configs):
    return [(config.objective.name, config.noise, config.views.noise, config.seed) for config in configs]


def test_the_matrix_is_every_combination_once():
    noise = "noise=[gaussian(sigma=0.5),power_law(alpha=1, sigma=0.3)]"
    found = names(
        cells(
            raw("objective=[autoencoder,denoising,simclr]", noise, "views.noise=[null,gaussian(sigma=1)]", "seed=[0,1]")
        )
    )
    expected = []
    for seed in (0, 1):
        expected += [("autoencoder", None, None, seed)]
        expected += [
            ("denoising", spec, None, seed) for spec in ("gaussian(sigma=0.5)", "power_law(alpha=1, sigma=0.3)")
        ]
        expected += [("simclr", None, views, seed) for views in (None, "gaussian(sigma=1)")]
    assert sorted(found, key=str) == sorted(expected, key=str)


def test_a_setting_that_is_a_list_itself_is_no_axis():
    assert axes(raw("views.crop_scale=[0.5,1]", "seed=[0,1]")) == {"seed": [0, 1]}
    assert axes(raw("views.crop_scale=[[0.5,1],[0.2,1]]")) == {"views.crop_scale": [[0.5, 1], [0.2, 1]]}
    assert axes(raw("dataset=spectral", "dataset.band=[0.2,0.35]", "dataset.share=[0.1,0.2]")) == {
        "dataset.share": [0.1, 0.2]
    }
    with pytest.raises(UserError, match="'seed' is an empty list"):
        axes({"seed": []})


def test_an_option_belongs_to_the_objective_that_has_it():
    found = cells(raw("objective=[mae,simclr]", "backbone=vit_micro", "objective.temperature=[0.1,0.2]"))
    assert [config.objective.model_extra for config in found] == [{}, {"temperature": 0.1}, {"temperature": 0.2}]
    both = cells(raw("dataset=[digits,spectral]", "dataset.limit=300", "dataset.size=16"))
    assert [config.dataset.model_extra for config in both] == [{}, {"size": 16}]


def test_baselines_once_a_backbone_and_seed_with_the_views_of_the_comparison():
    configs = cells(
        raw("objective=[autoencoder,simclr]", "views.flip=0", "views.noise=[null,gaussian(sigma=1)]", "seed=[0,1]")
    )
    made = baseline_cells(configs, ("supervised", "random", "pixels"))
    assert sorted(names(made)) == [
        ("pixels", None, None, 0),
        ("random", None, None, 0),
        ("random", None, None, 1),
        ("supervised", None, None, 0),
        ("supervised", None, None, 1),
    ]
    more = baseline_cells(cells(raw("objective=autoencoder", "training.epochs=[1,2]")), ("random", "supervised"))
    assert sorted(config.objective.name for config in more) == ["random", "supervised", "supervised"]
    assert {config.views.flip for config in made if config.objective.name == "supervised"} == {0}
    asked = cells(raw("objective=[supervised,simclr]"))
    assert [config.objective.name for config in baseline_cells(asked, ("supervised", "random"))] == ["random"]


def test_a_comparison_follows_the_contract(tmp_path):
    words = ["objective=[autoencoder,denoising,mae,simclr]", "backbone=vit_micro", "seed=[0,1]"]
    summary = compare(raw(*words), tmp_path / "out")
    assert summary == json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["schema"] == 1
    assert summary["chance"] == pytest.approx(0.1, abs=0.01)
    rows = summary["runs"]
    assert [(row["objective"], row["seed"]) for row in rows] == [
        (name, seed) for name in ("autoencoder", "denoising", "mae", "simclr") for seed in (0, 1)
    ]
    for row in rows + summary["baselines"]:
        assert row["status"] == "finished"
        assert {
            "id",
            "objective",
            "noise",
            "target",
            "backbone",
            "dataset",
            "seed",
            "epochs",
            "samples_seen",
            "seconds",
        } <= set(row)
        assert {"protocol", "linear_top1", "knn_top1", "selected_lr"} <= set(row["probe"])
        for basis in ("pca", "radial"):
            for band in row["spectrum"][basis]:
                assert set(band) >= BAND
                assert (band["relative_error"] is None) == (row["objective"] in ("simclr", "supervised", "random"))
            fractions = [band["variance_fraction"] for band in row["spectrum"][basis]]
            assert sum(fractions) == pytest.approx(1)
        pca = [band["variance_fraction"] for band in row["spectrum"]["pca"]]
        assert pca[0] == max(pca)
    by_name = {row["objective"]: row for row in rows}
    assert (by_name["denoising"]["noise"], by_name["autoencoder"]["noise"]) == ("gaussian(sigma=0.5)", None)
    assert (by_name["mae"]["epochs"], by_name["mae"]["samples_seen"]) == (1, 256)
    assert {row["objective"] for row in summary["baselines"]} == {"supervised", "random", "pixels"}
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<svg" in page
    with (tmp_path / "out" / "report.csv").open() as handle:
        assert len(list(csv.DictReader(handle))) == len(rows) + len(summary["baselines"])


def test_only_what_is_missing_is_run(tmp_path, monkeypatch):
    words = ["objective=[autoencoder,simclr]", 'baselines=["pixels"]']
    first = compare(raw(*words), tmp_path / "out")
    trained = []
    original = completing.pretrain

    def counted(config, path, data):
        if not RunDirectory(path).finished:
            trained.append((config.objective.name, config.seed))
        return original(config, path, data)

    monkeypatch.setattr(completing, "pretrain", counted)
    for verb in ("evaluate", "analyze"):
        monkeypatch.setattr(completing, verb, lambda *_: pytest.fail("measured already"))
    assert compare(raw(*words), tmp_path / "out") == first
    assert trained == []
    monkeypatch.undo()
    monkeypatch.setattr(completing, "pretrain", counted)
    second = compare(raw(*words, "seed=[0,1]"), tmp_path / "out")
    assert trained == [("autoencoder", 1), ("simclr", 1)]
    kept = [row | {"settings": {}} for row in second["runs"] if row["seed"] == 0]
    assert kept == [row | {"settings": {}} for row in first["runs"]]
    assert second["runs"][0]["settings"] == {"objective.name": "autoencoder", "seed": 0}


def test_changed_evaluation_measures_again_without_training_again(tmp_path):
    first = compare(raw("objective=autoencoder", "baselines=[]"), tmp_path / "out")["runs"][0]
    second = compare(raw("objective=autoencoder", "baselines=[]", "analysis.bands=4"), tmp_path / "out")["runs"][0]
    assert (first["id"], first["probe"]) == (second["id"], second["probe"])
    assert (len(first["spectrum"]["radial"]), len(second["spectrum"]["pca"])) == (4, 4)
    assert len(first["spectrum"]["pca"]) > 4


def test_a_failed_run_is_reported_and_the_others_go_on(tmp_path, monkeypatch):
    original = Autoencoder.step

    def breaks(self, batch, generator):
        output = original(self, batch, generator)
        return type(output)(output.loss * float("inf"))

    monkeypatch.setattr(Autoencoder, "step", breaks)
    summary = compare(raw("objective=[autoencoder,simclr]", "baselines=[]"), tmp_path / "out")
    assert [(row["objective"], row["status"]) for row in summary["runs"]] == [
        ("autoencoder", "failed"),
        ("simclr", "finished"),
    ]
    assert summary["runs"][0]["probe"] is None
    assert "loss became" in summary["runs"][0]["error"]
    assert "failed" in (tmp_path / "out" / "report.html").read_text()


def test_when_every_run_fails_there_is_a_summary_and_no_report(tmp_path, monkeypatch):
    monkeypatch.setattr(completing, "pretrain", fails)
    summary = compare(raw("objective=autoencoder", "baselines=[]"), tmp_path / "out")
    assert summary["runs"][0]["error"] == "the loss became nan"
    assert (tmp_path / "out" / "summary.json").exists()
    assert not (tmp_path / "out" / "report.html").exists()


def watched(monkeypatch, pretrain=fails):
    """What a comparison loads, and in which order it runs what, with how many datasets in memory."""
    loaded, alive, ran = [], [], []
    original = shelf.load_dataset

    def load(config):
        loaded.append(f"{config.name} {config.subspace}")
        data = original(config)
        alive.append(weakref.ref(data))
        return data

    def run(config, path, data):
        there = [reference for reference in alive if reference() is not None]
        ran.append((config.dataset.name, config.objective.name, config.seed, len(there)))
        return pretrain(config, path, data)

    monkeypatch.setattr(shelf, "load_dataset", load)
    monkeypatch.setattr(completing, "pretrain", run)
    return loaded, ran


def test_a_dataset_is_loaded_once_for_all_its_runs(tmp_path, monkeypatch):
    loaded, ran = watched(monkeypatch)
    compare(raw("objective=[autoencoder,simclr]", "seed=[0,1]"), tmp_path / "out")
    assert len(ran) == 9
    assert loaded == ["digits None"]


def test_of_many_datasets_one_is_kept_and_the_rows_are_in_the_order_of_the_matrix(tmp_path, monkeypatch):
    loaded, ran = watched(monkeypatch)
    words = ["objective=[autoencoder,simclr]", "dataset.limit=[300,200,250]", "baselines=[random]"]
    settings = raw(*words, "dataset.test_limit=50")
    settings["dataset"] = settings.pop("dataset")  # the axis that changes fastest
    summary = compare(settings, tmp_path / "out")
    # Once before anything is run, to see that all can be, and once for the runs.
    assert len(loaded) == 6
    assert [name for _, name, _, _ in ran] == ["autoencoder", "simclr", "random"] * 3
    assert {there for _, _, _, there in ran} == {1}
    rows = [(row["settings"]["objective.name"], row["settings"]["dataset.limit"]) for row in summary["runs"]]
    assert rows == [(name, limit) for name in ("autoencoder", "simclr") for limit in (300, 200, 250)]
    assert summary["chance"] == load_dataset(DatasetConfig(limit=300, test_limit=50)).chance


def test_a_bench_serves_the_runs_of_a_dataset_and_goes_with_it(tmp_path, monkeypatch):
    loaded, _ = watched(monkeypatch, completing.pretrain)
    benches = []
    original = shelf.make_bench

    def make(data, settings):
        bench = original(data, settings)
        benches.append((len(data.train), weakref.ref(bench)))
        return bench

    monkeypatch.setattr(shelf, "make_bench", make)
    for verb in ("evaluate", "analyze"):
        monkeypatch.setattr(completing, verb, lambda *_: None)
    words = ["objective=[autoencoder,simclr]", "dataset.limit=[300,200,250]", "training.epochs=0", "baselines=[]"]
    compare(raw(*words), tmp_path / "out")
    assert [size for size, _ in benches] == [300, 200, 250]
    assert [bench() is None for _, bench in benches] == [True, True, True]
    assert len(loaded) == 6


def test_subspaces_are_checked_before_anything_runs_without_projecting(tmp_path, monkeypatch):
    loaded, _ = watched(monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr("ssl_bench.data.load.project", lambda *_: pytest.fail("projected"))
        words = ["objective=autoencoder", "dataset.subspace=[null,bottom(share=0.2),top(share=0.01)]"]
        with pytest.raises(UserError, match=r"subspace 'top\(share=0.01\)' is empty"):
            compare(raw(*words), tmp_path / "out")
    assert loaded == ["digits None"]
    assert not (tmp_path / "out").exists()
    compare(raw(*words[:1], "dataset.subspace=[null,bottom(share=0.2)]", "baselines=[]"), tmp_path / "out")
    assert loaded == ["digits None", "digits None", "digits bottom(share=0.2)"]


def test_every_dataset_is_looked_at_before_anything_runs(tmp_path):
    with pytest.raises(UserError, match="limit = 1438 is more than its 1437"):
        compare(raw("objective=autoencoder", "dataset.limit=[300,1438]"), tmp_path / "out")
    with pytest.raises(UserError, match="batch_size=64 is larger than the dataset: with 60"):
        compare(raw("objective=autoencoder", "dataset.limit=[300,60]"), tmp_path / "out")
    words = ["evaluation.probes=few_shot", "evaluation.shots=20", "dataset.limit=[300,100]"]
    with pytest.raises(UserError, match=r"evaluation\.shots=20: the smallest class has"):
        compare(raw("objective=autoencoder", *words), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(UserError, match="no comparison"):
        compare(raw("objective=autoencoder"), tmp_path)
    assert (tmp_path / "report.html").read_text() == "mine"


def test_an_objective_no_backbone_suits_is_a_mistake_and_one_that_some_suit_is_skipped(tmp_path):
    with pytest.raises(UserError, match="use a ViT"):
        compare(raw("objective=[autoencoder,mae]", "backbone=resnet_micro"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    words = ["objective=mae", "backbone=[vit_micro,resnet_micro]", "baselines=[]"]
    summary = compare(raw(*words), tmp_path / "out")
    assert [row["backbone"] for row in summary["runs"]] == ["vit_micro"]
    assert summary["skipped"][0]["backbone"] == "resnet_micro"
    assert "use a ViT" in summary["skipped"][0]["reason"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["objective=[autoencoder,simclear]"], "did you mean 'simclr'"),
        (["objective=simclr", "objective.temprature=[0.1,0.2]"], "did you mean 'temperature'"),
        (["baselines=[pixles]"], "did you mean 'pixels'"),
        (["training.epoch=[1,2]"], "did you mean 'epochs'"),
        (["seed=[0,zero]"], "'seed' = 'zero'"),
        (["evaluation.probe_epochs=[5,20]"], "'evaluation.probe_epochs' does not change a run"),
        (["evaluation.layer=99"], "layer=99: resnet_micro has blocks 1 to 3"),
        (["evaluation.probes=few_shot", "evaluation.shots=400"], "evaluation.shots=400: the smallest class has"),
        (["evaluation.probes=[ridge,lineer]"], "unknown probe 'lineer'; did you mean 'linear'?"),
        (["evaluation.snapshot=3"], "the last snapshot or all"),
        (["training.epochs=true"], "'training.epochs' = True"),
        (["evaluation.learning_rates=[-1]"], "learning_rates"),
        (["objective=simclr", "training.accumulate=64"], "one image at a time"),
    ],
)
def test_mistakes_are_found_before_anything_runs(tmp_path, words, message):
    with pytest.raises(UserError, match=message):
        compare(raw(*words), tmp_path / "out")
    assert not (tmp_path / "out").exists()
