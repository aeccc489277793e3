"""Reports say what lies on disk, failures too; they escape it, load nothing, and are whole or not there."""

import csv
import json
import re
import shlex
import statistics
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from safetensors.numpy import save_file
from scipy.stats import t as scipy_t
from scipy.stats import ttest_1samp, ttest_rel

from ssl_bench.across_runs import label_free
from ssl_bench.config import Config, identity, to_yaml
from ssl_bench.errors import UserError
from ssl_bench.files import write_json
from ssl_bench.matrix import BASELINES, cells
from ssl_bench.overrides import load_config
from ssl_bench.reporting import report as write_report
from ssl_bench.reporting.bands import band_row, mean_curves
from ssl_bench.reporting.capacity import capacity_sentence
from ssl_bench.reporting.cautions import cautions
from ssl_bench.reporting.collect import REFERENCES, collect
from ssl_bench.reporting.content import make_content
from ssl_bench.reporting.figures import Span, column_edges
from ssl_bench.reporting.groups import make_blocks
from ssl_bench.reporting.headline import headline
from ssl_bench.reporting.more_tables import _sequence, metrics_table, order_tables, probes_table
from ssl_bench.reporting.numbers import NOTHING, decimal, half_time
from ssl_bench.reporting.spread import spread
from ssl_bench.reporting.tables import probe_table
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.runs.summary import summarise_run

SAMPLES = [0, 256, 512, 1024, 2048, 4096]
BANDS = 3


def make_config(objective="autoencoder", seed=0, dataset="digits", **sections):
    return Config.model_validate(
        {
            "objective": {"name": objective},
            "seed": seed,
            "dataset": {"name": dataset},
            "backbone": {"name": "resnet_micro", "embedding": "latent"},
            **sections,
        }
    )


