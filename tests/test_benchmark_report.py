"""The benchmark's store, report and goals, from made-up results; its own sections at sizes that say nothing."""

import importlib
import json
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from hatchling.builders.wheel import WheelBuilder

from benchmarks import growth, machine, store
from benchmarks.__main__ import REPEATS, main
from benchmarks.contest import Entry, Timing
from benchmarks.durations import seconds_of
from benchmarks.goals import outcomes
from benchmarks.growth import fitted_exponent
from benchmarks.jobs import Job
from benchmarks.profiling import kind_of
from benchmarks.report import page
from benchmarks.results import Curve, Plan, Row, Section
from benchmarks.runner import measure
from benchmarks.sections import demo, evaluation, moments, profile
from benchmarks.sections import growth as growth_section
from benchmarks.tables import NOTHING, duration, three
from ssl_bench.errors import UserError

QUICK = Plan(repeats=1, threads=1, quick=True)


def measured(device="cpu", **changes):
    """What is stored beside a section."""
    made = {
        "created": "2026-01-02T03:04:05+00:00",
        "versions": {"torch": "2.15.0", "kornia": None},
        "git": "abc123",
        "hardware": {"processor": "a chip", "cores": 2, "threads": 2, "gpu": None},
        "load": {"averages": [0.1, 0.2, 0.3], "others": 0.0},
        "command": "scripts/benchmark step",
        "plan": {"device": device, "repeats": 5, "threads": 2, "quick": False},
        "seconds": 61.2,
        "warning": None,
    }
    return made | changes


def stored(*sections, device="cpu"):
    return {section.name: store.Entry(section, measured(device)) for section in sections}


def against(case, *, ratio, rival="lightly, as shipped", rate=1000.0, error=None):
    """Two rows of the section ``step``."""
    low, high = (None, None) if ratio is None else (0.9 * ratio, 1.1 * ratio)
    return [
        Row(case, "ssl_bench", "images/s", rate, 0.9 * rate, 1.1 * rate),
        Row(case, rival, "images/s", ratio and rate / ratio, None, None, ratio, low, high, error=error),
    ]


def by_goal(entries):
    return {outcome.goal.what: outcome for outcome in outcomes(entries)}


def of(found, *words):
    (outcome,) = [one for what, one in found.items() if all(word in what for word in words)]
    return outcome


def test_goals_are_reached_missed_or_not_measured():
    step = Section(
        "step",
        "",
        "",
        [
            *against("simclr, resnet18, 32 px, batch 64", ratio=1.32),
            *against("simclr, resnet_micro, 32 px, batch 256", ratio=1.2),
            *against("simclr, vit_micro, 32 px, batch 256", ratio=None, error="lightly is not installed"),
            *against("mae, vit_tiny, 32 px, batch 64", ratio=0.7),
        ],
    )
    shares = [Row("simclr, resnet_micro", name, "%", share) for name, share in (("norm", 11.0), ("loss", 2.0))]
    shares += [Row("simclr, resnet_micro", name, "%", share) for name, share in (("convolution", 70.0), ("views", 5.0))]
    shares += [Row("simclr, resnet_micro", "views, timed without the profiler", "%", 99.0)]
    found = by_goal(stored(step, Section("profile", "", "", shares)))
    reached = of(found, "simclr", "resnet18", "two cores")
    assert reached.reached is True
    assert reached.margin == pytest.approx(0.1)
    assert (reached.low, reached.high) == pytest.approx((1.188, 1.452))
    assert reached.shares == ()
    missed = of(found, "simclr", "resnet_micro")
    assert missed.reached is False
    assert missed.margin == pytest.approx(-0.2)
    assert missed.shares == (("convolution", 70.0), ("norm", 11.0), ("views", 5.0))
    assert of(found, "simclr", "vit_micro").missing == "lightly is not installed"
    only_reported = of(found, "mae", "vit_tiny", "two cores")
    assert only_reported.value == pytest.approx(0.7)
    assert only_reported.reached is None
    assert of(found, "mae", "vit_micro").missing == "the section step has no such row"
    assert of(found, "kornia").missing == "the section augmentation was not run"
    assert of(found, "mae", "vit_tiny", "GPU").missing == "no GPU here"


