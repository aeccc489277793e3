"""Folders of image files: which are read, what becomes of them, and the file of decoded images that is mapped."""

import errno
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch
from image_files import save_image
from PIL import Image

from ssl_bench.config import DatasetConfig
from ssl_bench.data import decoded as decoded_module
from ssl_bench.data.decoded import MappedData
from ssl_bench.data.decoding import CHUNK, decode_files, decode_image
from ssl_bench.data.images import ImageData
from ssl_bench.data.load import load_dataset, stratified_index
from ssl_bench.errors import UserError


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "ssl_bench"


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    return folder


@pytest.fixture
def twelve(rng, pictures):
    """Two classes of six images."""
    for name in ("ant", "bee"):
        for number in range(6):
            save_image(pictures / name / f"{number}.png", rng, (9, 8))
    return pictures


def load(folder, **options):
    return load_dataset(DatasetConfig(name="folder", file=str(folder), **options))


def many(folder, count):
    """Paths of images of which each says its number."""
    files = []
    for number in range(count):
        files.append(str(folder / f"{number:04}.png"))
        Image.new("RGB", (5, 5), (number % 256, number // 256, 7)).save(files[-1])
    return files


def never(*_):
    pytest.fail("decoded, though there was no need")


# which files are read, and what becomes of them


def test_a_folder_with_train_and_val(rng, pictures):
    for name in ("cat", "ant"):
        for number in range(3):
            pixels = save_image(pictures / "train" / name / f"{number}.png", rng)
        save_image(pictures / "val" / name / "0.PNG", rng)
    (pictures / "train/cat/notes.txt").write_text("not an image")
    (pictures / "train/cat/._0.png").write_text("not an image either")
    data = load(pictures, image_size=12)
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.test.labels.tolist() == [0, 1]
    assert data.details == {"class_names": ["ant", "cat"]}
    assert (data.train.images[2].permute(1, 2, 0).numpy() == pixels).all()


def test_a_folder_without_train_is_divided(rng, pictures):
    for name, count in (("cat", 10), ("ant", 20), ("train", 2)):
        for number in range(count):
            save_image(pictures / name / f"{number:02}.png", rng, (4, 4))
    data = load(pictures, image_size=4, test_share=0.25)
    assert torch.bincount(data.test.labels).tolist() == [5, 3]  # quotas 5, 2.5 and 0.5; no room for all
    assert torch.bincount(data.train.labels).min() >= 1
    assert len(torch.unique(torch.cat([data.train.images, data.test.images]).flatten(1), dim=0)) == 32
    assert load(pictures, image_size=4, test_share=0.25).fingerprint == data.fingerprint


@pytest.mark.parametrize("sizes", [[2, 2], [2, 3], [3, 3, 2], [2, 9]])
def test_every_class_keeps_a_training_image(rng, pictures, sizes):
    for label, count in enumerate(sizes):
        for number in range(count):
            save_image(pictures / str(label) / f"{number}.png", rng, (4, 4))
    for share in (0.1, 0.5):
        data = load(pictures, image_size=4, test_share=share)
        assert torch.bincount(data.train.labels, minlength=len(sizes)).min() >= 1
        assert len(data.test) >= 1


def test_images_become_rgb_and_square(rng, pictures):
    grey = save_image(pictures / "grey.png", rng, (6, 6), "L")
    assert (decode_image(pictures / "grey.png", 6) == grey[..., None]).all()
    wide = save_image(pictures / "wide.png", rng, (10, 6))
    assert (decode_image(pictures / "wide.png", 6) == wide[:, 2:8]).all()
    # Shrinking averages: antialiased, the variance of white noise falls far below that of its samples.
    save_image(pictures / "noise.png", rng, (256, 256))
    assert decode_image(pictures / "noise.png", 16).std() < 12


def test_palette_and_transparency_are_decoded(pictures):
    image = Image.new("RGBA", (6, 6), (255, 0, 0, 128))
    image.save(pictures / "clear.png")
    image.convert("P").save(pictures / "palette.gif")
    assert (decode_image(pictures / "clear.png", 6) == [255, 0, 0]).all()
    assert decode_image(pictures / "palette.gif", 6).shape == (6, 6, 3)


def test_broken_images_are_named(rng, pictures, monkeypatch):
    path = pictures / "ant" / "bad.png"
    for number in range(3):
        save_image(pictures / "ant" / f"{number}.png", rng, (40, 40))
        save_image(pictures / "bee" / f"{number}.png", rng, (40, 40))
    save_image(path, rng, (40, 40))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(UserError, match=r"ant/bad\.png: not readable as an image"):
        load(pictures, image_size=8)
    path.unlink()
    Image.fromarray(np.full((9, 9), 40000, dtype=np.uint16)).save(path)
    with pytest.raises(UserError, match=r"ant/bad\.png: has more than 8 bits"):
        load(pictures, image_size=8)
    path.unlink()
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UserError, match=r"ant/0\.png: not readable as an image: DecompressionBombWarning"):
        load(pictures, image_size=8)


def test_folders_that_cannot_work_are_explained(rng, pictures):
    with pytest.raises(UserError, match="no folder"):
        load(pictures / "none", image_size=8)
    with pytest.raises(UserError, match="at least two; found 0"):
        load(pictures, image_size=8)
    save_image(pictures / "ant" / "0.png", rng)
    (pictures / "bee").mkdir()
    with pytest.raises(UserError, match="bee: this class folder holds no images"):
        load(pictures, image_size=8)
    save_image(pictures / "bee" / "0.png", rng)
    with pytest.raises(UserError, match="class 'ant' has one image"):
        load(pictures, image_size=8)
    for name in ("train/ant", "train/bee", "test/ant", "test/cow"):
        save_image(pictures / name / "0.png", rng)
    with pytest.raises(UserError, match="cow: this class has no folder in train"):
        load(pictures, image_size=8)


# decoded once


def test_images_are_decoded_once_and_mapped(twelve, cache, monkeypatch):
    first = load(twelve, image_size=8)
    monkeypatch.setattr(decoded_module, "decode_files", never)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = load(twelve, image_size=8)
    assert isinstance(first, MappedData)
    assert isinstance(again, MappedData)
    for one, other in ((first.train, again.train), (first.test, again.test)):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)
        assert other.images.is_contiguous()
    assert (len(again.train), len(again.test)) == (10, 2)
    assert again.details == first.details == {"class_names": ["ant", "bee"]}
    assert [file.suffix for file in cache.iterdir()] == [".npy"]
    slow = [decode_image(path, 8).transpose(2, 0, 1) for path in sorted(twelve.rglob("*.png"))]
    found = torch.cat([again.train.images, again.test.images]).numpy()
    assert sorted(map(bytes, slow)) == sorted(image.tobytes() for image in found)


