"""Sources find, check and convert their files; every mistake of a user's is one line that names the file."""

import hashlib
import itertools
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from image_files import save_image
from sklearn.datasets import load_digits

from ssl_bench.config import Config, DatasetConfig, identity
from ssl_bench.data import DATASETS
from ssl_bench.data.arrays import read_arrays, write_arrays
from ssl_bench.data.images import ImageData, Split, Statistics
from ssl_bench.data.load import data_roots, load_dataset, stratified_index
from ssl_bench.data.torchvision_sets import Imagenette, TorchvisionSet
from ssl_bench.errors import UserError

REAL = os.environ.get("SSL_BENCH_DATA")


@pytest.fixture(autouse=True)
def no_data_of_the_users(monkeypatch, tmp_path):
    monkeypatch.delenv("SSL_BENCH_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def make_arrays(rng, train=40, test=20, shape=(8, 8, 3), classes=10):
    return {
        "train_images": rng.integers(0, 256, (train, *shape), dtype=np.uint8),
        "train_labels": np.arange(train) % classes,
        "test_images": rng.integers(0, 256, (test, *shape), dtype=np.uint8),
        "test_labels": np.arange(test) % classes,
    }


def save_npz(path, arrays):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return path


def load(name, **options):
    return load_dataset(DatasetConfig(name=name, **options))


# digits


def test_digits_are_scikit_learns():
    data = load("digits")
    assert (len(data.train), len(data.test), data.classes) == (1437, 360, 10)
    assert data.train.images.shape == (1437, 1, 8, 8)
    original = load_digits()
    known = {image.tobytes(): label for image, label in zip(original.images, original.target, strict=True)}
    for split in (data.train, data.test):
        scaled = np.rint(split.images[:, 0].double().numpy() * 16 / 255)
        assert [known[image.tobytes()] for image in scaled] == split.labels.tolist()
    assert int(data.train.images.max()) == 255
    shares = torch.bincount(data.test.labels) / torch.bincount(data.train.labels)
    assert float((shares - 360 / 1437).abs().max()) < 0.01
    assert load("digits").fingerprint == data.fingerprint


def test_statistics_equal_a_float64_computation():
    data = load("digits")
    pixels = data.train.images.numpy().astype(np.float64) / 255
    centred = pixels - pixels.mean((0, 2, 3), keepdims=True)
    assert data.statistics.mean == pytest.approx(pixels.mean((0, 2, 3)), rel=1e-12)
    assert data.statistics.std == pytest.approx(np.sqrt((centred**2).mean()), rel=1e-12)


def test_the_fingerprint_is_the_hash_of_all_bytes_at_once():
    data = load("digits")
    digest = hashlib.sha256()
    for split in (data.train, data.test):
        for part in (str(tuple(split.images.shape)).encode(), split.images.numpy(), split.labels.numpy()):
            digest.update(part if isinstance(part, bytes) else part.tobytes())
    assert data.fingerprint == digest.hexdigest()[:16]


def test_what_is_summed_over_images_does_not_depend_on_how_many_are_taken_at_a_time(rng, monkeypatch):
    images = torch.from_numpy(rng.integers(0, 256, (500, 3, 8, 8), dtype=np.uint8))
    split = Split(images, torch.arange(500) % 3)
    whole = ImageData("made", split, split, 3)
    known = whole.fingerprint, whole.statistics
    mean = whole.statistics.standardise(images.double().mean(0) / 255)
    monkeypatch.setattr("ssl_bench.data.levels.CHUNK_VALUES", 7 * 3 * 8 * 8)
    again = ImageData("made", split, split, 3)
    assert (again.fingerprint, again.statistics) == known
    assert torch.allclose(again.standardised_mean, mean, rtol=0, atol=1e-12)
    # As images that were turned: neither their order in memory nor a gap in it is part of a dataset.
    turned = Split(
        images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2), torch.stack([split.labels] * 2, 1)[:, 0]
    )
    assert ImageData("made", turned, turned, 3).fingerprint == known[0]