def test_goals_of_a_gpu():
    step = Section(
        "step",
        "",
        "",
        [
            *against("simclr, resnet18, 32 px, batch 1024", ratio=4.0, rate=33_000.0),
            *against("mae, vit_tiny, 32 px, batch 1024", ratio=2.0, rate=100_000.0),
        ],
    )
    found = by_goal(stored(step, device="cuda"))
    views = of(found, "simclr", "large GPU", "training of")
    assert views.value == 66_000  # two views an image
    assert views.reached is True
    assert of(found, "against lightly's as shipped, one large GPU").reached is False
    assert of(found, "mae", "large GPU").margin == pytest.approx(-1 / 3)
    assert of(found, "views at 32 px against lightly").missing == "this machine has a GPU"
    about = measured("cuda")
    smoke = {"step": store.Entry(step, about | {"plan": about["plan"] | {"quick": True}})}
    assert of(by_goal(smoke), "mae", "large GPU").missing == "only a smoke test was run"
    failed = {"step": store.Entry(None, measured("cuda"), "no memory")}
    assert of(by_goal(failed), "mae", "large GPU").missing == "the section step failed"


def test_goals_find_the_rows_of_the_sections():
    """Cases and contestants are called what the sections call them."""
    augmentation, step = (importlib.import_module(f"benchmarks.sections.{name}") for name in ("augmentation", "step"))
    plan = Plan()
    cases = {
        step.title_of(step.case_of(plan, objective, backbone)): step.OTHERS[objective]
        for objective, backbones in step.BACKBONES.items()
        for backbone in backbones
    }
    names = [entry.name for entry in augmentation._entries(plan, 32, 8)]
    for outcome in outcomes({}):
        goal = outcome.goal
        if goal.section == "step":
            (found,) = [others for case, others in cases.items() if case.startswith(goal.case)]
            assert goal.rival is None or goal.rival in found
        else:
            assert [name for name in names if name.startswith(goal.rival)]
    profiled = {f"{objective}, {backbone}" for objective, backbone in profile.CASES} | {profile.VIEWS}
    assert {outcome.goal.profile for outcome in outcomes({})} <= profiled | {None}


def test_the_page_says_what_was_measured():
    rows = [
        Row("simclr, resnet18, 32 px", "ssl_bench", "images/s", 1234.56, 1201, 1260, extra={"memory_mb": 812.3}),
        Row("simclr, resnet18, 32 px", "lightly, as shipped", "images/s", 950.1, 940, 961, 1.2994, 1.25, 1.35),
        Row("a probe", "ssl_bench", "s", 0.012345, 0.012, 0.0131, extra={"curve": [[1, 2]], "roofline_share": 0.456}),
        Row("a probe", "other", "s", error="other is not installed"),
        Row("mae, vit_micro", "views", "%", 12.34),
    ]
    curve = Curve("eigenproblem", "D", [100.0, 200.0, 400.0], [0.1, 0.8, 6.4], [1e8, 4e8, 1.6e9], 3, 3.0, "products")
    section = Section("step", "Training", "About\nit.", rows, [curve], ["A note."])
    other = measured(versions={"torch": "2.14.0"}, created="2025-01-01T00:00:00+00:00", warning="others work")
    entries = stored(section) | {"demo": store.Entry(None, other, "it broke")}
    text = page("two_cores", entries)
    dashes = text.replace(NOTHING, "-")
    for said in (
        "# Speed on two cores",
        "a chip, 2 cores; threads: 2",
        "torch 2.15.0",
        "| simclr, resnet18, 32 px | ssl_bench | 1,230 | 1,200 to 1,260 | - | - | 812 |",
        "|  | lightly, as shipped | 950 | 940 to 961 | 1.3 | 1.25 to 1.35 | - |",
        "| a probe | ssl_bench | 12.3 ms | 12 ms to 13.1 ms | - | - | 46 % |",
        "| - | other is not installed |",
        "| views | 12.3 |",
        "| eigenproblem | D | 100 | 400 | 3 | 3.00 | 2.00 | products |",
        "| time | 100 ms | 800 ms | 6.4 s |",
        "**reached** by 8 %",
        "A note.",
        "61.2 s, commit abc123, turns: 5, load 0.1.",
        "## demo\n\nThe last attempt to measure this failed. it broke",
    ):
        assert said in dashes
    assert "kornia None" not in text
    stale = {"step": store.Entry(section, other, "t: it broke"), **stored(Section("demo", "Demo", ""))}
    text = page("two_cores", stale)
    assert "what is shown is from before. t: it broke" in text
    assert "**Warning: others work.**" in text
    assert "With torch 2.14.0." in text


