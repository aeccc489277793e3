"""Whatever byte of whatever file of a run changes: the same command gives the same run, and says what it made again."""

import json
import random
import shutil

import pytest
import torch
from conftest import make_config
from safetensors import safe_open
from safetensors.torch import save_file

from ssl_bench.completing import complete, is_complete
from ssl_bench.data.load import load_dataset
from ssl_bench.errors import NotWritten, UserError
from ssl_bench.files import read_json, read_tensors, save_tensors, write_json
from ssl_bench.resolve import resolve
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.subjects import load_subject

CONFIG = make_config(
    "training.epochs=1",
    "training.snapshots=3",
    "analysis.snapshot=last",
    "evaluation.learning_rates=[0.01,0.1]",
    "evaluation.probe_epochs=1",
)
# What says when and how long, and not what came out.
CIRCUMSTANCES = ("created", "finished", "sessions", "timings", "versions", "hardware", "git", "speed")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that is pretrained, evaluated and analyzed; tests work on copies."""
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    config = resolve(CONFIG, load_dataset(CONFIG.dataset))
    run = RunDirectory(tmp_path_factory.mktemp("whole") / "run")
    run.claim(config)
    complete(run.path)
    patch.undo()
    return run


@pytest.fixture
def run(whole, tmp_path):
    shutil.copytree(whole.path, tmp_path / "run")
    return RunDirectory(tmp_path / "run")


def flip(file, random_number):
    content = bytearray(file.read_bytes())
    content[random_number.randrange(len(content))] ^= 1 << random_number.randrange(8)
    file.write_bytes(bytes(content))


def outcome(run):
    """All that came of a run."""
    record = {key: value for key, value in run.record().items() if key not in CIRCUMSTANCES}
    tables = [read_json(file) for file in (run.evaluation_file, run.spectrum_file)]
    for table in tables:
        for row in table["snapshots"]:
            row.pop("seconds")
    metrics = [row for row in run.metrics() if row["name"] != "images_per_second"]
    weights = {step: read_tensors(file) for step, file in run.snapshots().items()}
    return json.dumps([record, run.config().model_dump(mode="json"), metrics, tables]), weights


def assert_same(one, other):
    record, weights = outcome(one)
    other_record, other_weights = outcome(other)
    # What was logged holds how fast it was: its hash differs where it was logged again.
    assert _without_hashes(record) == _without_hashes(other_record)
    assert list(weights) == list(other_weights)
    for step in weights:
        assert all(torch.equal(weights[step][name], other_weights[step][name]) for name in weights[step])


def _without_hashes(text):
    record, *others = json.loads(text)
    record["written"].pop("metrics")
    return [record, *others]


@pytest.mark.parametrize(
    "pattern",
    [
        "run.json",
        "config.yaml",
        "metrics.jsonl",
        "evaluation.json",
        "spectrum.json",
        "spectrum.safetensors",
        "snapshots/step_00000000.safetensors",
        "snapshots/step_00000004.safetensors",
        "checkpoint/*",
    ],
)
def test_a_flipped_bit_is_mended(whole, run, pattern):
    file = sorted(run.path.glob(pattern))[-1]
    flip(file, random.Random(pattern))
    run.claim(whole.config())  # as a comparison does of all its runs
    complete(run.path)
    assert_same(whole, run)
    assert is_complete(run)


def test_what_is_made_again_is_said(run, capsys):
    run.snapshot_file(0).write_bytes(b"")
    run.evaluation_file.write_text("{}}")
    assert not is_complete(run)
    complete(run.path)
    said = capsys.readouterr().err
    assert f"{run.snapshot_file(0)} cannot be read" in said
    assert "is trained again as far as is needed" in said
    assert "the run starts from step 0" in said
    assert f"{run.evaluation_file} cannot be read" in said
    assert "is measured anew" in said


def test_only_the_end_is_trained_again_where_only_the_end_is_lost(run, capsys):
    flip(run.snapshot_file(4), random.Random(0))
    complete(run.path)
    said = capsys.readouterr().err
    assert "the one before it is tried" in said
    assert "from step 0" not in said


def test_a_missing_snapshot_is_missed(whole, run):
    run.snapshot_file(1).unlink()
    assert not is_complete(run)
    complete(run.path)
    assert_same(whole, run)


def test_a_snapshot_with_another_number_is_not_measured(run):
    weights = read_tensors(run.snapshot_file(4))
    name = next(iter(weights))
    weights[name].view(-1)[0] += 1
    with safe_open(run.snapshot_file(4), "pt") as file:
        metadata = file.metadata()
    save_file(weights, run.snapshot_file(4), metadata=metadata)
    with pytest.raises(UserError, match=r"step_00000004.safetensors is damaged"):
        load_subject(run, run.config(), load_dataset(CONFIG.dataset), 4)


def test_rows_of_other_weights_are_not_those_of_a_snapshot(run):
    weights = read_tensors(run.snapshot_file(4))
    save_tensors(run.snapshot_file(4), {name: tensor + 1 for name, tensor in weights.items()})
    assert run.damage() is None
    assert not is_complete(run)


def test_nothing_is_guessed_where_nothing_says_whose_a_run_is(run):
    run.record_file.write_text("{")
    (run.path / "config.yaml").write_text("seed: [")
    with pytest.raises(UserError, match=r"run\.json cannot be read"):
        run.claim(CONFIG)


@pytest.mark.parametrize("value", [{"a": [1, 0.1, None, "ü"]}, {}])
def test_sealed_json_is_read_as_written(tmp_path, value):
    write_json(tmp_path / "file.json", value, sealed=True)
    assert read_json(tmp_path / "file.json") == value
    (tmp_path / "file.json").write_text((tmp_path / "file.json").read_text().replace("{", '{"b": 1,', 1))
    with pytest.raises(UserError, match="is damaged"):
        read_json(tmp_path / "file.json")


def test_what_cannot_be_written_says_so(tmp_path, run):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotWritten, match=r"could not be written: .*\. What is finished is kept: .* the same command"):
        write_json(tmp_path / "file" / "inside.json", {})
    with pytest.raises(NotWritten, match="could not be written"):
        save_tensors(tmp_path / "file" / "inside.safetensors", {"a": torch.zeros(3)})
