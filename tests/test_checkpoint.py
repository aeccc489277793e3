import random

import pytest
import torch

from ssl_bench.errors import UserError
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.training.checkpoint import State, load_checkpoint, read_checkpoint, write_checkpoint


def state(step):
    return {"step": step, "seconds": 1.5, "module": {"weight": torch.full((50,), float(step))}}


def files(folder):
    return sorted(file.name.split("_")[1] for file in folder.iterdir())


def flip(file, position):
    content = bytearray(file.read_bytes())
    content[position] ^= 1 << position % 8
    file.write_bytes(bytes(content))


def test_the_newest_and_the_one_before_are_kept(tmp_path):
    assert read_checkpoint(tmp_path / "none") is None
    for step in (1, 5, 12):
        write_checkpoint(tmp_path, state(step))
        found = read_checkpoint(tmp_path)
        assert found["step"] == step
        assert torch.equal(found["module"]["weight"], torch.full((50,), float(step)))
    assert files(tmp_path) == ["00000005", "00000012"]
    # A run that had to go back writes earlier steps again; what lies ahead of it counts no more.
    write_checkpoint(tmp_path, state(7))
    assert files(tmp_path) == ["00000005", "00000007"]


def test_any_flipped_byte_is_seen(tmp_path, capsys):
    write_checkpoint(tmp_path, state(3))
    write_checkpoint(tmp_path, state(4))
    newest = next(tmp_path.glob("step_00000004_*"))
    whole = newest.read_bytes()
    positions = [*random.Random(0).sample(range(len(whole)), 100), 0, len(whole) - 1]
    for position in positions:
        flip(newest, position)
        assert read_checkpoint(tmp_path)["step"] == 3, f"byte {position}"
        assert newest.name in capsys.readouterr().err
        newest.write_bytes(whole)
    newest.write_bytes(whole[:200])
    assert read_checkpoint(tmp_path)["step"] == 3
    for file in tmp_path.iterdir():
        file.write_bytes(b"")
    capsys.readouterr()
    assert read_checkpoint(tmp_path) is None
    said = capsys.readouterr().err
    assert "the one before it is tried" in said.splitlines()[0]
    assert "starts from step 0" in said.splitlines()[1]


def test_a_state_may_be_refused_for_another_reason(tmp_path, capsys):
    write_checkpoint(tmp_path, state(3))
    write_checkpoint(tmp_path, state(4))
    found = read_checkpoint(tmp_path, lambda content: "its metrics are lost" if content["step"] == 4 else None)
    assert found["step"] == 3
    assert "its metrics are lost" in capsys.readouterr().err


def test_a_state_of_other_weights_is_refused(tmp_path):
    module = torch.nn.Linear(3, 2)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    run = RunDirectory(tmp_path)
    assert load_checkpoint(run, module, optimizer) == State()
    content = {**state(3), "optimizer": optimizer.state_dict(), "written": run.written(3)}
    write_checkpoint(run.checkpoint_folder, content)
    with pytest.raises(UserError, match="is whole but does not fit"):
        load_checkpoint(run, module, optimizer)
