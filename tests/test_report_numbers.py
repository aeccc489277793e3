"""The numbers beside the probes: pairs, effort, costs, published numbers, and the report as data."""

import json

import pytest
from test_report import blocks_of, make_comparison, make_config, make_run, report

from ssl_bench.config import DatasetConfig
from ssl_bench.errors import UserError
from ssl_bench.files import write_json
from ssl_bench.objectives import OBJECTIVES
from ssl_bench.reporting import report as write_report
from ssl_bench.reporting.compared import compare_groups
from ssl_bench.reporting.costs import costs_table
from ssl_bench.reporting.effort import accuracy_curves, effort_table
from ssl_bench.reporting.numbers import NOTHING
from ssl_bench.reporting.pairs import pairs_table
from ssl_bench.reporting.published import CONFIDENCES, FILE, nearest, references
from ssl_bench.reporting.references import NONE_FOUND, mismatches, references_table
from ssl_bench.reporting.subspaces import subspace_parts
from ssl_bench.reporting.tables import probe_table

MINUS = "\N{MINUS SIGN}"
FLOPS = {"train_image": 3e6, "encode_image": 1e6}


def change(path, name, edit):
    content = json.loads((path / name).read_text())
    edit(content)
    write_json(path / name, content)


def runs_of(folder):
    return sorted((folder / "runs").iterdir())


def texts(table):
    return [[cell.text for cell in row.cells] for row in table.rows]


def test_the_best_is_marked_only_where_it_can_be_told(tmp_path):
    sure = {"autoencoder": [0.5, 0.51, 0.5], "simclr": [0.9, 0.91, 0.92], "mae": [0.7, 0.71, 0.71]}
    (block,) = blocks_of(make_comparison(tmp_path / "sure", sure, {"supervised": [0.99, 0.99, 0.99]}))
    marks = {row.cells[0].text: {cell.mark for cell in row.cells} - {""} for row in probe_table(block).rows}
    assert marks == {"simclr": {"best"}, "mae": set(), "autoencoder": set(), "supervised": set()}
    single = {name: values[:1] for name, values in sure.items()}
    (block,) = blocks_of(make_comparison(tmp_path / "single", single))
    assert all(row.cells[0].mark == "" for row in probe_table(block).rows), "not tested is not tied"
    scattered = {"autoencoder": [0.88, 0.92, 0.9], "simclr": [0.9, 0.91, 0.92]}
    (block,) = blocks_of(make_comparison(tmp_path / "tied", scattered))
    assert [row.cells[0].mark for row in probe_table(block).rows] == ["highest mean", f"not told apart ({MINUS}1.0)"]
    equal = {"autoencoder": [0.9, 0.8], "simclr": [0.8, 0.9]}
    (block,) = blocks_of(make_comparison(tmp_path / "equal", equal))
    assert {row.cells[0].mark for row in probe_table(block).rows} == {"highest mean"}
    (block,) = blocks_of(make_comparison(tmp_path / "alone", {"simclr": [0.9, 0.8]}))
    assert probe_table(block).rows[0].cells[0].mark == "", "nothing is compared"
    assert pairs_table(block, compare_groups(block)) is None


def test_a_mark_says_how_far_it_is_from_the_highest_mean(tmp_path):
    """Of two the worse may be the one that is not told apart: its seeds scatter."""
    values = {"simclr": [0.43, 0.44, 0.43], "mae": [0.39, 0.401, 0.391], "denoising": [0.36, 0.39, 0.33]}
    folder = make_comparison(tmp_path / "cmp", values)
    (block,) = blocks_of(folder)
    marks = {row.cells[0].text: row.cells[0].mark for row in probe_table(block).rows}
    assert marks == {"simclr": "highest mean", "mae": "", "denoising": f"not told apart ({MINUS}7.3)"}
    html, markdown, _ = report(tmp_path, folder)
    assert f">not told apart ({MINUS}7.3)</strong>" in html
    assert f"(not told apart ({MINUS}7.3); resnet" in markdown


