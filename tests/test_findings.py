"""Findings: a prediction, the runs that test it, a verdict by a fixed rule; what does not hold is said."""

import json
import math
from xml.etree import ElementTree

import markdown
import numpy as np
import pytest
import torch
import yaml
from scipy.stats import ttest_ind, ttest_rel
from typer.testing import CliRunner

from ssl_bench.cli import app
from ssl_bench.config import AlignConfig, validate
from ssl_bench.data.load import load_dataset
from ssl_bench.errors import UserError
from ssl_bench.findings.evidence import Evidence
from ssl_bench.findings.finding import Finding, finding_names, load_finding
from ssl_bench.findings.judges import JUDGES, get_judge
from ssl_bench.findings.judges.guidance import _ratio
from ssl_bench.findings.page import write_result
from ssl_bench.findings.running import PARTS, _parts, finding
from ssl_bench.findings.verdict import Effect, Outcome, Verdict, differences
from ssl_bench.matrix import cells

NAMES = sorted(finding_names())
MADE = {"created": "now", "versions": {"python": "3.11"}, "commits_of_runs": ["abc"]}


def make_row(objective, seed, top1, noise=None, status="finished", settings=None, **more):
    probe = {"linear_top1": top1, "knn_top1": top1 - 0.02, "head_top1": top1 + 0.01}
    row = {"id": f"{objective}{seed}", "directory": f"{objective}{seed}", "objective": objective, "noise": noise}
    row |= {"target": None, "backbone": "b", "dataset": "d", "seed": seed, "samples_seen": 100, "status": status}
    return row | {"settings": settings or {}, "probe": probe, "spectrum": None, "subspace": None} | more


def make_bands(errors, half_times=None):
    times = half_times or [None] * len(errors)
    return [
        {"index": i, "low": i, "high": i, "variance_fraction": 0.5**i, "relative_error": e, "half_time": time}
        | {"decodability": 0.5, "decodability_half_time": time}
        for i, (e, time) in enumerate(zip(errors, times, strict=True))
    ]


def make_alignment(alignment, needed=3):
    k = list(range(1, 21))
    explained = [1.0 if one >= needed else 0.1 for one in k]
    one = {"dimension": 20, "samples": 100, "k": k, "chance": [10.0] * 20, "held_out": [0.1] * 20}
    return {
        "parts": [
            one | {"alignment": [alignment + d] * 20, "variance_explained": explained}
            for d in (jitter(alignment, seed) for seed in range(3))
        ]
    }


def jitter(place, seed):
    """What seeds do to a probe: half a point or less."""
    return 0.005 * math.sin(1 + 7 * place + 3 * seed)


def verdicts(judge, rows=(), alignments=None):
    outcome = get_judge(judge)(Evidence({"one": list(rows)} if rows else {}, alignments or {}))
    return {name: verdict.held for name, verdict in outcome.verdicts.items()}


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_finding_can_be_run_and_judged(name, tmp_path):
    found = load_finding(name)
    for comparison in found.comparisons:
        raw = found.comparison(comparison)
        baselines = raw.pop("baselines", [])
        assert all(config.seed in (0, 1, 2) for config in cells(raw))
        assert set(baselines) <= {"supervised", "random", "pixels"}
    for question in found.align.values():
        validate(AlignConfig, {key: value for key, value in question.items() if key != "parts"})
    # With no evidence at all nothing can be told, nothing breaks, and every prediction is answered.
    outcome = get_judge(found.judge)(Evidence({}, {}))
    assert outcome.verdicts.keys() == found.predictions.keys()
    assert not any(verdict.held for verdict in outcome.verdicts.values())
    write_result(name, found, {}, {}, outcome, MADE, tmp_path)
    page = (tmp_path / f"{name}.md").read_text()
    assert page.index("Predicted, before any run") < page.index("What came of it")
    assert all(" ".join(words.split()) in " ".join(page.split()) for words in found.predictions.values())