def make_run(
    folder, config, top1=0.9, status="finished", error=None, half_times=(300.0, 700.0, None), fingerprint="f00d"
):
    """A run directory as pretrain, evaluate and analyze leave it."""
    path = folder / f"{config.objective.name}_seed{config.seed}_{identity(config)}"
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(to_yaml(config))
    trains = config.objective.name not in ("random", "pixels")
    seen = SAMPLES if trains else [0]
    record = {
        "schema": 1,
        "id": identity(config),
        "status": status,
        "created": "2026-01-02T03:04:05+00:00",
        "versions": {"python": "3.11.7", "torch": "2.6.0"},
        "git": "abc123",
        "hardware": {"processor": "a processor", "cores": 2, "threads": 1, "gpu": None},
        "error": error,
        "backbone": {
            "name": "resnet_micro",
            "embedding": "latent",
            "dim": 64,
            "image_size": 8,
            "adaptation": {"stem": "3x3"},
        },
        "dataset": {"name": config.dataset.name, "fingerprint": fingerprint, "train_samples": 1280, "chance": 0.1},
        "weights": {"backbone": 1000},
        "precision": "32-true",
        "device": "cpu",
        "progress": {"step": seen[-1] // 256, "samples_seen": seen[-1]},
        "timings": {"train_seconds": 12.5},
    }
    write_json(path / "run.json", record)
    rows = [{"step": s // 256, "samples_seen": s, "name": "loss", "value": 1 / s} for s in seen[1:]]
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"step": 9, "na')
    if status == "finished":
        make_evaluation(path, config, top1)
        make_spectrum(path, config, seen, half_times)
    return path


def make_evaluation(path, config, top1):
    entry = {
        "step": 16 if config.objective.name not in ("random", "pixels") else 0,
        "samples_seen": 4096,
        "linear_top1": top1,
        "linear_interval": [top1 - 0.02, top1 + 0.02],
        "held_out_top1": top1,
        "selected_lr": 0.03,
        "knn_top1": top1 - 0.05,
        "train_samples": 1152,
        "held_out_samples": 128,
        "test_samples": 360,
    }
    common = {"schema": 1, "protocol": "linear/1", "knn_protocol": "knn/1", "chance": 0.1}
    settings = config.evaluation.model_dump(mode="json")
    write_json(path / "evaluation.json", {**common, "settings": settings, "snapshots": [entry]})


def make_spectrum(path, config, seen, half_times):
    decodes = config.objective.name == "autoencoder"
    rng = np.random.default_rng(config.seed)
    rows = []
    for samples in seen:
        learned = [samples / (samples + 300 * 3.0**band) + 0.01 * rng.random() for band in range(BANDS)]
        values = {"decodability": learned, "relative_error": [1 - value for value in learned] if decodes else None}
        rows.append({"step": samples // 256, "samples_seen": samples, "pca": values, "radial": values})
    bands = []
    for index in range(BANDS):
        last = {key: None if values is None else values[index] for key, values in rows[-1]["pca"].items()}
        times = {"half_time": half_times[index] if decodes else None, "decodability_half_time": half_times[index]}
        edges = {"index": index, "low": index, "high": index, "variance_fraction": 0.5**index}
        edges |= {"directions": 1, "frequency": 0.1 * (index + 1)}
        bands.append({**edges, **last, **times})
    order = {"half_time": 1.0 if decodes else None, "decodability_half_time": 0.5}
    settings = config.analysis.model_dump(mode="json", exclude={"snapshot"})
    content = {"settings": settings, "pca": bands, "radial": bands, "order": {"pca": order, "radial": order}}
    content |= {"embedding": {"rankme": 10.0 + config.seed, "lidar": None, "uniformity": -rows[-1]["step"] / 7}}
    write_json(path / "spectrum.json", {**content, "snapshots": rows})
    images = {"images": rng.random((8, 3, 8, 8), dtype=np.float32)}
    save_file(images | ({"reconstructions": images["images"]} if decodes else {}), path / "spectrum.safetensors")


def make_comparison(folder, top1s, baselines=None, skipped=()):
    """A comparison: ``top1s`` maps an objective to the accuracies of its seeds."""

    def runs(wanted):
        return [
            make_run(folder / "runs", make_config(name, seed), top1)
            for name, values in wanted.items()
            for seed, top1 in enumerate(values)
        ]

    main, references = runs(top1s), runs(baselines or {})

    def rows(paths):
        return [summarise_run(RunDirectory(path)) for path in paths]

    summary = {"schema": 1, "chance": 0.1, "runs": rows(main), "baselines": rows(references), "skipped": list(skipped)}
    write_json(folder / "summary.json", summary)
    return folder


@pytest.fixture
def comparison(tmp_path):
    skipped = [{"objective": "mae", "backbone": "resnet_micro", "reason": "it cannot drop tokens"}]
    top1s = {"autoencoder": [0.80, 0.84], "simclr": [0.90, 0.91]}
    folder = make_comparison(tmp_path / "cmp", top1s, {"supervised": [0.95, 0.96], "random": [0.5, 0.6]}, skipped)
    failed = make_run(folder / "runs", make_config("simclr", 2), status="failed", error="the loss became nan by step 7")
    summary = json.loads((folder / "summary.json").read_text())
    summary["runs"].append(summarise_run(RunDirectory(failed)))
    write_json(folder / "summary.json", summary)
    return folder


def report(tmp_path, *directories):
    """HTML, Markdown and the rows of the CSV of a report."""
    file = write_report(directories, tmp_path / "out" / "report.html")
    with file.with_suffix(".csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    return file.read_text(), file.with_suffix(".md").read_text(), rows


def blocks_of(*directories):
    return make_blocks(collect(directories).runs)[0]


def headline_of(tmp_path, top1s, baselines=None):
    (block,) = blocks_of(make_comparison(tmp_path / "cmp", top1s, baselines))
    return " ".join(headline(block))


class Page(HTMLParser):
    """What a page holds: attributes of all elements, and its visible text."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text = [], ""
        self.feed(text)
        self.text = self.text.replace("\N{NO-BREAK SPACE}", " ")

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_probe_table_holds_means_and_deviations_over_seeds(comparison):
    (block,) = blocks_of(comparison)
    rows = {row.cells[0].text: [cell.text for cell in row.cells] for row in probe_table(block).rows}
    values = [0.80, 0.84]
    expected = f"{100 * statistics.mean(values):.1f} ± {100 * statistics.stdev(values):.1f}"
    ends = scipy_t.interval(0.95, 1, loc=statistics.mean(values), scale=statistics.stdev(values) / 2**0.5)
    interval = f"{100 * ends[0]:.1f} to {100 * min(ends[1], 1):.1f}"
    assert rows["autoencoder"][1:5] == [expected, "2", interval, "77.0 ± 2.8"]
    notes = {row.cells[0].text: row.cells[3].note for row in probe_table(block).rows}
    assert notes["autoencoder"] == "seeds 80.0 to 84.0"
    assert rows["autoencoder"][7:10] == ["3.2", "4,096", "12.5"]
    # The failed third seed is in no number, but in the status.
    assert rows["simclr"][1:3] == ["90.5 ± 0.7", "2"]
    assert rows["simclr"][-1] == "2 finished, 1 failed"
    # Best first, then reference lines.
    assert list(rows) == ["simclr", "autoencoder", "supervised", "random"]
    assert [row.reference for row in probe_table(block).rows] == [False, False, True, True]


def test_markdown_and_page_hold_the_same_cells(comparison, tmp_path):
    html, markdown, _ = report(tmp_path, comparison)
    for text in ("90.5 ± 0.7", "82.0 ± 2.8", "95.5 ± 0.7", "2 finished, 1 failed"):
        assert text in Page(html).text
        assert text in markdown
    assert "Chance (the commonest class) is 10.0 %" in Page(html).text


def test_one_seed_shows_its_bootstrap_interval_and_says_so(tmp_path):
    (block,) = blocks_of(make_comparison(tmp_path / "cmp", {"simclr": [0.9]}))
    cell = probe_table(block).rows[0].cells[1]
    assert (cell.text, cell.note) == ("90.0", "[88.0, 92.0] bootstrap")


def test_interval_of_the_mean_is_students():
    values = [0.5, 0.52, 0.57]
    interval = ttest_1samp(values, 0).confidence_interval(0.95)
    assert spread(values).interval == pytest.approx((interval.low, interval.high))
    assert spread([0.97, 1.0]).interval[1] == 1


def test_headline_with_three_seeds(tmp_path):
    words = headline_of(tmp_path, {"autoencoder": [0.5, 0.51, 0.5], "simclr": [0.9, 0.91, 0.92]})
    assert "simclr has the highest mean linear probe: 91.0 % (sd 1.0 over n = 3 seeds" in words
    assert "chance is 10.0 %" in words
    test = ttest_rel([0.9, 0.91, 0.92], [0.5, 0.51, 0.5])
    low, high = (100 * end for end in test.confidence_interval(0.95))
    assert "It is better than every other configuration; against autoencoder the difference is +40.7 points" in words
    assert f"95 % interval +{low:.1f} to +{high:.1f}; corrected p <0.001; n = 3 shared seeds" in words
    assert test.pvalue < 0.0005
    assert "autoencoder holds 85.8 % of the images' variance (R² 0.94 of the lowest frequencies, 0.61" in words


def test_headline_tells_no_difference_where_seeds_scatter(tmp_path):
    words = headline_of(
        tmp_path, {"autoencoder": [0.88, 0.92, 0.9], "simclr": [0.9, 0.91, 0.92], "mae": [0.7, 0.95, 0.9]}
    )
    assert (
        "It is not told apart from autoencoder and mae (+6.0 points); against autoencoder the difference is +1.0 points"
        in words
    )
    assert "corrected by Holm for the 3 pairs tested" in words


def test_headline_with_one_seed_tells_nothing_apart(tmp_path):
    words = headline_of(tmp_path, {"autoencoder": [0.3], "simclr": [0.9]}, {"pixels": [0.95]})
    assert "90.0 % (n = 1 seed; 95 % bootstrap interval over test images 88.0 to 92.0)" in words
    assert "One seed cannot tell whether it is better than autoencoder" in words
    assert "against autoencoder the difference is +60.0 points." in words
    assert "chance is 10.0 %; without any training, pixels does at least as well." in words


def test_headline_with_one_seed_names_four(tmp_path):
    many = {name: [0.9 - 0.1 * place] for place, name in enumerate(["simclr", "mae", "autoencoder", "denoising"])}
    many |= {"vicreg": [0.4], "byol": [0.3], "dino": [0.2]}
    words = headline_of(tmp_path, many)
    assert "better than mae, autoencoder, denoising, vicreg and 2 others: against mae" in words


def test_the_first_sentence_says_where_learning_nothing_does_as_well(tmp_path):
    top1s = {"autoencoder": [0.3, 0.32], "simclr": [0.4, 0.43]}
    folder = make_comparison(tmp_path / "cmp", top1s, {"pixels": [0.95], "random": [0.9], "supervised": [0.97]})
    (block,) = blocks_of(folder)
    first, *rest = headline(block)
    assert "without any training, pixels and random do at least as well." in first
    assert "Reference lines: supervised 97.0 %, pixels 95.0 %, random 90.0 %." in rest


def test_headline_of_reference_lines_alone_names_them(tmp_path):
    (block,) = blocks_of(make_comparison(tmp_path / "cmp", {}, {"pixels": [0.6], "random": [0.5]}))
    assert headline(block) == [
        "On digits, only reference lines have a linear probe: pixels 60.0 %, random 50.0 %; chance is 10.0 %."
    ]


def test_what_embeddings_hold_stands_beside_the_untrained_backbone(tmp_path):
    names = ["autoencoder", "simclr", "mae", "denoising", "byol", "dino"]
    folder = make_comparison(tmp_path / "cmp", {name: [0.5] for name in names}, {"random": [0.4]})
    (block,) = blocks_of(folder)
    (words,) = capacity_sentence(block)
    assert words.count("holds") == 4
    assert re.search(r"; 2 more stand below; untrained \d+\.\d %\.$", words)


def test_what_an_embedding_holds_is_told_in_bands_without_the_border_and_beside_chance(comparison):
    """The border of an image is in every Fourier band: the cosine transform, which has none, comes first."""
    parts = [(0.6, 0.9, 0.8), (0.3, 0.5, 0.4), (0.1, -0.2, 0.1)]
    keys = ("variance_fraction", "decodability", "decodability_chance")
    for file in (comparison / "runs").glob("autoencoder*/spectrum.json"):
        spectrum = json.loads(file.read_text())
        write_json(file, spectrum | {"dct": [dict(zip(keys, band, strict=True)) for band in parts]})
    (next((comparison / "runs").glob("simclr_seed0*")) / "spectrum.json").unlink()
    (words,) = capacity_sentence(blocks_of(comparison)[0])
    said = "autoencoder holds 69.0 % of the images' variance (R² 0.90 of the lowest frequencies, 0.00 of the highest; "
    assert said + "chance 61.0 %)" in words
    assert words.endswith("Chance is what as many random directions of the pixels hold.")


def test_headline_names_ties(tmp_path):
    words = headline_of(tmp_path, {"autoencoder": [0.9, 0.8], "simclr": [0.8, 0.9]})
    assert "autoencoder and simclr share the highest mean linear probe: 85.0 %" in words
    assert "not told apart from" not in words, "of itself nothing is told apart"
    words = headline_of(tmp_path / "three", {"autoencoder": [0.9, 0.8], "simclr": [0.8, 0.9], "mae": [0.5, 0.8]})
    assert "They are not told apart from mae; autoencoder against mae the difference is +20.0 points" in words


def test_failed_skipped_and_unfinished_are_listed(comparison, tmp_path):
    other = tmp_path / "more"
    make_run(other, make_config("mae", 5), status="running")
    html, markdown, rows = report(tmp_path, comparison, other)
    for text in (
        "the loss became nan by step 7",
        "it cannot drop tokens",
        "mae on resnet_micro",
        "running, last saved after 4,096 samples",
    ):
        assert text in Page(html).text
        assert text in markdown
    assert sorted({row["status"] for row in rows}) == ["failed", "finished", "running"]
    assert "Runs in no mean: 1 failed, 1 running" in markdown


def test_a_damaged_run_is_listed_and_the_others_are_shown(comparison, tmp_path):
    broken = next((comparison / "runs").glob("autoencoder_seed1*"))
    (broken / "evaluation.json").write_text("{")
    html, _, rows = report(tmp_path, comparison)
    assert broken.name in Page(html).text
    assert "cannot be read" in Page(html).text
    assert broken.name not in {row["directory"] for row in rows}


def test_the_same_seed_twice_is_not_two_seeds(comparison, tmp_path):
    copy = make_run(tmp_path / "copy", make_config("autoencoder", 0), top1=0.1)
    blocks, notices = make_blocks(collect([comparison, copy]).runs)
    assert {group.label: group.linear.n for group in blocks[0].main} == {"autoencoder": 2, "simclr": 2}
    assert [notice.what for notice in notices] == [copy.name]


def test_runs_that_differ_in_a_setting_are_two_rows_that_say_which(tmp_path):
    for epochs in (5, 10):
        make_run(tmp_path / "runs", make_config(training={"epochs": epochs}))
    (block,) = blocks_of(tmp_path / "runs")
    assert {group.label for group in block.main} == {
        "autoencoder, training.epochs=5",
        "autoencoder, training.epochs=10",
    }


def test_other_images_under_one_name_are_another_dataset(tmp_path):
    make_run(tmp_path / "a", make_config("autoencoder"), fingerprint="aaaa")
    make_run(tmp_path / "b", make_config("simclr"), fingerprint="bbbb")
    assert [("aaaa" in block.dataset, len(block.main)) for block in blocks_of(tmp_path)] == [(True, 1), (False, 1)]


def test_a_further_probe_of_one_seed_splits_no_configuration(tmp_path):
    make_run(tmp_path / "runs", make_config("autoencoder", 0))
    make_run(tmp_path / "runs", make_config("autoencoder", 1, evaluation={"probes": ["ridge"], "shots": [2]}))
    make_run(tmp_path / "runs", make_config("mae", 0))
    make_run(tmp_path / "runs", make_config("mae", 1, evaluation={"probes": ["finetune"], "finetune_epochs": 3}))
    (block,) = blocks_of(tmp_path / "runs")
    assert {group.label: group.linear.n for group in block.main} == {"autoencoder": 2, "mae": 2}
    assert cautions(block) == []
    make_run(tmp_path / "runs", make_config("simclr", 0, evaluation={"knn_k": [5]}))
    (block,) = blocks_of(tmp_path / "runs")
    assert any("do not compare strictly" in sentence for sentence in cautions(block))


def read_by_knn(folder, values):
    """Gives each objective's runs this k-NN accuracy, whatever their linear probe says."""
    for name, value in values.items():
        for path in (folder / "runs").glob(f"{name}_seed*"):
            content = json.loads((path / "evaluation.json").read_text())
            content["snapshots"][-1]["knn_top1"] = value
            write_json(path / "evaluation.json", content)
    (block,) = blocks_of(folder)
    return [sentence for sentence in cautions(block) if "k-NN" in sentence]


def test_where_nearest_neighbours_say_otherwise_is_pointed_out(tmp_path):
    lines = {"pixels": [0.37, 0.37], "random": [0.33, 0.33], "supervised": [0.44, 0.44]}
    folder = make_comparison(tmp_path / "cmp", {"simclr": [0.43, 0.44], "autoencoder": [0.42, 0.41]}, lines)
    agreed = {"simclr": 0.4, "autoencoder": 0.3, "pixels": 0.35, "random": 0.4, "supervised": 0.9}
    assert read_by_knn(folder, agreed) == []
    assert read_by_knn(folder, {"simclr": 0.353, "autoencoder": 0.364, "pixels": 0.452, "random": 0.274}) == [
        "By k-NN autoencoder leads (36.4 %), not simclr (35.3 %) as by the linear probe, and pixels (45.2 %), "
        "without any training, is above all that is compared (at most 36.4 %)."
    ]
    assert read_by_knn(folder, {"simclr": 0.4, "random": 0.42}) == [
        "By k-NN pixels (45.2 %) and random (42.0 %), without any training, are above all that is compared "
        "(at most 40.0 %)."
    ]
    assert read_by_knn(folder, {"autoencoder": 0.46}) == [
        "By k-NN autoencoder leads (46.0 %), not simclr (40.0 %) as by the linear probe."
    ]


def test_configurations_that_share_the_lead_are_one_leader_to_knn(tmp_path):
    folder = make_comparison(tmp_path / "cmp", {"simclr": [0.4, 0.5], "autoencoder": [0.5, 0.4]})
    assert read_by_knn(folder, {"simclr": 0.3, "autoencoder": 0.4}) == []


def test_trainings_and_backbones_that_differ_are_pointed_out(tmp_path):
    make_run(tmp_path / "runs", make_config("autoencoder", training={"batch_size": 64, "learning_rate": 0.001}))
    make_run(tmp_path / "runs", make_config("simclr", training={"batch_size": 64, "learning_rate": 0.003}))
    (block,) = blocks_of(tmp_path / "runs")
    assert cautions(block) == ["The trainings differ in their learning rates (0.001, 0.003)."]
    other = {"name": "vit_micro", "embedding": "latent"}
    make_run(tmp_path / "runs", make_config("mae", backbone=other, training={"learning_rate": 0.003}))
    (block,) = blocks_of(tmp_path / "runs")
    words = " ".join(cautions(block))
    assert "batch sizes (256, 64)" in words
    assert "not all on one backbone: resnet_micro, vit_micro." in words


@pytest.mark.parametrize("key", ["linear_top1", "knn_top1"])
def test_a_run_whose_accuracy_is_no_share_is_left_out(comparison, tmp_path, key):
    broken = next((comparison / "runs").glob("autoencoder_seed1*"))
    content = json.loads((broken / "evaluation.json").read_text())
    content["snapshots"][-1][key] = 1.5
    write_json(broken / "evaluation.json", content)
    html, _, rows = report(tmp_path, comparison)
    assert f"{key} is 1.5, which is no share in 0..1" in Page(html).text
    assert broken.name not in {row["directory"] for row in rows}


def test_half_times_are_of_the_seeds_that_were_followed(tmp_path):
    paths = [make_run(tmp_path / "runs", make_config("autoencoder", seed)) for seed in range(3)]
    for path in paths[1:]:
        content = json.loads((path / "spectrum.json").read_text())
        content["snapshots"] = content["snapshots"][-1:]
        for band in content["pca"]:
            band["half_time"] = None
        write_json(path / "spectrum.json", content)
    (block,) = blocks_of(tmp_path / "runs")
    (group,) = block.main
    row = band_row(group, group.measured, "pca", "relative_error")
    assert [(times.half_time, times.reached, times.n) for times in row.bands] == [
        (300.0, 1, 1),
        (700.0, 1, 1),
        (float("inf"), 0, 1),
    ]
    finals = [run.spectrum["pca"][0]["relative_error"] for run in group.measured]
    assert row.bands[0].final == pytest.approx(statistics.fmean(finals))
    assert (row.order_n, row.n) == (1, 3)


def test_unequal_effort_is_pointed_out(comparison, tmp_path):
    assert "not run with the same seeds" not in report(tmp_path, comparison)[1]
    extra = make_run(tmp_path / "extra", make_config("autoencoder", 7))
    assert "not run with the same seeds" in report(tmp_path, comparison, extra)[1]


def test_half_times_are_medians_where_never_is_latest(tmp_path):
    for seed, times in enumerate([(100.0, None, None), (300.0, 900.0, None), (200.0, None, None)]):
        make_run(tmp_path / "runs", make_config("autoencoder", seed), half_times=times)
    (block,) = blocks_of(tmp_path / "runs")
    row = band_row(block.main[0], block.main[0].measured, "pca", "relative_error")
    assert [times.half_time for times in row.bands] == [200.0, float("inf"), float("inf")]
    assert [times.reached for times in row.bands] == [3, 1, 0]
    assert row.order == 1.0
    html, markdown, _ = report(tmp_path, tmp_path / "runs")
    assert "never (1 of 3 did)" in Page(html).text
    assert "never (1 of 3 did)" in markdown


def test_curves_are_means_over_seeds(comparison):
    (block,) = blocks_of(comparison)
    group = next(group for group in block.main if group.label == "autoencoder")
    curves = mean_curves(group.measured, "radial", "relative_error")
    raw = [json.loads(run.directory.spectrum_file.read_text()) for run in group.measured]
    expected = np.mean([[row["radial"]["relative_error"] for row in one["snapshots"]] for one in raw], axis=0)
    np.testing.assert_allclose(curves.values, expected)
    assert list(curves.samples) == SAMPLES
    simclr = next(group for group in block.main if group.label == "simclr")
    assert mean_curves(simclr.measured, "radial", "relative_error") is None


def test_heat_map_columns_are_around_their_snapshots():
    edges = column_edges(SAMPLES, Span(256, 4096, zero=True))
    assert len(edges) == len(SAMPLES) + 1
    assert all(low < high for low, high in pairwise(edges))
    assert all(low <= samples <= high for samples, (low, high) in zip(SAMPLES, pairwise(edges), strict=True))


@pytest.mark.parametrize(
    ("samples", "text"), [(None, "\N{EN DASH}"), (0.0, "start"), (float("inf"), "never"), (153642.0, "154,000")]
)
def test_half_times_in_words(samples, text):
    assert half_time(samples) == text


def test_metrics_without_labels_stand_beside_their_correlation_with_the_probe(comparison):
    (block,) = blocks_of(comparison)
    table = metrics_table(block)
    cells = {row.cells[0].text: [cell.text for cell in row.cells[1:]] for row in table.rows}
    rankme = [cell.text for cell in table.columns[1:]].index("RankMe")
    for group in block.main:
        values = [10.0 + run.config.seed for run in group.measured]
        sd = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
        assert cells[group.label][rankme].split(" ± ")[0] == f"{statistics.fmean(values):.1f}"
        assert bool(sd) == ("±" in cells[group.label][rankme])
    found = label_free([run.summary for group in block.main for run in group.runs if run.finished])
    shown = cells["rank correlation with the linear probe"][rankme]
    assert shown == decimal(found["rankme"]["spearman"])
    assert cells[block.main[0].label][rankme + 5] == NOTHING, "LiDAR was not measured"


def test_which_band_first_with_its_tests(tmp_path):
    make_comparison(tmp_path, {"autoencoder": [0.5, 0.6, 0.7], "simclr": [0.8, 0.8, 0.9]})
    for path in tmp_path.glob("runs/simclr*"):
        spectrum = json.loads((path / "spectrum.json").read_text())
        for band, time in zip(spectrum["pca"], (900.0, 500.0, 100.0), strict=True):
            band["decodability_half_time"] = time
        write_json(path / "spectrum.json", spectrum)
    (block,) = blocks_of(tmp_path)
    orders, tests = order_tables(block)
    rows = {(row.cells[0].text, row.cells[1].text, row.cells[1].note): row.cells for row in orders.rows}
    simclr = rows["simclr", "decodability from the embedding", "principal components"]
    assert (simclr[2].text, simclr[3].text, simclr[5].text) == ("2 1 0", "\N{MINUS SIGN}1.00", "3")
    autoencoder = rows["autoencoder", "error of the reconstructions", "principal components"]
    assert (autoencoder[2].text, autoencoder[2].note) == ("0 1", "not reached: 2")
    assert ("simclr", "error of the reconstructions", "principal components") not in rows
    pca = [row.cells for row in tests.rows if row.cells[1].note == "principal components"]
    cells = [tuple(cell.text for cell in row[3:]) for row in pca]
    assert cells == [("0.250", "0.250", "0.250", "3 shared")], "2 / 2^3 is the least that three pairs can give"


@pytest.mark.parametrize(
    ("half_times", "said"),
    [
        ([300.0, 100.0, None], ("1 0", "not reached: 2")),
        ([300.0, 300.0, 100.0], ("2 0=1", "")),
        ([0.0, 0.0, None, None], ("0=1", "all from the start; not reached: 2 3")),
        ([None, None], ("none reached", "")),
    ],
)
def test_an_order_says_no_more_than_was_measured(half_times, said):
    cell = _sequence(half_times)
    assert (cell.text, cell.note) == said


def test_further_probes_have_a_table(comparison):
    (block,) = blocks_of(comparison)
    assert probes_table(block) is None
    for group in block.main:
        for run in group.probed:
            file = run.directory.evaluation_file
            content = json.loads(file.read_text())
            shots = [{"shots": 5, "mean": 0.4, "sd": 0.1, "draws": 3}]
            probes = {"linear": {"top1": 1.0}, "ridge": {"top1": 0.25}, "few_shot": {"top1": 0.9, "shots": shots}}
            content["snapshots"][-1]["probes"] = probes
            content["protocols"] = {"linear": "linear/1", "ridge": "ridge/1"}
            write_json(file, content)
    (block,) = blocks_of(comparison)
    table = probes_table(block)
    assert [cell.text for cell in table.columns] == ["configuration", "ridge", "5 a class"]
    assert {row.cells[1].text.split()[0] for row in table.rows if not row.reference} == {"25.0"}
    assert {row.cells[2].text.split()[0] for row in table.rows if not row.reference} == {"40.0"}


def test_csv_has_a_line_a_run(comparison, tmp_path):
    _, _, rows = report(tmp_path, comparison)
    assert len(rows) == 9
    row = next(row for row in rows if row["objective"] == "autoencoder" and row["seed"] == "1")
    assert float(row["linear_top1"]) == 0.84
    assert (float(row["linear_low"]), float(row["linear_high"])) == pytest.approx((0.82, 0.86))
    assert (row["order_pca_half_time"], row["order_radial_decodability_half_time"]) == ("1.0", "0.5")
    assert row["id"] == identity(make_config("autoencoder", 1))
    failed = next(row for row in rows if row["status"] == "failed")
    assert failed["linear_top1"] == failed["order_pca_half_time"] == ""
    assert {row["configuration"] for row in rows if row["objective"] == "autoencoder"} == {"autoencoder"}
    assert (float(row["weights_backbone"]), float(row["train_seconds"])) == (1000, 12.5)
    assert float(row["images_per_second"]) == SAMPLES[-1] / 12.5
    assert row["flops_training"] == ""


def test_what_files_say_is_escaped(tmp_path):
    evil = '<script>alert("1")</script>|*x*'
    path = make_run(tmp_path / "runs", make_config(dataset=evil, noise='"><img src=x onerror=alert(1)>'))
    RunDirectory(path).update(git="<b>bold</b>")
    html, markdown, rows = report(tmp_path, tmp_path / "runs")
    page = Page(html)
    assert evil in page.text
    assert "b" not in {tag for tag, _ in page.elements}
    assert [attributes for tag, attributes in page.elements if tag == "script"] == [
        {"type": "application/json", "data-part": "part1"},
        {},
    ], "the page's own: its numbers, and what draws them"
    assert "<script>alert" not in html
    assert not any("onerror" in attributes for _, attributes in page.elements)
    assert "<script" not in markdown
    assert "<img" not in markdown
    assert "\\|\\*x\\*" in markdown
    assert rows[0]["dataset"] == evil


def test_page_loads_nothing_and_is_small(comparison, tmp_path):
    html, _, _ = report(tmp_path, comparison)
    page = Page(html)
    loads = [value for _, attributes in page.elements for key in ("src", "href") if (value := attributes.get(key))]
    assert loads
    assert all(value.startswith(("data:image/png;base64,", "#")) for value in loads)
    assert not re.search(r"url\((?!#)|@import|https?://", html.replace("http://www.w3.org/2000/svg", ""))
    assert len(html.encode()) < 5_000_000


def test_figures_of_a_page_share_no_id_and_refer_to_their_own(comparison, tmp_path):
    page = Page(report(tmp_path, comparison)[0])
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    text = " ".join(value or "" for _, attributes in page.elements for value in attributes.values())
    references = re.findall(r"url\(#([^)]+)\)", text)
    assert references
    assert set(references) <= set(ids)
    drawings = [attributes for tag, attributes in page.elements if tag == "svg" and "aria-hidden" not in attributes]
    assert all(attributes["role"] == "img" and attributes["aria-label"] for attributes in drawings)
    named = " ".join(attributes["aria-label"] for attributes in drawings)
    # Losses of 3 configurations, both bases of 3 by decodability, of 1 by error.
    assert named.count("Training loss of") == 3
    assert named.count("the table below has the numbers") == 2 * 3 + 2 * 1


def test_a_command_repeats_all_runs_of_a_row_from_the_report_folder(comparison, monkeypatch):
    content = make_content(collect([comparison]), comparison)
    (command,) = [recipe.command for recipe in content.recipes if recipe.label == "simclr"]
    place = next((comparison / "runs").glob("simclr_seed0*"))
    assert command == f"ssl-bench compare runs/{place.name}/config.yaml 'seed=[0,1,2]' 'baselines=[]' --out NEW"
    monkeypatch.chdir(comparison)
    words = shlex.split(command)
    again = {identity(config) for config in cells(load_config(words[2], words[3:4]))}
    assert again == {run.summary["id"] for run in content.runs if run.config.objective.name == "simclr"}


def test_one_run_and_a_folder_of_folders_are_reported_too(comparison, tmp_path):
    single = next((comparison / "runs").glob("simclr_seed0*"))
    assert len(report(tmp_path, single)[2]) == 1
    assert len(report(tmp_path, comparison.parent)[2]) == 9
    assert len(report(tmp_path, comparison, single)[2]) == 9


def test_reference_lines_are_those_of_compare():
    assert REFERENCES == BASELINES


def test_mistakes_are_the_users(comparison, tmp_path):
    (tmp_path / "empty").mkdir()
    running = make_run(tmp_path / "running", make_config(), status="running")
    for directory, words in (
        (tmp_path / "empty", "no finished run in"),
        (running, "no finished run in"),
        (tmp_path / "x", "x is no"),
    ):
        with pytest.raises(UserError, match=f"nothing to report: .*{words}"):
            write_report([directory], tmp_path / "report.html")
    with pytest.raises(UserError, match=r"ends in \.html"):
        write_report([comparison], tmp_path / "report.md")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written to"):
        write_report([comparison], tmp_path / "file" / "report.html")


def test_why_a_page_cannot_be_written_is_said_once(comparison, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError) as caught:
        write_report([comparison], tmp_path / "file" / "report.html")
    start = f"the report cannot be written to {tmp_path / 'file'}: "
    assert str(caught.value) in {start + reason for reason in ("Not a directory", "File exists")}


def test_a_folder_of_figures_that_cannot_be_is_named_and_nothing_written(comparison, tmp_path):
    (tmp_path / "figures").touch()
    with pytest.raises(UserError, match=r"folder of figures .*figures cannot be made: File exists"):
        write_report([comparison], tmp_path / "out" / "report.html", tmp_path / "figures")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("suffix", [".html", ".md", ".csv", ".json"])
def test_a_report_replaces_nobodys_files(comparison, tmp_path, suffix):
    page = write_report([comparison], tmp_path / "notes.html")
    before = {file.suffix: file.read_bytes() for file in tmp_path.glob("notes.*")}
    assert len(before) == 4
    assert write_report([comparison], page) == page, "its own may be replaced"
    mine = page.with_suffix(suffix)
    mine.write_text("mine, of years")
    others = {file: file.read_bytes() for file in tmp_path.glob("notes.*")}
    with pytest.raises(UserError, match=rf"notes\{suffix} is no report's"):
        write_report([comparison], page)
    assert {file: file.read_bytes() for file in tmp_path.glob("notes.*")} == others
    mine.unlink()
    assert write_report([comparison], page) == page
    mine.unlink()
    mine.mkdir()
    with pytest.raises(UserError, match=r"choose (another|a) name"):
        write_report([comparison], page)


def test_nothing_is_written_if_rendering_fails(comparison, tmp_path):
    damaged = next((comparison / "runs").glob("autoencoder_seed0*")) / "spectrum.safetensors"
    damaged.write_bytes(b"no tensors")
    with pytest.raises(UserError, match=r"spectrum\.safetensors is damaged"):
        write_report([comparison], tmp_path / "out" / "report.html")
    assert not (tmp_path / "out").exists()