def test_standardised_images_to_the_last_bit_and_their_input_left_alone(rng):
    images = torch.from_numpy(rng.integers(0, 256, (50, 3, 8, 8), dtype=np.uint8))
    split = Split(images, torch.arange(50) % 3)
    data = ImageData("made", split, split, 3)
    mean, std = torch.tensor(data.statistics.mean).view(-1, 1, 1), data.statistics.std
    pixels = images.float() / 255
    expected = (pixels - mean) / std
    assert torch.equal(data.standardised(images), expected)
    assert torch.equal(data.statistics.standardise(pixels), expected)
    assert torch.equal(
        data.statistics.standardise(pixels[None].bfloat16()), (pixels.bfloat16() - mean.bfloat16())[None] / std
    )
    assert torch.equal(data.statistics.restore(expected), (expected * std + mean).clamp(0, 1))
    assert torch.equal(pixels, images.float() / 255)
    floats = images.float()
    assert torch.equal(data.standardised(floats), expected)
    assert torch.equal(floats, images.float())


def test_the_mean_is_brought_to_a_device_once_and_serves_training_after_inference(monkeypatch):
    statistics = Statistics((0.1, 0.2, 0.3), 0.5)
    images = torch.rand(2, 3, 4, 4)
    with torch.inference_mode():
        expected = statistics.standardise(images)
    monkeypatch.setattr(torch, "tensor", None)
    asked = images.clone().requires_grad_()
    made = Statistics((0.1, 0.2, 0.3), 0.5).standardise(asked)
    assert torch.equal(made, expected)
    made.square().sum().backward()
    assert torch.allclose(asked.grad, 2 * expected / 0.5)
    monkeypatch.undo()
    assert statistics.restore(asked).requires_grad


# subsets


def test_limits_keep_the_proportions_and_the_order():
    full, cut = load("digits"), load("digits", limit=200, test_limit=60)
    assert (len(cut.train), len(cut.test)) == (200, 60)
    quota = torch.bincount(full.train.labels) * 200 / 1437
    assert ((torch.bincount(cut.train.labels) - quota).abs() < 1).all()
    positions = [position_of(image, full.train.images) for image in cut.train.images]
    assert positions == sorted(positions)
    assert load("digits", limit=200, test_limit=60).fingerprint == cut.fingerprint


def position_of(image, images):
    return int((images == image).flatten(1).all(1).nonzero()[0])


def test_limit_does_not_take_the_first_of_each_class():
    labels = torch.zeros(1000, dtype=torch.int64)
    assert 400 < float(stratified_index(labels, 100).double().mean()) < 600


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 99, 100])
def test_stratified_index_gives_exactly_the_count(count):
    labels = torch.tensor([0] * 70 + [2] * 29 + [5])
    index = stratified_index(labels, count)
    assert index.unique().tolist() == index.tolist()
    assert len(index) == count
    sizes = torch.bincount(labels[index], minlength=6).double()
    assert ((sizes - count * torch.bincount(labels) / 100).abs() < 1).all()


def test_a_stratified_index_is_the_first_of_a_shuffle_class_by_class(rng):
    labels = torch.from_numpy(rng.choice([0, 1, 2, 4], 300, p=[0.5, 0.3, 0.15, 0.05]))
    order = np.random.default_rng(0).permutation(300).tolist()
    for count in (1, 7, 60, 299):
        index = stratified_index(labels, count)
        quota = torch.bincount(labels[index], minlength=5).tolist()
        slow = [[place for place in order if labels[place] == label][: quota[label]] for label in range(5)]
        assert index.tolist() == sorted(itertools.chain(*slow))


@pytest.mark.parametrize(("key", "value", "size"), [("limit", 1438, 1437), ("test_limit", 361, 360)])
def test_a_limit_beyond_the_dataset_is_refused(key, value, size):
    with pytest.raises(UserError, match=f"{key} = {value} is more than its {size}"):
        load("digits", **{key: value})


# arrays