def test_on_the_site_effects_are_a_list_within_their_prediction(tmp_path):
    effects = tuple(Effect(what, 1.0, (0.5, 1.5), 0.01, 3, True) for what in ("first part", "second part"))
    asked = Finding(title="T", source="s", judge="order", predictions={"a": "Claim one.", "b": "Claim two."})
    outcome = Outcome({"a": Verdict(effects), "b": Verdict(effects[:1])})
    write_result("mine", asked, {}, {}, outcome, MADE, tmp_path)
    html = markdown.markdown((tmp_path / "mine.md").read_text(), extensions=["tables", "fenced_code", "sane_lists"])
    outer = ElementTree.fromstring(f"<div>{html}</div>").findall("ol")[1]
    assert ["".join(item.itertext()).split(".")[0].strip() for item in outer.findall("li")] == ["Held", "Held"]
    inner = [["".join(item.itertext()) for item in one.findall("ul/li")] for one in outer.findall("li")]
    assert [len(items) for items in inner] == [2, 1]
    assert inner[0][1] == "second part: +1.0 points [+0.5, +1.5] (p 0.010, n = 3 seeds): as predicted"


def test_shipped_findings_are_one_a_judge():
    assert sorted(load_finding(name).judge for name in NAMES) == sorted(JUDGES)


def test_a_difference_is_a_paired_t_test_with_holms_correction():
    rng = np.random.default_rng(0)
    base = dict(enumerate(rng.uniform(0.4, 0.5, 5)))
    near = {seed: value + 0.01 + rng.normal(0, 0.01) for seed, value in base.items()}
    far = {seed: value + 0.10 + rng.normal(0, 0.01) for seed, value in base.items()}
    one, other = differences([("far", far, base), ("near", near, base)], "above")
    expected = [ttest_rel(list(two.values()), list(base.values())).pvalue for two in (far, near)]
    assert one.p == pytest.approx(2 * expected[0])
    assert other.p == pytest.approx(max(expected[1], 2 * expected[0]))
    assert one.value == pytest.approx(100 * np.mean([far[seed] - base[seed] for seed in base]))
    assert (one.held, one.n) == (True, 5)
    assert differences([("far", far, base)], "above", least=50)[0].held is False
    assert differences([("far", far, base)], "above", least=5)[0].held is True
    assert differences([("far", far, base)], "above", least=one.value - 0.5)[0].held is None, "its interval is wider"
    assert differences([("far", base, far)], "below", least=5)[0].held is True
    assert differences([("far", base, far)], "below", least=50)[0].held is False
    assert "predicted not above zero (margin: 1 point)" in differences([("far", far, base)], "not above")[0].words()
    assert differences([("far", base, far)], "below")[0].held is True
    assert differences([("far", far, base)], "not above")[0].held is False
    assert differences([("far", base, far)], "above")[0].held is False
    wide = {seed: value + 0.05 * (-1) ** seed for seed, value in base.items()}
    tight = {seed: value + 0.0001 * (-1) ** seed for seed, value in base.items()}
    assert [differences([("it", wide, base)], sign)[0].held for sign in ("above", "below", "not above")] == [None] * 3
    assert [differences([("it", tight, base)], sign)[0].held for sign in ("above", "not above", "not below")] == [
        None, True, True,
    ]  # fmt: skip
    assert differences([("far", far, base)], "not below")[0].held is True
    assert differences([("one seed", {0: 0.5}, {0: 0.4})], "above")[0].held is None
    assert differences([("none", {}, {0: 0.4})], "above")[0].value is None


def test_a_prediction_fails_with_any_of_its_parts_and_is_undecided_without_one():
    def part(held):
        return Effect("it", 1.0, None, None, 3, held)

    assert Verdict((part(True), part(True))).held is True
    assert Verdict((part(True), part(None), part(False))).held is False
    assert Verdict((part(True), part(None))).held is None
    assert Verdict(()).held is None


def test_objectives_are_judged_by_what_they_reach():
    means = {"autoencoder": 0.30, "denoising": 0.35, "mae": 0.33, "simclr": 0.45, "random": 0.2}
    rows = [
        make_row(name, seed, mean + jitter(place, seed))
        for place, (name, mean) in enumerate(means.items())
        for seed in range(3)
    ]
    assert verdicts("objectives", rows) == {"comparing_wins": True, "noise_helps": True, "learning_pays": True}
    means["simclr"], means["denoising"] = 0.31, 0.25
    rows = [
        make_row(name, seed, mean + jitter(place, seed))
        for place, (name, mean) in enumerate(means.items())
        for seed in range(3)
    ]
    found = verdicts("objectives", rows)
    assert (found["comparing_wins"], found["noise_helps"], found["learning_pays"]) == (False, False, True)
    assert verdicts("objectives", [row | {"status": "failed"} for row in rows])["learning_pays"] is None


