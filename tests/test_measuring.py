"""The verbs on a run: what is measured once stays, what is missing is added, what it cost is recorded."""

import json

import pytest
import torch
from conftest import make_config

from ssl_bench import measuring
from ssl_bench.config import AnalysisConfig, EvaluationConfig
from ssl_bench.data.load import load_dataset
from ssl_bench.errors import UserError
from ssl_bench.evaluation.evaluator import evaluation_question, probe
from ssl_bench.evaluation.subject import Subject
from ssl_bench.measuring import analyze, evaluate
from ssl_bench.spectrum.readout import make_readout
from ssl_bench.subjects import load_subject
from ssl_bench.training.pretraining import pretrain

SMALL = ["analysis.view_samples=20", "analysis.views=3", "analysis.altered_samples=20", "analysis.wave_samples=1"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = make_config("objective=autoencoder", *SMALL)
    return pretrain(config, tmp_path_factory.mktemp("runs") / "run", load_dataset(config.dataset))


def read(file):
    return json.loads(file.read_text())


def test_an_interrupted_analysis_goes_on_where_it_was(run, monkeypatch):
    steps = list(run.snapshots())
    measured = []
    real = measuring.measure

    def stops(bench, subject, cache, *, last):
        if len(measured) == 2:
            raise KeyboardInterrupt
        measured.append(subject.step)
        return real(bench, subject, cache, last=last)

    monkeypatch.setattr(measuring, "measure", stops)
    with pytest.raises(KeyboardInterrupt):
        analyze(run.path)
    assert [row["step"] for row in read(run.spectrum_file)["snapshots"]] == steps[:2]
    monkeypatch.setattr(measuring, "measure", real)
    before = read(run.spectrum_file)["snapshots"][0]
    result = analyze(run.path)
    assert [row["step"] for row in result["snapshots"]] == steps
    assert read(run.spectrum_file)["snapshots"][0] == before, "what was there is not measured again"
    record = run.record()["timings"]
    assert record["analyze_seconds"] == pytest.approx(sum(record["analyze_parts"].values()), abs=0.01)
    assert {"features", "decodability", "sensitivity", "r2_gap", "embedding"} <= set(record["analyze_parts"])


def test_an_analysis_holds_all_bases_and_the_whole_embedding(run):
    result = analyze(run.path)
    for basis in ("pca", "patch_pca", "radial", "dct"):
        assert sum(band["variance_fraction"] for band in result[basis]) == pytest.approx(1, abs=1e-6)
        assert all(band["decodability_chance"] is not None for band in result[basis])
    assert all(band["accuracy_low"] is not None for band in result["radial"])
    assert all(band["sensitivity"] is None for band in result["pca"]), "images are altered by frequency alone"
    assert result["embedding"]["lidar"] is not None
    assert result["snapshots"][0]["embedding"]["lidar"] is None, "views are embedded at the end of a run"
    assert len(result["embedding_spectrum"]) == 16
    from safetensors.torch import load_file

    arrays = load_file(run.arrays_file)
    assert arrays["images"].shape == (8, 1, 8, 8)
    for step in run.snapshots():
        assert arrays[f"heat_displacement/{step}"].shape == arrays[f"heat_error/{step}"].shape == (8, 5)
        assert arrays[f"heat_rows/{step}"].shape == (8,)


def test_an_analysis_reads_the_features_that_an_evaluation_left(run, monkeypatch):
    """Of all images, at all snapshots; and what it says is what it says without them."""
    data = load_dataset(run.config().dataset)
    fresh = analyze(run.path, run.config().analysis.model_copy(update={"bands": 3}), data)["snapshots"]
    evaluate(run.path, EvaluationConfig(snapshot="all"), data)
    monkeypatch.setattr("ssl_bench.evaluation.features._made", lambda *asked: pytest.fail("embedded again"))
    for file in run.cache.glob("features_*_*"):
        file.unlink()
    run.spectrum_file.unlink()
    read = analyze(run.path, run.config().analysis.model_copy(update={"bands": 3}), data)["snapshots"]
    for one, other in zip(fresh, read, strict=True):
        assert one["pca"]["decodability"] == pytest.approx(other["pca"]["decodability"], abs=1e-5)
        assert one["embedding"]["rankme"] == pytest.approx(other["embedding"]["rankme"], rel=1e-5)


def test_what_regressions_share_is_made_once_a_snapshot(run, monkeypatch):
    made = []

    def counted(*embeddings):
        made.append(embeddings)
        return make_readout(*embeddings)

    for module in ("curves", "bench", "bands"):
        monkeypatch.setattr(f"ssl_bench.spectrum.{module}.make_readout", counted)
    analyze(run.path, run.config().analysis.model_copy(update={"bands": 4, "snapshot": "last"}))
    assert len(made) == 2, "the embedding's, and that of chance"


def test_measurements_are_in_full_precision_whatever_training_was_allowed(run, monkeypatch):
    def precision(*asked, **kept):
        raise UserError(f"{torch.get_float32_matmul_precision()} {torch.backends.cudnn.allow_tf32}")

    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("high")
        for verb in (evaluate, analyze):
            monkeypatch.setattr(measuring, "open_run", precision)
            with pytest.raises(UserError, match="highest False"):
                verb(run.path)
            assert torch.get_float32_matmul_precision() == "high"
            assert torch.backends.cudnn.allow_tf32
    finally:
        torch.set_float32_matmul_precision(before)


def test_an_evaluation_holds_every_probe_and_its_cost(run):
    asked = EvaluationConfig(probes=("ridge", "few_shot"), shots=(1, 2), draws=3)
    result = evaluate(run.path, asked)
    assert list(result["probes"]) == ["linear", "knn", "ridge", "few_shot"]
    for name, found in result["probes"].items():
        low, high = found["interval"]
        assert low <= found["top1"] <= high, name
        assert len(found["per_class"]) == 10
        assert found["protocol"] == f"{name}/1"
    assert result["linear_top1"] == result["probes"]["linear"]["top1"]
    assert result["selected_lr"] == result["probes"]["linear"]["chosen"]["learning_rate"]
    assert [row["shots"] for row in result["probes"]["few_shot"]["shots"]] == [1, 2]
    assert set(result["probes"]["knn"]["others"]) == {"k=20", "k=1", "k=5", "k=200"}
    assert {"features", "linear", "knn", "ridge", "few_shot"} <= set(run.record()["timings"]["evaluate_parts"])
    assert result["head_top1"] is None, "an autoencoder has no classifier"


def test_accuracies_of_classes_add_up_to_the_accuracy(run):
    data = load_dataset(run.config().dataset)
    result = evaluate(run.path)
    count = torch.bincount(data.test.labels, minlength=10).tolist()
    per_class = result["probes"]["linear"]["per_class"]
    total = sum(share * number for share, number in zip(per_class, count, strict=True)) / len(data.test)
    assert total == pytest.approx(result["linear_top1"])


def test_noise_in_place_of_the_test_labels_changes_nothing_that_was_chosen(run):
    config, data = run.config(), load_dataset(run.config().dataset)
    asked = EvaluationConfig(probes=("ridge", "logistic"))
    subject = load_subject(run, config, data, list(run.snapshots())[-1])
    honest = probe(subject, data, asked, None)
    noise = torch.randint(0, 10, data.test.labels.shape, generator=torch.Generator().manual_seed(0))
    spoiled_data = type(data)(data.name, data.train, type(data.test)(data.test.images, noise), data.classes)
    spoiled = probe(subject, spoiled_data, asked, None)
    for name in honest["probes"]:
        one, other = honest["probes"][name], spoiled["probes"][name]
        assert (one["chosen"], one["held_out_top1"]) == (other["chosen"], other["held_out_top1"])
        assert one["top1"] != other["top1"]
        assert other["top1"] < 0.2, "noise is answered at chance"


def test_feature_points_are_different_questions(run):
    embedding = evaluate(run.path)
    pooled = evaluate(run.path, EvaluationConfig(feature_point="mean"))
    shallow = evaluate(run.path, EvaluationConfig(layer=1))
    names = [result["feature_point"] for result in (embedding, pooled, shallow)]
    assert names == ["embedding", "mean", "layer 1, mean"]
    assert len({result["linear_top1"] for result in (embedding, pooled, shallow)}) > 1
    for asked, words in (
        (EvaluationConfig(feature_point="cls"), "resnet_micro has no class token: use feature_point=mean"),
        (EvaluationConfig(layer=9), "layer=9: resnet_micro has blocks 1 to 3"),
    ):
        with pytest.raises(UserError, match=words):
            evaluate(run.path, asked)
    evaluate(run.path)


def test_asking_for_less_takes_nothing_away_and_other_settings_are_kept_aside(run, capsys):
    asked = EvaluationConfig(probes=("ridge",), learning_rates=(0.01, 0.1))
    evaluate(run.path, asked.model_copy(update={"snapshot": "all"}))
    less = evaluate(run.path, EvaluationConfig(learning_rates=(0.01, 0.1)))
    assert "ridge" in less["probes"]
    assert [row["step"] for row in read(run.evaluation_file)["snapshots"]] == list(run.snapshots())
    capsys.readouterr()
    evaluate(run.path, EvaluationConfig(learning_rates=(0.03,)))
    assert "kept as evaluation.previous.json" in capsys.readouterr().err
    kept = read(run.path / "evaluation.previous.json")
    assert [row["step"] for row in kept["snapshots"]] == list(run.snapshots())
    assert kept["settings"]["probes"] == ["ridge"]


def test_a_question_that_cannot_be_answered_leaves_the_answers_there_are(run):
    evaluate(run.path)
    before = run.evaluation_file.read_bytes()
    with pytest.raises(UserError, match="layer=9"):
        evaluate(run.path, EvaluationConfig(layer=9))
    assert run.evaluation_file.read_bytes() == before


def test_every_probe_says_what_it_read(run):
    asked = EvaluationConfig(layer=1, probes=("finetune",), finetune_epochs=1)
    points = {name: one["feature_point"] for name, one in evaluate(run.path, asked)["probes"].items()}
    assert points == {"linear": "layer 1, mean", "knn": "layer 1, mean", "finetune": "embedding"}


def test_settings_of_a_probe_that_is_not_asked_are_no_part_of_the_question():
    assert evaluation_question(EvaluationConfig(draws=3)) == evaluation_question(EvaluationConfig())
    asked = EvaluationConfig(probes=("few_shot",))
    assert evaluation_question(asked) != evaluation_question(asked.model_copy(update={"draws": 3}))


def test_a_supervised_run_answers_with_its_own_classifier_too(tmp_path):
    config = make_config("objective=supervised", "training.epochs=6")
    run = pretrain(config, tmp_path / "run", load_dataset(config.dataset))
    result = evaluate(run.path)
    assert result["head_top1"] == result["probes"]["head"]["top1"] > 0.2


def constant_subject(value):
    return Subject("an encoder", lambda images, point: torch.full((len(images), 4), value), "w")


@pytest.mark.parametrize(
    ("value", "words"),
    [(1.0, "features are the same for every training image"), (float("nan"), "features of digits are not finite")],
)
def test_features_that_say_nothing_are_refused_in_one_line(value, words):
    data = load_dataset(make_config().dataset)
    with pytest.raises(UserError, match=words):
        probe(constant_subject(value), data, EvaluationConfig(), None)


def test_an_embedding_that_does_not_vary_is_not_analyzed():
    data = load_dataset(make_config().dataset)
    settings = AnalysisConfig(fit_samples=60, test_samples=40, altered_samples=10, view_samples=10, views=2)
    bench = measuring.make_bench(data, settings)
    with pytest.raises(UserError, match="same for every"):
        measuring.measure(bench, constant_subject(1.0), None, last=True)