def test_numbers_have_three_digits():
    assert [three(value) for value in (0.00012345, 1.2345, 99.96, 123.4, 65432.1)] == [
        "0.000123",
        "1.23",
        "100",
        "123",
        "65,400",
    ]
    assert [duration(value) for value in (120.4, 1.0, 0.9999, 0.0123, 4.56e-5)] == [
        "120 s",
        "1 s",
        "1 s",
        "12.3 ms",
        "45.6 µs",
    ]


def test_the_store_replaces_one_section_and_keeps_the_others(tmp_path):
    file = tmp_path / "deep" / "two_cores.json"
    rows = [Row("case", "ssl_bench", "s", float("nan"), extra={"curve": [(1.0, 2.0)], "high": float("inf")})]
    curve = Curve("a", "b", [1.0, 2.0], [1.0, 2.0], [1.0, 1.0], 1, 1.0)
    store.enter(file, Section("step", "Step", "", rows, [curve], ["note"]), measured())
    store.enter(file, Section("augmentation", "Views", ""), measured(git="first"))
    store.enter(file, Section("augmentation", "Views", "again"), measured(git="second"))
    store.enter_failure(file, "step", "it broke", measured(git="third"))
    store.enter_failure(file, "growth", "no luck", measured())
    assert json.loads(file.read_text())["name"] == "two_cores"
    entries = store.read(file)
    assert list(entries) == ["augmentation", "step", "growth"]  # the order of the page
    assert entries["augmentation"].section.about == "again"
    assert entries["augmentation"].measured["git"] == "second"
    kept = entries["step"]
    assert kept.measured["git"] == "abc123"
    assert kept.error == "2026-01-02T03:04:05+00:00: it broke"
    assert kept.section.rows[0].median is None
    assert kept.section.rows[0].extra == {"curve": [[1.0, 2.0]], "high": None}
    assert kept.section.curves == [curve]
    assert entries["growth"].section is None
    store.enter(file, Section("step", "Step", ""), measured())
    assert store.read(file)["step"].error is None


@pytest.mark.parametrize("content", ['{"schema": 7}', '{"schema": 1, "sections": {"step": {"section": 3}}}', "["])
def test_a_strange_file_is_not_overwritten(tmp_path, content):
    file = tmp_path / "two_cores.json"
    file.write_text(content)
    with pytest.raises(UserError, match=r"two_cores\.json"):
        store.enter(file, Section("step", "", ""), measured())
    assert file.read_text() == content


SECTIONS = """
import os
import shutil
from benchmarks.results import Section

def good(plan):
    return Section("evaluation", "Good", f"with {plan.repeats}")

def bad(plan):
    raise ValueError("first line\\nsecond line")

def dying(plan):
    os._exit(3)
"""


def test_a_failing_section_does_not_lose_the_others(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(machine, "PAUSE", 0.01)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "made_sections.py").write_text(SECTIONS)
    file = tmp_path / "here.json"
    named = (("step", "bad"), ("augmentation", "dying"), ("evaluation", "good"))
    jobs = [Job(name, f"made_sections:{function}", QUICK) for name, function in named]
    assert measure(jobs, file, "scripts/benchmark --quick") is False
    entries = store.read(file)
    assert entries["step"].error.endswith("ValueError: first line")
    assert "BrokenProcessPool" in entries["augmentation"].error
    assert entries["evaluation"].section.about == "with 1"
    assert entries["evaluation"].measured["command"] == "scripts/benchmark --quick"
    assert entries["evaluation"].measured["seconds"] >= 0
    assert "failed: step, augmentation" in capfd.readouterr().err
    text = file.with_suffix(".md").read_text()
    assert "## Good" in text
    assert "ValueError: first line" in text


