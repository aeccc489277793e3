"""What verbs print: plain and the same for ever where it is read by programs, in colour and columns on a terminal."""

import json
import re
import time
from pathlib import Path

import pytest
import wandb
from test_report import make_config, make_run
from typer.testing import CliRunner
from wandb.proto import wandb_internal_pb2

from ssl_bench import cli_common, cli_runs
from ssl_bench.cli import app
from ssl_bench.cli_common import Columns, show
from ssl_bench.cli_compare import comparison_parts
from ssl_bench.errors import UserError
from ssl_bench.runs.index import find_runs, list_runs
from ssl_bench.runs.summary import summarise_run


@pytest.fixture
def screen(monkeypatch, capsys):
    """Make standard output a terminal; returns what was printed there."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("NO_COLOR", raising=False)

    def printed(words):
        with monkeypatch.context() as patch:
            patch.setattr(cli_common.sys.stdout, "isatty", lambda: True)
            app(words, standalone_mode=False)
        return capsys.readouterr().out

    return printed


def without_colour(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_columns_are_plain_where_they_are_piped(capsys):
    show({}, False, lambda: ["before", Columns(("name", "n"), [("long name", "1"), ("b", "22")])])
    assert capsys.readouterr().out == "before\nname       n\nlong name  1\nb          22\n"


def test_runs_on_a_terminal_have_states_in_colour_and_times_in_words(tmp_path, screen, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "runs"
    make_run(folder, make_config())
    make_run(folder, make_config(seed=1), status="failed", error="the loss \x1b[2J became nan")
    text = screen(["runs", "list", str(folder)])
    assert "\x1b[32mfinished" in text
    assert "\x1b[1;31mfailed" in text
    assert "\x1b[2J" not in text
    plain = without_colour(text)
    assert re.search(r"finished +0\.900 +4,096 +\d+ s ago", plain)
    assert "the loss" in plain
    assert re.search(r"\d+ s ago", plain)
    monkeypatch.setenv("NO_COLOR", "1")
    bare = screen(["runs", "list", str(folder)])
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", bare)
    assert "failed" in bare


def test_runs_are_piped_as_ever(tmp_path):
    make_run(tmp_path / "runs", make_config(seed=1), status="failed", error="the loss \x1b[2J became nan")
    lines = CliRunner().invoke(app, ["runs", "list", str(tmp_path / "runs")]).stdout.splitlines()
    assert len(lines) == 1
    assert re.fullmatch(r"   failed {9}.*images seen\): the loss \\x1b\[2J became nan", lines[0])


def test_a_run_on_a_terminal_is_a_sheet(tmp_path, screen):
    path = make_run(tmp_path, make_config(), status="failed", error="no more room")
    plain = without_colour(screen(["runs", "show", str(getattr(path, "path", path))]))
    assert re.search(r"state +failed", plain)
    assert re.search(r"error +no more room", plain)
    assert re.search(r"created +2026-01-02T03:04:05\+00:00 \(\d+ d ago\)", plain)


def test_times_are_said_in_the_largest_unit_that_fits():
    assert [cli_runs._ago(seconds) for seconds in (None, 5, 119, 300, 8000, 200_000)] == [
        *("", "5 s ago", "119 s ago", "5 min ago", "2 h ago", "2 d ago"),
    ]


def test_lists_are_tables_on_a_terminal_and_lines_elsewhere(screen):
    plain = without_colour(screen(["list", "objectives"]))
    lines = CliRunner().invoke(app, ["list", "objectives"]).stdout.splitlines()
    assert re.match(r"Objectives +what it is", plain)
    assert any(re.match(r"simclr +\S", line) for line in lines)
    assert all(line.split()[0] in plain for line in lines)


def test_five_hundred_runs_are_listed_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for seed in range(500):
        path = tmp_path / "runs" / f"run{seed}"
        path.mkdir(parents=True)
        (path / "run.json").write_text(json.dumps({"status": "waiting", "id": str(seed)}))
    monkeypatch.setattr("ssl_bench.runs.index.summarise_run", lambda run: {"id": run.path.name, "spectrum": None})
    list_runs([tmp_path / "runs"])
    started = time.process_time()
    assert len(list_runs([tmp_path / "runs"])) == 500
    assert time.process_time() - started < 2


def comparison(tmp_path):
    """Two configurations of two seeds, of which one run failed."""
    out = tmp_path / "out"
    for name, seed, top1, status in [("simclr", 0, 0.8, "finished"), ("simclr", 1, 0.9, "finished")]:
        make_run(out / "runs", make_config(name, seed), top1, status)
    make_run(out / "runs", make_config("autoencoder", 0), 0.5)
    make_run(out / "runs", make_config("autoencoder", 1), status="failed", error="the loss became nan")
    rows = [{**summarise_run(run)} for run in find_runs([out])]
    return out, {"runs": rows, "baselines": [], "skipped": []}


def test_a_comparison_ends_with_what_reads_best_and_what_is_not_done(tmp_path):
    out, summary = comparison(tmp_path)
    best, table, *rest = comparison_parts(summary, out)
    assert best.startswith("On digits, simclr has the highest mean linear probe: 85.0 %")
    assert [row[:3] for row in table.rows] == [("simclr", "85.0 ± 7.1", "2"), ("autoencoder", "50.0", "1")]
    assert rest[0].startswith("failed: autoencoder_seed1_")
    assert rest[0].endswith(": the loss became nan")
    assert rest[-1] == f"report: {out / 'report.html'}"


def test_a_comparison_of_nothing_finished_still_says_why(tmp_path):
    make_run(tmp_path / "runs", make_config(), status="failed", error="the loss became nan")
    rows = [summarise_run(run) for run in find_runs([tmp_path])]
    parts = comparison_parts({"runs": rows, "baselines": [], "skipped": []}, tmp_path)
    assert len(parts) == 2
    assert parts[0].endswith("the loss became nan")


def records(folder):
    """All records of an offline run of wandb: chunks of 7-byte heads (checksum, length, kind) in blocks of 32 KiB."""
    (file,) = Path(folder).glob("*.wandb")
    data, place, whole = file.read_bytes(), 7, b""
    while place + 7 <= len(data):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
            continue
        length, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        whole += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield wandb_internal_pb2.Record.FromString(whole)
            whole = b""


def test_a_report_is_mirrored_offline(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")
    out, _ = comparison(tmp_path)
    page = tmp_path / "report.html"
    words = ["report", str(out), "--out", str(page), "--wandb", "offline", "--project", "mine", "--json"]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0
    wandb.teardown()  # its service writes the last of the file when it ends
    folder = Path(json.loads(done.stdout)["wandb"])
    found = list(records(folder))
    (about,) = [record.run for record in found if record.WhichOneof("record_type") == "run"][:1]
    assert (about.project, about.job_type) == ("mine", "report")
    summary = {
        "/".join(item.nested_key) or item.key: json.loads(item.value_json)
        for record in found
        for item in record.summary.update
    }
    assert summary["digits/simclr/linear_top1"] == pytest.approx(0.85)
    assert summary["digits/headline"].startswith("On digits, simclr has the highest")
    media = {file.suffix: file for file in (folder / "files" / "media").rglob("*") if file.is_file()}
    assert media[".html"].read_text() == page.read_text()
    table = json.loads(media[".json"].read_text())
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert [(row["configuration"], row["linear_top1"], row["seeds"]) for row in rows] == [
        ("simclr", pytest.approx(0.85), 2),
        ("autoencoder", 0.5, 1),
    ]
    entries = [record.artifact for record in found if record.WhichOneof("record_type") == "artifact"]
    report = next(entry for entry in entries if entry.type == "report")
    assert {item.path for item in report.manifest.contents} >= {"report.html", "report.md", "report.csv"}


def test_a_mirror_that_does_not_start_is_a_mistake_and_the_report_stays(tmp_path, monkeypatch):
    def refuses(*_, **__):
        raise UserError("wandb: no key; log in with `wandb login`, or use its mode offline")

    monkeypatch.setattr("ssl_bench.reporting.wandb_mirror.start_run", refuses)
    out, _ = comparison(tmp_path)
    page = tmp_path / "report.html"
    with pytest.raises(UserError, match="log in"):
        app(["report", str(out), "--out", str(page), "--wandb", "online"], standalone_mode=False)
    assert page.exists()


def test_a_mirror_that_breaks_later_is_a_warning(tmp_path, monkeypatch, capsys):
    class Breaks:
        url, offline = "https://example.org/run", False

        finished = 0

        def log(self, *_):
            raise RuntimeError("the service died")

        def finish(self):
            Breaks.finished += 1

    monkeypatch.setattr("ssl_bench.reporting.wandb_mirror.start_run", lambda *_, **__: Breaks())
    out, _ = comparison(tmp_path)
    app(["report", str(out), "--out", str(tmp_path / "report.html"), "--wandb", "online"], standalone_mode=False)
    said = capsys.readouterr()
    assert "the service died" in said.err
    assert Breaks.finished == 1
    assert said.out.splitlines()[-1] == "https://example.org/run"