def test_guidance_needs_an_equal_error_and_a_gap():
    def rows(error, gap):
        made = []
        for seed in range(3):
            spectrum = {"pca": make_bands([0.2 + 0.001 * seed, 0.5])}
            made.append(make_row("autoencoder", seed, 0.3 + 0.001 * seed, spectrum=spectrum))
            for weight, more in ((0.01, gap), (0.1, 2 * gap)):
                guided = {"pca": make_bands([error * (0.2 + 0.001 * seed), 0.5 * error])}
                settings = {"objective.guidance": weight}
                made.append(
                    make_row(
                        "guided", seed, 0.3 + more + jitter(100 * weight, seed), settings=settings, spectrum=guided
                    )
                )
        return made

    assert verdicts("guidance", rows(1.01, 0.2)) == {"same_error": True, "other_perception": True, "dose": True}
    assert verdicts("guidance", rows(1.2, 0.2))["same_error"] is False
    assert verdicts("guidance", rows(1.01, 0.03))["other_perception"] is False, "three points are not five"
    assert verdicts("guidance", rows(1.01, 0.054))["other_perception"] is None, (
        "5.4 points, of which seeds differ by one"
    )


@pytest.mark.parametrize(
    ("ratios", "held"),
    [((1.0, 1.01, 0.99), True), ((0.95, 0.96, 0.94), None), ((0.8, 0.9, 1.3), None), ((0.9, 0.91, 0.9), False)],
)
def test_errors_are_equal_or_not_only_where_the_interval_says_so(ratios, held):
    effect = _ratio("a to b", dict(enumerate(ratios)), dict.fromkeys(range(3), 1.0))
    assert effect.held is held
    assert effect.value == pytest.approx(math.prod(ratios) ** (1 / 3))


def test_what_is_seen_after_the_fact_decides_nothing(tmp_path):
    effect = Effect("a ratio", 1.015, (1.0, 1.03), None, 3, None, unit="")
    asked = Finding(title="T", source="s", judge="order", predictions={"a": "Claim."})
    outcome = Outcome({"a": Verdict(())}, afterwards=(effect,), remarks=("A caution.",))
    result = write_result("mine", asked, {}, {}, outcome, MADE, tmp_path)
    assert result["predictions"][0]["held"] is None
    page = (tmp_path / "mine.md").read_text()
    assert "## Seen after the fact" in page
    assert "- a ratio: 1.015 [1.000, 1.030] (n = 3 seeds)\n" in page
    assert "- A caution." in page


def test_the_order_of_bands_is_judged_seed_by_seed():
    def rows(gammas):
        return [
            make_row(name, seed, 0.3, spectrum={"pca": make_bands([0.4, 0.6], [100, 300]), "order": {"pca": order}})
            for name, value in gammas.items()
            for seed in range(3)
            for order in [{"half_time": value, "decodability_half_time": None if value is None else value - 0.1 * seed}]
        ]

    good = {"autoencoder": 0.95, "denoising": 0.9, "mae": 1.0, "simclr": 0.1}
    assert verdicts("order", rows(good)) == {"error_by_variance": True, "masked_too": True, "decodability": True}
    found = verdicts("order", rows(good | {"denoising": 0.7, "mae": None}))
    assert (found["error_by_variance"], found["masked_too"]) == (False, None)
    some = [row for row in rows(good | {"mae": None}) if row["objective"] != "mae" or row["seed"]]
    some += [row for row in rows(good) if row["objective"] == "mae" and not row["seed"]]
    assert verdicts("order", some)["masked_too"] is None, "one seed of three has a gamma"
    some += [row | {"seed": 3} for row in rows(good | {"mae": 0.5}) if row["objective"] == "mae" and not row["seed"]]
    assert verdicts("order", some)["masked_too"] is False, "one seed against it is enough"