def test_the_command_line(tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr("benchmarks.__main__.measure", lambda jobs, file, command: asked.append((jobs, file)) or True)
    assert main(["growth", "step", "--out", str(tmp_path), "--name", "x"]) == 0
    (jobs, file) = asked.pop()
    assert [job.name for job in jobs] == ["step", "growth"]  # in the order of the page
    assert file == tmp_path / "x.json"
    assert jobs[0].plan.repeats == REPEATS
    assert main(["--repeats", "2", "--before", "HEAD~1"]) == 0
    jobs = {job.name: job for job in asked.pop()[0]}
    assert list(jobs) == list(store.SECTIONS)
    assert jobs["demo"].plan.repeats == 2
    assert jobs["demo"].settings == {"before": "HEAD~1"}
    assert main(["demo", "--quick"]) == 0
    ((job,), file) = asked.pop()
    assert job.plan == Plan(machine.device(), 1, torch.get_num_threads(), quick=True)
    assert file.name.endswith("_quick.json")
    assert main(["grwth"]) == 2
    assert capsys.readouterr().err == "error: unknown section 'grwth'; did you mean 'growth'?\n"
    assert main(["growth", "--before", "HEAD"]) == 2
    assert "--before is for the section demo" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["--repeats", "0"])
    assert not asked
    for job in jobs.values():
        assert callable(importlib.import_module(job.function.partition(":")[0]).run)