def test_pairs_say_what_was_tested_and_what_cannot_be(tmp_path):
    folder = make_comparison(tmp_path / "cmp", {"autoencoder": [0.5, 0.51, 0.5], "simclr": [0.9, 0.91, 0.92]})
    make_run(folder / "runs", make_config("mae", 2), 0.7)
    summary = json.loads((folder / "summary.json").read_text())
    summary["runs"].append({"directory": next(path.name for path in runs_of(folder) if path.name.startswith("mae"))})
    write_json(folder / "summary.json", summary)
    (block,) = blocks_of(folder)
    rows = {row[0]: row[1:] for row in texts(pairs_table(block, compare_groups(block)))}
    assert list(rows) == ["simclr against mae", "simclr against autoencoder", "mae against autoencoder"]
    seen = {pair: (row[0], row[1], row[-1]) for pair, row in rows.items()}
    assert seen["simclr against mae"][::2] == ("one seed: not testable", "1")
    assert seen["simclr against autoencoder"] == ("yes", "+40.7", "3")
    assert compare_groups(block).tests == 1
    assert (
        "that could be tested, of each probe (1 of 3 of the linear probe)"
        in pairs_table(block, compare_groups(block)).caption
    )


def test_effort_is_of_the_probe_where_several_snapshots_were_probed(tmp_path):
    folder = make_comparison(tmp_path / "cmp", {"autoencoder": [0.8, 0.9], "simclr": [0.9, 0.7]})
    for path in runs_of(folder):

        def probed(content):
            (last,) = content["snapshots"]
            top1 = last["linear_top1"]
            early = [{**last, "step": 0, "samples_seen": 0, "linear_top1": 0.1}]
            content["snapshots"] = [*early, {**last, "step": 4, "samples_seen": 1024, "linear_top1": 0.95 * top1}, last]

        def read_out(content):
            for place, row in enumerate(content["snapshots"]):
                row["accuracy"] = 0.1 * place

        change(path, *(("evaluation.json", probed) if "autoencoder" in path.name else ("spectrum.json", read_out)))
        change(path, "run.json", lambda content: content.update(flops=FLOPS))
    (block,) = blocks_of(folder)
    curves = {curve.label: curve for curve in accuracy_curves(block)}
    probe, ridge = curves["autoencoder"], curves["simclr"]
    assert probe.measure == "linear probe"
    assert probe.samples == (0, 1024, 4096)
    assert probe.mean == pytest.approx((0.1, 0.95 * 0.85, 0.85))
    assert probe.low[0] == probe.high[0] == pytest.approx(0.1)
    assert probe.low[2] < 0.8 < 0.9 < probe.high[2]
    assert probe.seconds == pytest.approx((0, 12.5 / 4, 12.5))
    assert probe.flops == pytest.approx((0, 3e6 * 1024, 3e6 * 4096))
    crossing = [1024 * (0.9 * top1 - 0.1) / (0.95 * top1 - 0.1) for top1 in (0.8, 0.9)]
    assert probe.nearly == pytest.approx(sum(crossing) / 2)
    assert ridge.measure == "ridge readout of the analysis"
    assert ridge.mean == pytest.approx((0, 0.1, 0.2, 0.3, 0.4, 0.5))
    table = effort_table(block, accuracy_curves(block))
    assert "not with the linear probe" in table.caption
    assert [row[1] for row in texts(table)] == ["linear probe", "ridge readout of the analysis"]


def test_no_curve_from_one_snapshot(tmp_path):
    (block,) = blocks_of(make_comparison(tmp_path / "cmp", {"autoencoder": [0.8]}))
    assert accuracy_curves(block) == ()
    assert effort_table(block, ()) is None


def test_costs_are_means_of_what_all_seeds_recorded(tmp_path):
    folder = make_comparison(tmp_path / "cmp", {"autoencoder": [0.8, 0.9], "simclr": [0.9, 0.7]})
    for seed, path in enumerate(runs_of(folder)):
        times = {"train_seconds": 10.0 * (seed % 2 + 1), "evaluate_seconds": 2.0, "analyze_seconds": 4.0}
        change(path, "run.json", lambda content, times=times: content.update(timings=times))
        weights = {"backbone": 1000, "all": 1500 if "auto" in path.name else "many"}
        flops = FLOPS if "auto" in path.name else ["odd"]
        change(path, "run.json", lambda content, w=weights, f=flops: content.update(weights=w, flops=f))
    rows = {row[0]: row[1:] for row in texts(costs_table(blocks_of(folder)[0]))}
    assert rows["autoencoder"][:5] == ["1,000", "1,500", "3 M", "1 M", "12.3 G"]
    assert rows["autoencoder"][5:9] == ["15.0", "307", "2.0", "4.0"]
    assert rows["autoencoder"][9:] == ["2", "a processor, threads 1"]
    assert rows["simclr"][1:5] == [NOTHING] * 4, "what is no number is not recorded"


