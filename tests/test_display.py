"""What people see while a comparison works, drawn on consoles that are none; and what it is read from."""

import io
import json
import math
import sys

import pytest
from rich.console import Console
from test_launching import planned

from ssl_bench import terminal
from ssl_bench.errors import UserError, warn
from ssl_bench.evaluation.evaluator import evaluation_question
from ssl_bench.files import write_json
from ssl_bench.launching import display, in_turn
from ssl_bench.launching.display import Display
from ssl_bench.launching.standing import Files, Standing, read_standing
from ssl_bench.launching.table import Line, draw
from ssl_bench.launching.time_left import Work, in_words, time_left
from ssl_bench.measuring import analysis_question
from ssl_bench.runs.lock import held
from ssl_bench.shelf import Shelf
from ssl_bench.training.observers import TrainingProgress

SEEDS = (
    Standing("finished", 100, 100, linear=0.4123),
    Standing("training", 45, 100, loss=0.3149),
    Standing("waiting"),
    Standing("failed", error="the loss became nan"),
)


def drawn(lines, width=100, height=30, **more):
    console = Console(file=io.StringIO(), width=width, height=height, legacy_windows=False)
    console.print(draw(lines, width, height, **more))
    return console.file.getvalue().rstrip("\n").split("\n")


def test_a_narrow_terminal_keeps_ten_columns_of_bar():
    last = drawn([Line("simclr", SEEDS)], width=40, left=200)[-1]
    assert last[:12].strip("\u2501\u2578\u257a ") == ""
    assert last[12:].startswith("1 of 4 finished")


def test_a_line_a_configuration_with_its_seeds_as_states():
    table = drawn([Line("denoising gaussian(sigma=0.5)", SEEDS)], left=200, note="Slurm: 1 running")
    assert table[0].split("  ") == [
        "denoising gaussian(sigma=0.5)",
        *("0.412", "training 45 %, loss 0.315", "waiting", "failed"),
    ]
    assert table[1] == "Slurm: 1 running"
    assert table[2].endswith("1 of 4 finished, 1 failed, about 3 min left")


@pytest.mark.parametrize(
    ("width", "states"),
    [(70, "0.412  45 %  wait  FAIL"), (44, "0.412  45 %  wait  FAIL"), (40, "1 finished, 1 failed")],
)
def test_a_narrow_terminal_says_less(width, states):
    table = drawn([Line("denoising gaussian(sigma=0.5) of a long name", SEEDS)], width)
    assert max(map(len, table)) <= width
    assert states in table[0]
    assert table[0].startswith("denoising gaus")


def test_many_seeds_are_counted():
    table = drawn([Line("simclr", SEEDS * 6)], 80)
    assert "6 finished, 6 failed, 6 training, 6 waiting" in table[0]
    assert max(map(len, table)) <= 80


def test_a_long_matrix_is_cut_to_what_tells_most_and_the_rest_is_counted():
    lines = [Line(f"number {place}", (Standing("finished", 1, 1, linear=0.5),)) for place in range(60)]
    lines[57] = Line("number 57", (Standing("training", 1, 2),))
    lines[3] = Line("number 3", (Standing("failed"),))
    table = drawn(lines, 80, 20)
    assert len(table) < 20
    assert sum(line.startswith("number ") for line in table) == 17
    assert any(line.startswith("number 57 ") for line in table)
    assert any(line.startswith("number 3 ") for line in table)
    assert table[-2] == "and 43 more: 43 finished"
    assert "58 of 60 finished, 1 failed" in table[-1]
    assert len(drawn(lines, 80, 70)) == 61


def test_what_a_terminal_would_obey_is_spelt_out():
    assert "\x1b" not in "".join(drawn([Line("\x1b[31mred", SEEDS)], note="\x1b[2J"))


def work(stage, step=0, name="a", batch=10, **more):
    return Work(name, Standing(stage, step, 100, **more), batch)


DONE = {"train": 100.0, "evaluate": 20.0, "analyze": 10.0}


def test_time_left_is_that_of_finished_runs_of_the_configuration():
    runs = [work("finished", 100, seconds=DONE), work("waiting"), work("training", 50), work("analyzing", 100)]
    assert time_left(runs, 1) == 130 + (50 + 30) + 10
    assert time_left(runs, 2) == 130, "no run is shorter than itself"
    assert time_left([runs[0], work("failed")], 1) == 0
    assert time_left([runs[0], work("waiting", name="b"), work("waiting", name="c", batch=0)], 1) == 130 + 30


def test_time_left_is_reckoned_from_images_per_second_before_any_run_is_finished():
    assert time_left([work("training", 50, speed=5.0), work("waiting")], 1) == 100 + 200
    assert time_left([work("waiting"), work("training")], 1) is None
    assert time_left([], 1) == 0


def test_durations_are_said_about():
    assert [in_words(seconds) for seconds in (0.1, 45, 200, 7800)] == ["1 s", "45 s", "3 min", "2 h 10 min"]


def row(name, value, step=20):
    return json.dumps({"step": step, "name": name, "value": value}) + "\n"