def test_the_machine_and_its_load(monkeypatch):
    monkeypatch.setattr(machine.torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(machine, "cores", lambda: 2)
    assert machine.default_name() == "two_cores"
    monkeypatch.setattr(machine, "cores", lambda: 64)
    assert machine.default_name() == "64_cores"
    assert machine.slug("NVIDIA H200 (141GB)") == "nvidia_h200_141gb"
    assert machine.disturbance({"averages": [2.0, 1, 1], "others": 0.02}) is None  # our own, from before
    assert "1.3 of 64 cores" in machine.disturbance({"averages": [0.0, 0, 0], "others": 1.31})
    assert "2.0 of 64 cores" in machine.disturbance({"averages": [2.0, 0, 0], "others": None})
    found = machine.describe()
    assert found["versions"]["kornia"] is None or isinstance(found["versions"]["kornia"], str)
    assert len(found["load"]["averages"]) == 3


def test_exponents_of_made_up_curves():
    sizes = [1, 2, 4, 8, 16, 32]
    assert fitted_exponent(sizes, [3 * size**2.5 for size in sizes]) == pytest.approx(2.5)
    # An overhead at small sizes is not in it: only the larger half counts, in whatever order they come.
    bent = [100, 100, 100, 8, 16, 32]
    assert fitted_exponent(sizes, bent) == pytest.approx(1)
    assert fitted_exponent(sizes[::-1], bent[::-1]) == pytest.approx(1)
    assert fitted_exponent([1, 10], [5, 5]) == pytest.approx(0)
    for wrong in (([1], [1]), ([1, 2], [0, 1]), ([1, 2], [-1, 1])):
        with pytest.raises(ValueError, match="two sizes or more"):
            fitted_exponent(*wrong)


ALLOCATION = """
def allocating(megabytes):
    return lambda: len(bytearray(b"x") * (megabytes << 20))
"""


def test_growth_counts_the_memory_of_its_own_process(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(growth, "PRELOADED", ["benchmarks.growth"])
    (tmp_path / "allocation.py").write_text(ALLOCATION)
    one = growth.Growth("allocation", "MB", "allocation:allocating", "megabytes", (50, 100, 200), 1, "")
    found = growth.follow(one, QUICK, 1)
    assert [memory / 2**20 for memory in found.memory] == pytest.approx([50, 100, 200], abs=30)
    assert len(found.seconds) == 3


def test_seconds_are_less_where_items_a_second_are_more():
    entries = [Entry(name, "") for name in ("ours", "theirs", "none")]
    timings = [
        Timing(entries[0], seconds=[1.0, 2.0, 3.0], cpu=[1.0] * 3, items=1),
        Timing(entries[1], seconds=[4.0, 8.0, 6.0], cpu=[1.0] * 3, items=1),
        Timing(entries[2], error="gone"),
    ]
    ours, theirs, none = seconds_of("case", timings)
    assert (ours.low, ours.median, ours.high, ours.unit) == (1.5, 2.0, 2.5, "s")
    assert theirs.median == 6.0
    assert (theirs.ratio_low, theirs.ratio, theirs.ratio_high) == (3.0, 4.0, 4.0)
    assert none.error == "gone"


def test_kinds_of_operators():
    def event(name, *, inside=None):
        return SimpleNamespace(name=name, cpu_parent=inside)

    views, update = event("part: views"), event("Optimizer.step#AdamW.step")
    assert kind_of(event("aten::mm", inside=event("aten::linear", inside=views))) == "views"
    assert kind_of(event("aten::_foreach_add_", inside=update)) == "optimizer"
    kinds = {
        "convolution": ("aten::mkldnn_convolution", "aten::convolution_backward"),
        "matrix product": ("aten::addmm", "mkldnn::_linear_pointwise", "aten::bmm"),
        "norm": ("aten::cudnn_batch_norm", "aten::native_layer_norm_backward"),
        "attention": ("aten::_scaled_dot_product_flash_attention_for_cpu_backward",),
        "activation": ("aten::gelu", "aten::threshold_backward", "aten::_softmax"),
        "loss": ("aten::mse_loss_backward", "aten::_log_softmax"),
        "layout and copies": ("aten::copy_", "aten::t", "aten::gather"),
        "other operators": ("aten::mul", "aten::sum"),
        "Python and waiting": ("autograd::engine::evaluate_function: MmBackward0", "_Product", "part"),
    }
    for kind, names in kinds.items():
        assert {kind_of(event(name)) for name in names} == {kind}


def in_process(entries, repeats):
    """A contest without processes, which would take seconds each to start."""
    timings = []
    for entry in entries:
        module, _, name = entry.factory.partition(":")
        work = getattr(importlib.import_module(module), name)(**entry.settings)
        items = work()
        getattr(work, "tune", dict)()
        about = getattr(work, "about", dict)()
        timings.append(Timing(entry, 1.0, 1.0, [0.5] * repeats, [0.5] * repeats, items, 1, about))
    return timings


def directly(function, *arguments, plan):
    return function(*arguments)


@pytest.mark.parametrize("section", [evaluation, moments])
def test_quick_sections_of_contestants(section, monkeypatch):
    monkeypatch.setattr(section, "contest", in_process)
    made = section.run(QUICK)
    assert not [row for row in made.rows if row.error]
    cases = {row.case: row for row in made.rows}
    assert len(cases) >= 4
    accuracies = [row.extra["top1_percent"] for row in made.rows if row.case.startswith("ridge")]
    errors = {row.name: row.extra.get("eigenvalue_error") for row in made.rows if row.case.startswith("components")}
    if section is evaluation:
        assert min(accuracies) > 40  # of ten classes: all contestants solve the problem
    else:
        assert max(errors["ssl_bench, cold"], errors["ssl_bench, cached"]) < 1e-9
        assert 1e-9 < errors["scikit-learn PCA, float32"] < 1e-2
    assert not any("eigenvalues" in row.extra for row in made.rows)


def test_quick_growth_and_profile(monkeypatch):
    monkeypatch.setattr(growth, "apart", directly)
    made = growth_section.run(QUICK)
    assert made.notes == []
    assert len(made.curves) == len(growth_section.growths_of(QUICK))
    assert all(len(curve.seconds) == len(curve.sizes) == 2 for curve in made.curves)
    monkeypatch.setattr(profile, "apart", directly)
    shares = {row.name: row.median for row in profile.run(QUICK).rows if row.case == "simclr, resnet_micro"}
    assert shares["convolution"] > 10
    assert shares["views"] > 1
    apart = shares.pop(profile.APART)
    assert 1 < apart < 90
    assert sum(shares.values()) == pytest.approx(100)


def test_growth_goes_on_where_a_work_fails(monkeypatch):
    def failing(growth, plan, repeats):
        if growth.argument != "snapshots":
            raise ValueError("first\nsecond")
        return Curve(growth.what, growth.against, [1.0, 2.0], [1.0, 2.0], [1.0, 1.0], 1, 1.0)

    monkeypatch.setattr(growth_section, "follow", failing)
    made = growth_section.run(QUICK)
    assert [curve.against for curve in made.curves] == ["snapshots"]
    assert "Not measured: mean and covariance, N = 2,048, against dimension D (ValueError: first)." in made.notes


def test_quick_demo():
    (row,) = demo.run(QUICK).rows
    assert (row.name, row.unit) == ("ssl_bench", "s")
    assert row.median > 1
    assert row.extra["memory_mb"] > 100
    assert row.extra["cpu_seconds"] > 0.5


def test_demo_takes_turns_with_another_commit(tmp_path, monkeypatch):
    (tmp_path / "ssl_bench").mkdir()
    (tmp_path / "ssl_bench" / "__init__.py").touch()
    main_file, log = tmp_path / "ssl_bench" / "__main__.py", tmp_path / "log"

    def git(*arguments):
        who = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        subprocess.run(["git", "-C", tmp_path, *who, *arguments], check=True, capture_output=True)

    monkeypatch.setattr(demo, "ROOT", tmp_path)
    git("init")
    for version in ("old", "new"):
        main_file.write_text(f"open({str(log)!r}, 'a').write('{version} ')")
        git("add", "ssl_bench")
        git("commit", "-m", version)
    rows = demo.run(Plan(repeats=2, quick=True), before="HEAD~1").rows
    assert log.read_text() == "new old new old "
    assert [row.name for row in rows] == ["ssl_bench", "ssl_bench at HEAD~1"]
    assert rows[1].ratio > 0
    found = subprocess.run(["git", "-C", tmp_path, "worktree", "list"], capture_output=True, text=True, check=True)
    assert len(found.stdout.splitlines()) == 1
    with pytest.raises(UserError, match=r"--before: git worktree failed: .*nowhere.*; give a commit"):
        demo.run(QUICK, before="nowhere")
    main_file.write_text("print('words'); raise SystemExit(3)")
    with pytest.raises(RuntimeError, match="ssl_bench ended with status 3: words"):
        demo.run(QUICK)


def test_the_cost_of_a_command_counts_its_children(tmp_path):
    busy = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'sum(range(20_000_000))'])"
    cost = demo.cost_of([sys.executable, "-c", busy], tmp_path, dict(os.environ))
    assert cost.cpu > 0.15
    assert cost.wall > 0.15
    assert cost.memory > 2**20