def test_noise_is_judged_by_agreement_and_by_each_gain():
    names = [
        "gaussian(sigma=0.5)",
        "gaussian(sigma=1)",
        "mask(ratio=0.75, patch=4)",
        "power_law(alpha=5, sigma=3)",
        "blur(sigma=1)",
    ]
    probes = dict(zip([None, *names], [0.30, 0.302, 0.298, 0.36, 0.2, 0.29], strict=True))
    rows = [
        make_row("denoising" if name else "autoencoder", seed, probe + jitter(place, seed), noise=name)
        for place, (name, probe) in enumerate(probes.items())
        for seed in range(3)
    ]
    predicted = {name: {"noise": name, "alignment": [100 * probe], "held_out": [0.1]} for name, probe in probes.items()}
    answer = {**predicted[None], "noises": [predicted[name] for name in names]}
    found = verdicts("noise", rows, {"d": answer})
    assert found == {"agreement": True, "white_never_helps": True, "mask_helps": True, "red_hurts": True}
    turned = {name: {**one, "alignment": [-one["alignment"][0]]} for name, one in predicted.items()}
    answer = {**turned[None], "noises": [turned[name] for name in names]}
    assert verdicts("noise", rows, {"d": answer})["agreement"] is False


def test_datasets_are_judged_by_alignment_above_chance():
    names = ["digits", "fashion_mnist", "cifar10_crop8", "cifar10_crop16", "cifar10_crop24", "cifar10_grey", "cifar10"]
    better = {name: make_alignment(90 - 5 * place, needed=2 + place) for place, name in enumerate(names)}
    assert verdicts("datasets", alignments=better) == dict.fromkeys(("complexity", "colour", "crop", "objects"), True)
    worse = {name: make_alignment(50 + 5 * place, needed=2 + place) for place, name in enumerate(names)}
    assert verdicts("datasets", alignments=worse) == dict.fromkeys(("complexity", "colour", "crop", "objects"), False)


def test_parts_of_different_images_are_no_pairs():
    parts = {name: make_alignment(place, needed=3) for name, place in (("fashion_mnist", 90), ("cifar10", 50))}
    parts["cifar10_grey"] = make_alignment(60)
    outcome = get_judge("datasets")(Evidence({}, parts))
    above = {name: [(one["alignment"][0] - 10) / 90 for one in answer["parts"]] for name, answer in parts.items()}
    other = next(one for one in outcome.verdicts["objects"].effects if "fashion" in one.what)
    expected = ttest_ind(above["fashion_mnist"], above["cifar10"], equal_var=False)
    assert other.p == pytest.approx(expected.pvalue)
    assert other.interval == pytest.approx([100 * end for end in expected.confidence_interval(0.95)])
    same = outcome.verdicts["colour"].effects[0]
    assert same.p == pytest.approx(ttest_rel(above["cifar10_grey"], above["cifar10"]).pvalue)
    assert "3 datasets, of two sources of images" in outcome.verdicts["complexity"].effects[0].words()


def test_parts_of_versions_of_a_dataset_are_the_same_images():
    whole, crop = (
        _parts(load_dataset(validate(AlignConfig, {"dataset": {"name": "digits", **more}}).dataset))
        for more in ({}, {"crop": 4})
    )
    for one, other in zip(whole, crop, strict=True):
        assert torch.equal(one.train.images[..., 2:6, 2:6], other.train.images)


def test_subspaces_are_judged_against_each_other():
    def rows(accuracies):
        shares = {"top(share=0.9)": 0.9, "bottom(share=0.2)": 0.2, "top(components=0.5)": 0.99}
        shares |= {"bottom(components=0.5)": 0.01, "random(like=top(share=0.9))": 0.02}
        return [
            make_row(
                "supervised",
                seed,
                accuracy + jitter(place, seed),
                subspace={"spec": spec, "variance": shares[spec], "components": 5},
            )
            for place, (spec, accuracy) in enumerate(accuracies.items())
            for seed in range(3)
        ]

    paper = {"top(share=0.9)": 0.45, "bottom(share=0.2)": 0.55, "top(components=0.5)": 0.58}
    paper |= {"bottom(components=0.5)": 0.2, "random(like=top(share=0.9))": 0.3}
    assert verdicts("variance", rows(paper)) == {"less_is_more": True, "some_less_is_more": True, "dimension": True}
    other = paper | {"bottom(share=0.2)": 0.4, "random(like=top(share=0.9))": 0.5}
    assert verdicts("variance", rows(other)) == {"less_is_more": False, "some_less_is_more": False, "dimension": False}