def test_what_is_known_of_mapped_images_is_that_of_images_in_memory(twelve, cache):
    data = load(twelve, image_size=8)
    copied = ImageData("folder", data.train, data.test, 2)
    assert (data.fingerprint, data.statistics) == (copied.fingerprint, copied.statistics)
    (beside,) = cache.glob("*.json")
    # Read from there, and not from the images:
    known = json.loads(beside.read_text())
    beside.write_text(json.dumps({**known, "fingerprint": "kept"}))
    again = load(twelve, image_size=8)
    assert (again.fingerprint, again.statistics) == ("kept", copied.statistics)
    # ... unless it cannot be read, or is of another file.
    for text in ("{", json.dumps({**known, "fingerprint": "kept", "written": known["written"] - 1}), "[]"):
        beside.write_text(text)
        assert load(twelve, image_size=8).fingerprint == copied.fingerprint


def test_a_part_of_mapped_images_is_a_copy_and_another_dataset(twelve):
    whole = load(twelve, image_size=8)
    assert whole.fingerprint
    part = load(twelve, image_size=8, limit=4)
    expected = whole.train.take(stratified_index(whole.train.labels, 4))
    assert not isinstance(part, MappedData)
    assert torch.equal(part.train.images, expected.images)
    assert part.train.images.untyped_storage().nbytes() == 4 * 3 * 8 * 8
    assert part.fingerprint == ImageData("folder", expected, whole.test, 2).fingerprint != whole.fingerprint