def test_every_published_number_is_of_a_known_dataset_and_objective():
    known = references()
    for one in known.published:
        assert one.dataset in known.datasets
        assert one.objective in OBJECTIVES
        assert one.source
        assert one.confidence in CONFIDENCES
    assert all(one.dataset in known.datasets for one in known.subspaces)
    assert FILE.exists()


def on(dataset, objective="simclr", **sections):
    return make_config(objective, dataset=dataset, **sections)


def group_of(folder, config, **more):
    make_run(folder / "runs", config, **more)
    (block,) = blocks_of(folder)
    (group,) = block.groups
    return block, group


RESNET18 = {"name": "resnet18", "embedding": "latent"}


def published_of(folder, config, measure="linear_top1"):
    _, group = group_of(folder, config)
    one = nearest(group, "cifar10", measure)
    return one.value, one.epochs, one.source


def test_full_scale_simclr_stands_beside_what_was_read_and_trained_as_long(tmp_path):
    """configs/full_scale.yaml: what was read in a repository, and the k-NN of as many epochs."""
    config = on("cifar10", backbone=RESNET18, training={"epochs": 200, "batch_size": 512})
    assert published_of(tmp_path / "one", config) == ("90.74", 1000, "solo-learn README")
    lightly = "lightly documentation (k = 200)"
    assert published_of(tmp_path / "two", config, "knn_top1") == ("84.8", 200, lightly)
    config = on("cifar10", backbone=RESNET18, training={"epochs": 200, "batch_size": 128})
    assert published_of(tmp_path / "three", config, "knn_top1") == ("84.7", 200, lightly)


def test_a_thread_speaks_only_where_nobody_else_does(tmp_path):
    short = on("cifar10", training={"epochs": 3}, backbone={"name": "vit_micro", "embedding": "mean"})
    assert published_of(tmp_path / "short", short) == ("90.74", 1000, "solo-learn README")
    assert published_of(tmp_path / "near", short, "knn_top1")[:2] == ("84.7", 200)
    _, group = group_of(tmp_path / "mae", on("imagenet100", "mae"))
    assert nearest(group, "imagenet100").confidence == "a thread", "nothing else is known"
    assert nearest(group, "imagenet100", "knn_top1") is None


def test_what_was_fine_tuned_stands_nowhere_near_a_probe(tmp_path):
    config = on("cifar10", "mae", training={"epochs": 2000}, backbone={"name": "vit_tiny", "embedding": "mean"})
    assert published_of(tmp_path, config) == ("41.7", 800, "arXiv 2502.06314, transcribed second-hand")


def test_the_nearest_published_number_stands_with_everything_it_differs_in(tmp_path):
    config = on("cifar10", training={"epochs": 200, "batch_size": 256})
    block, group = group_of(tmp_path, config)
    found = nearest(group, "cifar10")
    assert (found.value, found.protocol, found.epochs) == ("90.74", "linear, online", 1000)
    same = ["training images: not recorded (the set has 50,000), here 1,280"]
    same += ["resolution: 32 px, as the set is, here 8 px"]
    words = mismatches(found, group)
    assert words == [
        "backbone: ResNet-18, 3x3 stem, no max-pool, here resnet_micro",
        "epochs: 1,000, here 200",
        "protocol: linear, online, here linear, offline",
        *same,
    ]
    near = mismatches(nearest(group, "cifar10", "knn_top1"), group)
    assert near == [
        "backbone: ResNet-18, here resnet_micro",
        "batch: 128, here 256",
        "protocol: k-NN, best epoch on the test set, here knn/1 with k = 20 of the last epoch",
        *same,
    ]
    linear, knn = references_table(block).rows
    assert [cell.note for cell in (linear.cells[1], knn.cells[1])] == ["linear, n = 1", "k-NN, n = 1"]
    assert [cell.text for cell in linear.cells[1:3]] == ["90.0", "90.74"]
    assert [cell.text for cell in knn.cells[1:3]] == ["85.0", "84.7"]
    assert [row.cells[-1].text for row in (linear, knn)] == ["; ".join(words), "; ".join(near)]