def test_parts_cover_the_training_images_once():
    data = load_dataset(validate(AlignConfig, {"dataset": {"name": "digits"}}).dataset)
    parts = _parts(data)
    assert len(parts) == PARTS
    assert sum(len(part.train) for part in parts) == len(data.train)
    whole = sorted(map(bytes, data.train.images.flatten(1).numpy()))
    assert sorted(image for part in parts for image in map(bytes, part.train.images.flatten(1).numpy())) == whole
    for part in parts:
        shares = torch.bincount(part.train.labels, minlength=10) / len(part.train)
        assert float((shares - torch.bincount(data.train.labels) / len(data.train)).abs().max()) < 0.01


def test_a_finding_of_the_users_from_its_file_to_its_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "mine.yaml"
    content = {
        "title": "Mine",
        "source": "a guess",
        "judge": "objectives",
        "predictions": {"comparing_wins": "One.", "noise_helps": "Two.", "learning_pays": "Three."},
        "settings": {
            "objective": ["autoencoder", "simclr"],
            "backbone": "resnet_micro",
            "baselines": ["random"],
            "training": {"epochs": 1, "batch_size": 50, "snapshots": 3},
            "evaluation": {"probe_epochs": 1},
            "analysis": {"fit_samples": 50, "test_samples": 40, "view_samples": 20, "altered_samples": 20},
            "seed": [0, 1],
        },
        "comparisons": {"small": {"dataset": {"name": "digits", "limit": 100, "test_limit": 50}}},
    }
    file.write_text(yaml.safe_dump(content))
    answer = CliRunner().invoke(app, ["finding", "mine.yaml", "--out", "out", "--json"])
    assert answer.exit_code == 0, answer.output
    result = json.loads(answer.stdout)
    held = {one["name"]: one["held"] for one in result["predictions"]}
    assert held.keys() == content["predictions"].keys()
    assert held["noise_helps"] is None, "there is no denoising run"
    assert {(run["objective"], run["seed"]) for run in result["runs"]} == {
        (n, s) for n in ("autoencoder", "simclr", "random") for s in (0, 1)
    }
    assert all(
        math.isfinite(effect["value"]) for one in result["predictions"] for effect in one["effects"] if effect["n"]
    )
    assert json.loads((tmp_path / "out" / "mine.json").read_text()) == result
    assert "Undecided" in (tmp_path / "out" / "mine.md").read_text()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("step_*.safetensors")}
    again = json.loads(json.dumps(finding("mine.yaml", "out")))
    assert again["predictions"] == result["predictions"]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("step_*.safetensors")} == before, "runs are kept"


def test_mistakes_in_a_finding_are_one_line(tmp_path):
    with pytest.raises(UserError, match="did you mean 'variance'"):
        load_finding("varience")
    base = {"title": "t", "source": "s", "judge": "datasets", "predictions": {"colour": "c"}}
    file = tmp_path / "mine.yaml"
    for change, message in (
        ({"judge": "nobody"}, "no judge 'nobody'"),
        ({"titel": "x"}, "unknown key 'titel'"),
        ({}, "judge 'datasets' gives verdicts on complexity, colour, crop, objects; the finding predicts colour"),
        ({"comparisons": {"a": "variance"}}, "comparisons.a"),
    ):
        file.write_text(yaml.safe_dump({**base, **change}))
        with pytest.raises(UserError, match=message):
            finding(str(file), tmp_path / "out")


def test_the_list_of_findings_names_them_all():
    listed = CliRunner().invoke(app, ["finding"])
    assert listed.exit_code == 0
    assert all(name in listed.output for name in NAMES)