def test_arrays_round_trip(rng, tmp_path):
    arrays = make_arrays(rng)
    data = load("arrays", file=str(save_npz(tmp_path / "mine.npz", arrays)))
    assert (data.name, data.classes, data.channels, data.image_size) == ("arrays", 10, 3, 8)
    assert (data.train.images[3, 1].numpy() == arrays["train_images"][3, :, :, 1]).all()
    assert (data.test.labels.numpy() == arrays["test_labels"]).all()
    write_arrays(tmp_path / "again.npz", data)
    assert read_arrays(tmp_path / "again.npz", "arrays").fingerprint == data.fingerprint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.npz", "mine.npz"]


def test_grey_images_may_lack_the_channel_axis(rng, tmp_path):
    arrays = make_arrays(rng, shape=(8, 8))
    flat = load("arrays", file=str(save_npz(tmp_path / "flat.npz", arrays)))
    arrays = {key: value[..., None] if "images" in key else value for key, value in arrays.items()}
    assert load("arrays", file=str(save_npz(tmp_path / "deep.npz", arrays))).fingerprint == flat.fingerprint
    assert flat.channels == 1


def test_a_failed_write_leaves_nothing(rng, tmp_path, monkeypatch):
    data = read_arrays(save_npz(tmp_path / "mine.npz", make_arrays(rng)), "mine")

    def full_disk(descriptor):
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_arrays(tmp_path / "other.npz", data)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.npz"]


def broken(arrays, **changes):
    return {key: value for key, value in {**arrays, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: {"test_labels": None}, "test_labels is not a file in the archive"),
        (lambda a: {"train_images": a["train_images"] / 255}, "train_images must be uint8"),
        (lambda a: {"train_images": a["train_images"][0, 0]}, r"train_images must be uint8 \(N, H, W, C\)"),
        (lambda a: {"train_labels": a["train_labels"][:-1]}, "40 train_images but 39 train_labels"),
        (lambda a: {"train_labels": a["train_labels"] * 1.0}, "train_labels must be integers"),
        (lambda a: {"train_labels": a["train_labels"] - 1}, "number the classes from 0"),
        (lambda a: {"train_labels": a["train_labels"] + 1}, "never are 0"),
        (lambda a: {"test_labels": a["test_labels"] + 1}, r"label 10 is outside 0\.\.9"),
        (lambda a: {"test_images": a["test_images"][:0], "test_labels": a["test_labels"][:0]}, "test_images is empty"),
        (lambda a: {"test_images": a["test_images"][..., :1]}, r"differ in \(C, H, W\)"),
        (lambda a: {"train_labels": a["train_labels"].astype(object)}, "without pickle"),
    ],
)
def test_a_wrong_npz_is_named(rng, tmp_path, change, message):
    arrays = make_arrays(rng)
    path = save_npz(tmp_path / "wrong.npz", broken(arrays, **change(arrays)))
    with pytest.raises(UserError, match=message) as caught:
        load("arrays", file=str(path))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("damage", ["truncated", "empty", "garbage", "flipped"])
def test_a_damaged_npz_is_named(rng, tmp_path, damage):
    path = save_npz(tmp_path / "cifar10.npz", make_arrays(rng))
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[2000] ^= 255
    path.write_bytes(
        {"truncated": whole[:-500], "empty": b"", "garbage": b"x" * 500, "flipped": bytes(flipped)}[damage]
    )
    with pytest.raises(UserError, match=r"cifar10\.npz: not readable"):
        load("cifar10", root=str(tmp_path))


def test_absent_and_oblong_arrays(rng, tmp_path):
    with pytest.raises(UserError, match=r"none\.npz: there is no such file"):
        load("arrays", file=str(tmp_path / "none.npz"))
    path = save_npz(tmp_path / "oblong.npz", make_arrays(rng, shape=(8, 6, 3)))
    with pytest.raises(UserError, match="must be square, not 8 x 6"):
        load("arrays", file=str(path))