def longer(folder):
    with (folder / "ant" / "0.png").open("ab") as stream:
        stream.write(b"tail")


def touched(folder):
    os.utime(folder / "bee" / "3.png", ns=(1, 1))


def renamed(folder):
    (folder / "bee" / "3.png").rename(folder / "bee" / "9.png")


def renamed_class(folder):
    (folder / "bee").rename(folder / "wasp")


def gone(folder):
    (folder / "bee" / "3.png").unlink()


@pytest.mark.parametrize("change", [longer, touched, renamed, renamed_class, gone])
def test_changed_files_are_decoded_anew_and_replace_the_old(twelve, cache, change):
    first = load(twelve, image_size=8)
    assert first.fingerprint
    change(twelve)
    second = load(twelve, image_size=8)
    assert second.file != first.file
    assert list(cache.iterdir()) == [second.file]
    assert first.train.images.sum() > 0  # who has mapped the old file keeps it


def test_other_options_are_other_files(twelve, cache):
    for options in ({"image_size": 8}, {"image_size": 6}, {"image_size": 8, "test_share": 0.5}):
        load(twelve, **options)
    assert len(list(cache.glob("*.npy"))) == 3


def test_a_folder_is_the_same_by_any_name(twelve, cache, monkeypatch):
    first = load(twelve, image_size=8)
    monkeypatch.chdir(twelve)
    assert load(Path("ant/.."), image_size=8).file == first.file


@pytest.mark.parametrize("damage", ["truncated", "longer", "empty", "garbage", "other"])
def test_a_damaged_file_is_made_anew(twelve, damage):
    first = load(twelve, image_size=8)
    file, images = first.file, first.train.images.clone()
    whole = file.read_bytes()
    file.unlink()
    contents = {"truncated": whole[:-1], "longer": whole + b"x", "empty": b"", "garbage": b"x" * 500}
    if damage == "other":
        np.save(file, np.zeros((12, 3, 8, 9), dtype=np.uint8))
    else:
        file.write_bytes(contents[damage])
    assert torch.equal(load(twelve, image_size=8).train.images, images)
    assert file.read_bytes() == whole


def test_a_cache_that_cannot_be_used_costs_time_only(twelve, cache, tmp_path, monkeypatch):
    first = load(twelve, image_size=8)
    fingerprint, file = first.fingerprint, first.file
    file.unlink()
    file.mkdir()  # neither read nor replaced
    (tmp_path / "file").write_text("")
    for home in (tmp_path / "cache", tmp_path / "file"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(home))
        again = load(twelve, image_size=8)
        assert type(again) is ImageData
        assert again.fingerprint == fingerprint
    assert not list(cache.glob(".*"))


def test_no_room_is_said_before_anything_is_decoded(twelve, cache, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10**10, 10**10, 2303))
    with monkeypatch.context() as patch:
        patch.setattr(decoded_module, "decode_files", never)
        with pytest.raises(UserError, match=r"take 0\.0 GB, and .*ssl_bench has 0\.0 GB left: .*XDG_CACHE_HOME"):
            load(twelve, image_size=8)
    assert list(cache.iterdir()) == []
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10**10, 10**10, 2304))
    assert isinstance(load(twelve, image_size=8), MappedData)


@pytest.mark.parametrize(
    ("failure", "expected", "message"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt, None),
        (OSError(errno.ENOSPC, "no space left on device"), UserError, "XDG_CACHE_HOME"),
        (UserError("pictures/3.png: not readable"), UserError, "not readable"),
    ],
)
def test_an_interrupted_decoding_leaves_nothing(twelve, cache, monkeypatch, failure, expected, message):
    def some(files, size):
        yield next(decode_files(files, size))[:3]
        raise failure

    with monkeypatch.context() as patch:
        patch.setattr(decoded_module, "decode_files", some)
        with pytest.raises(expected, match=message):
            load(twelve, image_size=8)
    assert list(cache.iterdir()) == []
    assert isinstance(load(twelve, image_size=8), MappedData)