def measured(plan, run, probed=True, analyzed=True):
    """Write what a trained run has of its measurements."""
    config = plan.main[0]
    run.update(status="finished", progress={"step": 40}, timings={"train_seconds": 3.0, "evaluate_seconds": "much"})
    rows = [{"step": 40, "linear_top1": 0.5}]
    if probed:
        write_json(run.evaluation_file, {**evaluation_question(config.evaluation), "snapshots": rows}, sealed=True)
    if analyzed:
        write_json(run.spectrum_file, {**analysis_question(config.analysis), "snapshots": rows}, sealed=True)


def test_how_a_run_stands_is_read_from_its_directory(tmp_path):
    plan = planned(tmp_path / "out")
    run, files = plan.run(plan.main[0]), Files()

    def stage(**more):
        return read_standing(run, plan.main[0], files, **more)

    assert stage() == Standing("waiting")
    with held(run.path):
        run.update(status="running", total_steps=40)
        run.metrics_file.write_text(row("loss", 0.5) + row("images_per_second", 100.0) + '{"step": 2')
        assert stage() == Standing("training", 20, 40, 0.5, 100.0)
    assert (stage().stage, stage(worked_on=True).stage) == ("waiting", "training")
    run.update(status="failed", error="the loss became nan")
    assert stage().error == "the loss became nan"
    run.update(error=None)
    measured(plan, run, probed=False, analyzed=False)
    assert (stage().stage, stage(worked_on=True).stage) == ("waiting", "probing")
    measured(plan, run, analyzed=False)
    assert stage(worked_on=True).stage == "analyzing"
    measured(plan, run)
    assert stage() == Standing("finished", 40, 40, linear=0.5, seconds={"train": 3.0})
    assert read_standing(run, planned(tmp_path / "out", "evaluation.knn_k=3").main[0], Files()).stage == "waiting"
    run.evaluation_file.write_text("{")
    assert stage().stage == "waiting"


def test_records_may_hold_anything(tmp_path):
    plan = planned(tmp_path / "out")
    run = plan.run(plan.main[0])
    odd = {"progress": [1], "total_steps": "many", "timings": {"train_seconds": True}, "status": 7, "error": {"a": 1}}
    run.record_file.write_text(json.dumps(odd))
    run.metrics_file.write_text('[]\n"step"\n' + row("loss", "nan") + row(7, None, "x"))
    assert read_standing(run, plan.main[0], Files()) == Standing("failed", error="{'a': 1}")
    assert read_standing(run, plan.main[0], Files(), worked_on=True).loss is None
    for damaged in ("nothing", json.dumps({"status": "failed", "total_steps": math.inf})):
        run.record_file.write_text(damaged)
        assert read_standing(run, plan.main[0], Files()).stage == "waiting"


def test_a_failure_of_before_is_not_one_of_this_time(tmp_path):
    plan = planned(tmp_path / "out")
    plan.run(plan.main[0]).update(error="of before")
    shown = Display(plan, 1, Console(file=io.StringIO()), live=False)
    assert shown.standing(plan.main[0]).stage == "waiting"
    shown.started(plan.main[0], "again")
    shown.ended(plan.main[0])
    assert shown.standing(plan.main[0]).stage == "failed"


def does(plan, seen):
    """Stands for the doing of a run: the first fails, the others end well."""

    def complete(path, shelf):
        seen.append(terminal.shows_bars())
        warn("said meanwhile")
        print("and printed", file=sys.stderr)
        with TrainingProgress("bar", 10, 0) as progress:
            progress.update(5, 0.5, 1.0)
        run = plan.run(plan.main[len(seen) - 1])
        if len(seen) == 1:
            run.update(error="out of \x1b[31mluck")
            raise UserError("out of luck")
        measured(plan, run)

    return complete


def test_a_live_table_has_the_terminal_to_itself(tmp_path, monkeypatch):
    plan, seen, screen = planned(tmp_path / "out", "seed=[0,1]"), [], io.StringIO()
    monkeypatch.setattr(in_turn, "complete", does(plan, seen))
    made = {"file": screen, "force_terminal": True, "width": 90, "height": 20, "highlight": False}
    monkeypatch.setattr(display, "Console", lambda **_: Console(**made))
    monkeypatch.setenv("TERM", "xterm")
    in_turn.run_in_turn(plan, Shelf())
    text = screen.getvalue()
    assert seen == [False, False]
    assert not terminal.is_taken()
    for said in ("ssl-bench: said meanwhile", "and printed", "failed: out of luck", "0.500"):
        assert said in text
    assert "1 of 2 finished, 1 failed" in text
    assert "images/s" not in text
    assert "[1/2]" not in text


@pytest.mark.parametrize("where", ["no terminal", "dumb", "not live"])
def test_elsewhere_there_are_lines(tmp_path, monkeypatch, where):
    plan, screen = planned(tmp_path / "out", "seed=[0,1]"), io.StringIO()
    monkeypatch.setattr(in_turn, "complete", does(plan, []))
    monkeypatch.setenv("TERM", "dumb" if where == "dumb" else "xterm")
    monkeypatch.setattr(
        display, "Console", lambda **_: Console(file=screen, force_terminal=where != "no terminal", no_color=True)
    )
    in_turn.run_in_turn(plan, Shelf(), live=where != "not live")
    assert screen.getvalue().splitlines() == [
        "[1/2] autoencoder resnet_micro digits seed 0",
        "  failed: out of luck",
        "[2/2] autoencoder resnet_micro digits seed 1",
        "  finished: linear probe 0.500, 3 s; 1 of 2 finished, 1 failed",
    ]