# what a source of somebody else's may get wrong


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.zeros(4, 1, 8, 8), torch.zeros(4, dtype=torch.int64), "must be uint8"),
        (torch.zeros(0, 1, 8, 8, dtype=torch.uint8), torch.zeros(0, dtype=torch.int64), "there are none"),
        (torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.zeros(4), "labels must be int64"),
        (torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64), "labels must be int64"),
        (torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.tensor([0, 1, 2, 1]), r"must be in 0\.\.1, not 0\.\.2"),
        (torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.tensor([0, -1, 1, 1]), r"must be in 0\.\.1, not -1"),
    ],
)
def test_every_source_is_checked(monkeypatch, images, labels, message):
    data = ImageData("digits", Split(images, labels), Split(images, labels), classes=2)
    monkeypatch.setattr("ssl_bench.data.digits.Digits.load", lambda self, roots, *, download: data)
    with pytest.raises(UserError, match=message):
        load("digits")


# where data are looked for


def test_roots_in_order(monkeypatch, tmp_path):
    cache = tmp_path / "cache" / "ssl_bench" / "data"
    assert data_roots(DatasetConfig()) == [cache]
    monkeypatch.setenv("SSL_BENCH_DATA", "/shared/data")
    assert data_roots(DatasetConfig(root="~/mine")) == [Path.home() / "mine", Path("/shared/data"), cache]
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert data_roots(DatasetConfig())[-1] == Path.home() / ".cache" / "ssl_bench" / "data"


def test_a_named_npz_is_found_in_every_root_and_the_first_wins(rng, tmp_path, monkeypatch):
    for name in ("given", "env", "cache/ssl_bench/data"):
        save_npz(tmp_path / name / "cifar10.npz", make_arrays(rng))
    cached = load("cifar10")
    assert cached.name == "cifar10"
    monkeypatch.setenv("SSL_BENCH_DATA", str(tmp_path / "env"))
    from_environment = load("cifar10")
    from_root = load("cifar10", root=str(tmp_path / "given"))
    assert len({data.fingerprint for data in (cached, from_environment, from_root)}) == 3
    assert from_root.fingerprint == read_arrays(tmp_path / "given" / "cifar10.npz", "cifar10").fingerprint
    assert from_environment.fingerprint == read_arrays(tmp_path / "env" / "cifar10.npz", "cifar10").fingerprint