def test_the_benchmark_is_not_in_the_wheel():
    files = [file.distribution_path for file in WheelBuilder(str(demo.ROOT)).recurse_included_files()]
    assert any(file.startswith("ssl_bench/") for file in files)
    assert not any("benchmarks" in file for file in files)


PYTHON = """#!/bin/bash
# Stands for Python, pip and venv: notes what it is asked, and makes copies of itself.
[ "$1" = -c ] && exit 0
echo "$@" >> "$LOG"
if [ "$2" = venv ]; then mkdir -p "$3/bin" && cp "$0" "$3/bin/python"; fi
"""


def test_the_script_makes_its_environment_once_and_again_when_requirements_change(tmp_path):
    shutil.copytree(demo.ROOT / "scripts", tmp_path / "scripts")
    (tmp_path / "benchmarks").mkdir()
    files = [tmp_path / name for name in ("pyproject.toml", "constraints.txt", "benchmarks/requirements.txt")]
    for file in files:
        file.write_text("one\n")
    python, log = tmp_path / "python", tmp_path / "log"
    python.write_text(PYTHON)
    python.chmod(0o755)
    environment = {**os.environ, "PYTHON": str(python), "LOG": str(log)}

    def asked(*arguments):
        log.write_text("")
        subprocess.run([tmp_path / "scripts" / "benchmark", *arguments], env=environment, check=True, cwd="/")
        return log.read_text().splitlines()

    made, installed, run = asked("step", "--name", "two words")
    assert made == "-m venv .venv-benchmark"
    assert installed.endswith("--constraint constraints.txt --editable . --requirement benchmarks/requirements.txt")
    assert run == "-m benchmarks step --name two words"
    assert asked() == ["-m benchmarks"]
    for file in files:
        file.write_text("two\n")
        assert [line.split()[1] for line in asked()] == ["pip", "benchmarks"]