def test_what_a_kill_left_is_swept(twelve, cache):
    first = load(twelve, image_size=8)
    left, fresh = (first.file.with_name(f".{first.file.name}.{number}.part") for number in (1, 2))
    for part in (left, fresh):
        part.write_bytes(b"half")
    hours_ago = time.time() - 7200
    os.utime(left, (hours_ago, hours_ago))
    touched(twelve)
    load(twelve, image_size=8)
    assert (left.exists(), fresh.exists()) == (False, True)


def test_a_file_that_vanishes_is_named(twelve, monkeypatch):
    def stat(path):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)

    monkeypatch.setattr(decoded_module.os, "stat", stat)
    with pytest.raises(UserError, match=r"ant/0\.png: not readable: No such file"):
        decoded_module._key([(str(twelve / "ant/0.png"), 0)], [], ["ant"], 8)


# in several processes


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_order_does_not_depend_on_the_workers(pictures, workers):
    files = many(pictures, 9 * CHUNK + 5)
    parts = list(decode_files(files, 4, workers))
    assert {part.shape[1:] for part in parts} == {(3, 4, 4)}
    made = np.concatenate(parts).astype(int)
    assert (made[:, 0, 0, 0] + 256 * made[:, 1, 0, 0]).tolist() == list(range(len(files)))
    assert (made == made[:, :, :1, :1]).all()


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_any_way_to_start_a_process_will_do(pictures, tmp_path, method):
    files = many(pictures, 3 * CHUNK)
    script = tmp_path / "script.py"
    script.write_text(
        "import multiprocessing, sys\n"
        "from ssl_bench.data.decoding import decode_files\n"
        "if __name__ == '__main__':\n"
        f"    multiprocessing.set_start_method({method!r})\n"
        f"    print([int(image[0, 0, 0]) for part in decode_files({files!r}, 4, 2) for image in part])\n"
        "    print('torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [str(list(range(len(files)))), "False"]


def test_a_broken_image_is_named_whichever_worker_finds_it(pictures):
    files = many(pictures, 40 * CHUNK)
    Path(files[3 * CHUNK + 5]).write_bytes(b"broken")
    taken = []
    with pytest.raises(UserError, match=r"0101\.png: not readable as an image"):
        taken += decode_files(files, 4, 2)
    assert len(taken) == 3
    assert not multiprocessing.active_children()


def test_a_worker_that_is_killed_is_explained(pictures):
    decoding = decode_files(many(pictures, 40 * CHUNK), 4, 2)
    next(decoding)
    multiprocessing.active_children()[0].kill()
    with pytest.raises(UserError, match="ended by itself: is there memory enough"):
        list(decoding)


def test_workers_end_with_the_process_that_started_them(pictures):
    files = many(pictures, 20 * CHUNK)
    code = (
        "import multiprocessing, time\n"
        "from ssl_bench.data.decoding import decode_files\n"
        f"decoding = decode_files({files!r}, 4, 2)\n"
        "next(decoding)\n"
        "print(*[child.pid for child in multiprocessing.active_children()], flush=True)\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    workers = [int(word) for word in process.stdout.readline().split()]
    process.send_signal(signal.SIGKILL)
    process.wait()
    until = time.monotonic() + 20
    while any(map(alive, workers)) and time.monotonic() < until:
        time.sleep(0.05)
    assert len(workers) == 2
    assert not any(map(alive, workers))


def alive(number):
    """Whether there is such a process; one that is over but was not asked for its status is not."""
    status = Path(f"/proc/{number}/stat")
    if status.exists():
        return status.read_text().rpartition(")")[2].split()[0] != "Z"
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return not Path("/proc").exists()