def test_a_named_dataset_knows_its_classes(rng, tmp_path):
    save_npz(tmp_path / "cifar10.npz", make_arrays(rng, classes=4))
    assert load("cifar10", root=str(tmp_path)).classes == 10
    save_npz(tmp_path / "cifar10.npz", make_arrays(rng, classes=12))
    with pytest.raises(UserError, match=r"cifar10\.npz: label 11 is outside 0\.\.9"):
        load("cifar10", root=str(tmp_path))


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "svhn", "stl10", "mnist", "fashion_mnist"])
def test_missing_data_say_where_to_put_them(name, tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_BENCH_DATA", str(tmp_path / "env"))
    with pytest.raises(UserError) as caught:
        load(name, root=str(tmp_path / "given"))
    message = str(caught.value)
    assert f"dataset {name!r} is not in {tmp_path / 'given'}, {tmp_path / 'env'}, {tmp_path / 'cache'}" in message
    assert f"put {name}.npz or torchvision's files" in message
    assert "dataset.download=true" in message


def test_imagenette_names_its_size():
    with pytest.raises(UserError, match=r"put imagenette_64\.npz or torchvision's files \(imagenette2-160\)"):
        load("imagenette", image_size=64)
    assert [Imagenette(image_size=size).files[11:] for size in (160, 161, 320, 321)] == ["-160", "-320", "-320", ""]


def test_every_named_set_exists_in_torchvision():
    from torchvision import datasets

    for name in ("cifar10", "cifar100", "svhn", "stl10", "mnist", "fashion_mnist", "imagenette"):
        source = DATASETS.get(name)
        assert issubclass(source, TorchvisionSet)
        assert source.facts.name == name
        assert issubclass(getattr(datasets, source.facts.torchvision_class), datasets.VisionDataset)


# torchvision's own files


def write_idx(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def write_mnist(root, arrays):
    for part, stem in (("train", "train"), ("test", "t10k")):
        write_idx(root / "MNIST/raw" / f"{stem}-images-idx3-ubyte", arrays[f"{part}_images"])
        write_idx(root / "MNIST/raw" / f"{stem}-labels-idx1-ubyte", arrays[f"{part}_labels"])


def test_torchvisions_files_are_read_once(rng, tmp_path, capsys):
    arrays = make_arrays(rng, shape=(28, 28))
    write_mnist(tmp_path, arrays)
    first = load("mnist", root=str(tmp_path))
    assert (first.train.images[:, 0].numpy() == arrays["train_images"]).all()
    assert (first.test.labels.numpy() == arrays["test_labels"]).all()
    for path in (tmp_path / "MNIST/raw").iterdir():
        path.unlink()
    assert load("mnist", root=str(tmp_path)).fingerprint == first.fingerprint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["MNIST", "mnist.npz"]
    assert capsys.readouterr().out == ""


def test_a_root_that_cannot_be_written_to_still_gives_the_data(rng, tmp_path, monkeypatch):
    write_mnist(tmp_path, make_arrays(rng, shape=(28, 28)))

    def read_only(self, *args, **kwargs):
        raise PermissionError(30, "read-only file system")

    monkeypatch.setattr("pathlib.Path.open", read_only)
    assert len(load("mnist", root=str(tmp_path)).train) == 40
    assert not (tmp_path / "mnist.npz").exists()


def test_damaged_torchvision_files_are_named(rng, tmp_path):
    write_mnist(tmp_path, make_arrays(rng, shape=(28, 28)))
    damaged = tmp_path / "MNIST/raw/t10k-images-idx3-ubyte"
    damaged.write_bytes(damaged.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"'mnist': torchvision cannot get it from .*MNIST/raw"):
        load("mnist", root=str(tmp_path))
    (tmp_path / "cifar-10-batches-py").mkdir()
    with pytest.raises(UserError, match=r"not found or corrupted.*dataset\.download=true"):
        load("cifar10", root=str(tmp_path))


def test_imagenette_is_cut_square_and_cached_by_size(rng, tmp_path):
    wnids = ["n01440764", "n02102040", "n02979186", "n03000684", "n03028079"]
    wnids += ["n03394916", "n03417042", "n03425413", "n03445777", "n03888257"]
    for part in ("train", "val"):
        for wnid in wnids:
            save_image(tmp_path / "imagenette2-160" / part / wnid / "a.JPEG", rng, (24, 16))
    data = load("imagenette", root=str(tmp_path), image_size=8)
    assert data.train.images.shape == (10, 3, 8, 8)
    assert data.test.labels.tolist() == list(range(10))
    assert (tmp_path / "imagenette_8.npz").is_file()


def test_nothing_is_fetched_unasked_and_a_download_goes_to_the_first_root(rng, tmp_path, monkeypatch):
    from torchvision import datasets

    fetched = []

    def fetch(self):
        fetched.append(self.root)
        write_mnist(Path(self.root), make_arrays(rng, shape=(28, 28)))

    monkeypatch.setattr(datasets.MNIST, "download", fetch)
    with pytest.raises(UserError, match="is not in"):
        load("mnist", root=str(tmp_path / "given"))
    assert fetched == []
    data = load("mnist", root=str(tmp_path / "given"), download=True)
    assert fetched == [str(tmp_path / "given")]
    assert load("mnist", root=str(tmp_path / "given")).fingerprint == data.fingerprint


def test_a_failed_download_is_one_line(tmp_path, monkeypatch):
    from torchvision import datasets

    def fail(self):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(datasets.CIFAR10, "download", fail)
    with pytest.raises(UserError, match="no route to host") as caught:
        load("cifar10", root=str(tmp_path), download=True)
    assert "\n" not in str(caught.value)


# options


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("digits", {"limt": 5}, "unknown key 'dataset.limt'; did you mean 'limit'"),
        ("imagenette", {"imge_size": 5}, "did you mean 'image_size'"),
        ("folder", {"file": "x"}, "'image_size' is missing"),
        ("arrays", {}, "'file' is missing"),
        ("cifar11", {}, "unknown dataset 'cifar11'; did you mean 'cifar10'"),
    ],
)
def test_wrong_options_are_explained(name, options, message):
    with pytest.raises(UserError, match=message):
        load(name, **options)