def test_where_nothing_was_published_the_table_says_so(tmp_path):
    block, _ = group_of(tmp_path / "one", on("stl10", "autoencoder"))
    (row,) = references_table(block).rows
    assert row.cells[2].text == NONE_FOUND
    assert "this would be the first" in row.cells[3].text
    block, _ = group_of(tmp_path / "two", on("digits", "autoencoder"))
    (row,) = references_table(block).rows
    assert (row.cells[2].text, row.cells[3].text) == (NONE_FOUND, NOTHING)


def test_published_subspaces_stand_beside_those_of_the_same_dataset(tmp_path):
    for subspace in ("top(share=0.9)", "bottom(share=0.2)"):
        file = {"name": "arrays", "file": "tiny_imagenet.npz", "subspace": subspace}
        config = make_config("supervised").model_copy(update={"dataset": DatasetConfig.model_validate(file)})
        make_run(tmp_path / "runs", config, fingerprint=subspace)
    (part,) = subspace_parts(blocks_of(tmp_path))
    assert ["top", "90.0", "45"] in [row[:3] for row in texts(part.published)]
    assert ["bottom", "20.0", "55"] in [row[:3] for row in texts(part.published)]
    assert "supervised on resnet_micro" in part.published.caption
    html, markdown, _ = report(tmp_path, tmp_path / "runs")
    assert "arXiv 2402.11337" in html
    assert "arXiv 2402.11337" in markdown
    (block, _) = blocks_of(tmp_path)
    assert nearest(block.groups[0], "tiny_imagenet") is None, "of whole images nothing is set beside a subspace"


def test_the_report_as_data_holds_what_the_page_says(tmp_path):
    folder = make_comparison(tmp_path / "cmp", {"autoencoder": [0.5, 0.51, 0.5], "simclr": [0.9, 0.91, 0.92]})
    failed = make_run(folder / "runs", make_config("simclr", 3), status="failed", error="<b>nan</b>")
    endless = make_run(folder / "runs", make_config("mae", 0))
    (endless / "run.json").write_text((endless / "run.json").read_text().replace("12.5", "1e999"))
    summary = json.loads((folder / "summary.json").read_text())
    summary["runs"] += [{"directory": failed.name}, {"directory": endless.name}]
    write_json(folder / "summary.json", summary)
    _, markdown, _ = report(tmp_path, folder)
    text = (tmp_path / "out" / "report.json").read_text()
    found = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    (section,) = found["sections"]
    assert found["schema"] == 1
    best, other = section["configurations"]
    assert (best["label"], best["mark"], other["mark"]) == ("simclr", "best", "")
    assert [seed["linear_top1"] for seed in best["seeds"]] == [0.9, 0.91, 0.92, None]
    assert best["linear_top1"]["n"] == 3
    assert best["seeds"][0]["bands"]["pca"][0]["decodability_half_time"] == 300
    (pair,) = [one for one in section["pairs"] if one["measure"] == "linear_top1"]
    assert pair["difference"] == pytest.approx(0.4067, abs=1e-4)
    assert pair["told_apart"]
    assert pair["p_holm"] == pair["p"]
    nothing = {"published": None, "differs": [], "knn_published": None, "knn_differs": []}
    assert section["references"][0] == {"configuration": "simclr", **nothing}, "of digits nothing was published"
    names = {table["name"] for table in section["tables"]}
    assert {"probes", "pairs", "costs", "references", "bands", "more"} <= names
    for table in section["tables"]:
        assert all(len(row["cells"]) == len(table["columns"]) for row in table["rows"]), table["name"]
        assert all(cell["text"] for row in table["rows"] for cell in row["cells"])
    assert section["headline"][0] in markdown
    assert {test["p_holm"] for test in section["order"]["tests"]} == {1.0}
    lost = {one["what"]: one["reason"] for one in found["lost"]}
    assert set(lost) == {failed.name, endless.name}
    assert lost[failed.name].endswith("<b>nan</b>")


def test_a_report_takes_no_records_place(tmp_path):
    folder = make_comparison(tmp_path / "cmp", {"autoencoder": [0.5]})
    before = (folder / "summary.json").read_text()
    with pytest.raises(UserError, match=r"would replace summary\.json"):
        write_report([folder], folder / "summary.html")
    assert (folder / "summary.json").read_text() == before