def test_loading_imports_no_heavy_library_that_it_does_not_need(tmp_path, rng):
    path = save_npz(tmp_path / "mine.npz", make_arrays(rng))
    code = (
        "import sys; from ssl_bench.config import DatasetConfig; from ssl_bench.data.load import load_dataset; "
        f"load_dataset(DatasetConfig(name='arrays', file={str(path)!r})); "
        "print([name for name in ('torchvision', 'sklearn', 'PIL') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


# real data


@pytest.mark.skipif(
    REAL is None or not Path(REAL, "cifar10.npz").is_file(), reason="real CIFAR-10 is absent: set SSL_BENCH_DATA"
)
def test_real_cifar10():
    data = load("cifar10", root=REAL)
    assert data.train.images.shape == (50000, 3, 32, 32)
    assert torch.bincount(data.train.labels).tolist() == [5000] * 10
    assert torch.bincount(data.test.labels).tolist() == [1000] * 10
    # The channel means that every CIFAR-10 recipe quotes.
    assert data.statistics.mean == pytest.approx((0.4914, 0.4822, 0.4465), abs=1e-4)
    assert data.chance == 0.1


@pytest.mark.skipif(
    REAL is None or not Path(REAL, "fashion_mnist.npz").is_file(),
    reason="real Fashion-MNIST is absent: set SSL_BENCH_DATA",
)
def test_real_fashion_mnist():
    data = load("fashion_mnist", root=REAL, limit=1000)
    assert data.train.images.shape == (1000, 1, 28, 28)
    assert data.test.images.shape == (10000, 1, 28, 28)
    assert torch.bincount(data.train.labels).tolist() == [100] * 10


# plainer copies


def test_grey_is_the_brightness_and_crop_the_centre(tmp_path, rng):
    arrays = make_arrays(rng, shape=(8, 8, 3))
    save_npz(tmp_path / "mine.npz", arrays)
    data = load("arrays", file=str(tmp_path / "mine.npz"), grey=True, crop=5)
    assert data.shape == (1, 5, 5)
    expected = np.rint(arrays["train_images"][:, 1:6, 1:6].astype(np.float64) @ [0.299, 0.587, 0.114])
    assert np.abs(data.train.images[:, 0].numpy() - expected).max() <= 1
    assert (data.train.images[:, 0].numpy() == expected).mean() > 0.99, "halves may be rounded either way"
    assert (data.details["grey"], data.details["crop"]) == (True, 5)
    whole = load("arrays", file=str(tmp_path / "mine.npz"), limit=20)
    part = load("arrays", file=str(tmp_path / "mine.npz"), limit=20, crop=4)
    assert torch.equal(part.train.images, whole.train.images[:, :, 2:6, 2:6])
    assert torch.equal(part.train.labels, whole.train.labels)
    assert part.fingerprint != whole.fingerprint


def test_grey_and_crop_are_refused_where_they_cannot_be(tmp_path, rng):
    save_npz(tmp_path / "two.npz", make_arrays(rng, shape=(8, 8, 2)))
    with pytest.raises(UserError, match=r"dataset\.crop=9 is larger"):
        load("arrays", file=str(tmp_path / "two.npz"), crop=9)
    with pytest.raises(UserError, match=r"dataset\.grey needs images of 3 channels"):
        load("arrays", file=str(tmp_path / "two.npz"), grey=True)


def test_a_run_on_whole_images_is_what_it_was(tmp_path):
    assert identity(Config()) == identity(Config(dataset=DatasetConfig(grey=False, crop=None)))
    assert identity(Config()) != identity(Config(dataset=DatasetConfig(grey=True)))
    assert identity(Config(dataset=DatasetConfig(crop=4))) != identity(Config(dataset=DatasetConfig(crop=6)))
