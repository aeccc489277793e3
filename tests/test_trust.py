"""What comes from files is data: it runs no code, takes no more than its share, and breaks no page it is shown on."""

import ast
import csv
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from contextlib import nullcontext, suppress
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from test_report import Page, make_config, make_run

from ssl_bench.backbones import make_backbone
from ssl_bench.backbones.outline import outline_backbone
from ssl_bench.config import BackboneConfig, Config, DatasetConfig, identity, validate
from ssl_bench.data.arrays import read_arrays
from ssl_bench.data.decoding import decode_image
from ssl_bench.data.load import load_dataset
from ssl_bench.encoders.weights import load_state
from ssl_bench.errors import UserError
from ssl_bench.files import write_json
from ssl_bench.matrix import cells
from ssl_bench.measuring import evaluate
from ssl_bench.noise import make_noise
from ssl_bench.overrides import load_config, parse_value
from ssl_bench.reporting import report as write_report
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.targets import make_target
from ssl_bench.training.pretraining import pretrain

ROOT = Path(__file__).parent.parent
NINE_TIMES_NINE = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGED = "a: &a {x: 1}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join([f'*{before}'] * 9)}]}}\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


# YAML


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 1\nnoise: null\nseed: 2\n", r"line 3: key 'seed' is given twice, first in line 1"),
        ("training: {epochs: 1, epochs: 2}", r"line 1: key 'epochs' is given twice"),
        ("seed: !!python/object/apply:os.mkdir [made]", "could not determine a constructor"),
        ("seed: !!python/name:os.system", "could not determine a constructor"),
        (NINE_TIMES_NINE, "stands for more than 100,000 values"),
        (MERGED, "stands for more than 100,000 values"),
        ("seed: &a [*a]", "a value holds itself"),
        ("seed: &a {b: {<<: *a}}", "a value holds itself"),
        (f"seed: {'[' * 21}{']' * 21}", "nested too deeply"),
        (f"seed: {'{a: ' * 5000}", "nested too deeply"),
        ("".join(f"a{i}: &a{i} [{f'*a{i - 1}' if i else ''}]\n" for i in range(30)), "nested too deeply"),
        ("seed: 2024-13-45", "line 1|month must be in"),
        (f"seed: {'9' * 5000}", "not readable as YAML"),
        ("seed: !!bool perhaps", "not readable as YAML"),
        ("no: 1", "key False is no word"),
        ("training: {1: 2}", "key 1 is no word"),
        ("x" * 1_000_001, "more than a configuration has"),
        ("seed: \x00", "not readable as YAML"),
    ],
)
def test_yaml_is_plain_data_and_of_a_size(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    file = Path("settings.yaml")
    file.write_text(text)
    with pytest.raises(UserError, match=message) as refused:
        load_config(file)
    assert str(refused.value).startswith("settings.yaml: ")
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 1000
    assert not Path("made").exists()


def test_a_file_that_never_ends_is_refused(monkeypatch):
    monkeypatch.setattr("ssl_bench.overrides.find_config", Path)
    with pytest.raises(UserError, match="more than a configuration has"):
        load_config("/dev/zero")


def test_references_that_are_no_trick_are_taken(tmp_path):
    (tmp_path / "mine.yaml").write_text("training: &a {epochs: 3}\nevaluation: {<<: {seed: 4}, seed: 5}\n")
    raw = load_config(tmp_path / "mine.yaml")
    assert raw == {"training": {"epochs": 3}, "evaluation": {"seed": 5}}


def test_the_configuration_of_a_run_is_read_no_less_carefully(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    for text in ("seed: 1\nseed: 2\n", "seed: !!python/name:os.system", NINE_TIMES_NINE):
        (tmp_path / "config.yaml").write_text(text)
        with pytest.raises(UserError, match=r"config\.yaml: "):
            RunDirectory(tmp_path).config()


@pytest.mark.parametrize(
    "text", ["2024-13-45", "!!bool perhaps", "9" * 5000, "&a [*a]", "{" * 5000, "!!python/name:os.system"]
)
def test_an_override_that_is_no_yaml_is_a_word(text):
    assert parse_value(text) == text


def test_a_long_value_is_not_all_of_a_message():
    with pytest.raises(UserError) as refused:
        validate(Config, {"seed": ["x" * 10_000] * 100})
    assert len(str(refused.value)) < 500


def test_a_message_is_shown_and_not_obeyed():
    assert str(UserError("file \x1b[2J\x07.png\nis broken")) == r"file \x1b[2J\x07.png is broken"


# the source


def sources():
    return [
        file for room in ("ssl_bench", "benchmarks", "campaigns", "scripts") for file in (ROOT / room).rglob("*.py")
    ]


def dangers(tree):
    """What would run or unpickle what a file says, as (line, what)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name.partition(".")[0] for alias in node.names} | {getattr(node, "module", None)}
            for name in names & {"dill", "joblib", "cloudpickle", "shelve", "marshal"}:
                yield node.lineno, name
        if not isinstance(node, ast.Call):
            continue
        called, given = ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}
        if called in ("eval", "exec", "compile", "__import__", "os.system", "os.popen"):
            yield node.lineno, called
        if called.startswith("pickle.") or called in ("yaml.load", "yaml.unsafe_load", "yaml.full_load"):
            yield node.lineno, called
        if called == "torch.load" and given.get("weights_only") != "True":
            yield node.lineno, "torch.load without weights_only=True"
        if called in ("np.load", "numpy.load") and given.get("allow_pickle") != "False":
            yield node.lineno, "np.load without allow_pickle=False"
        if given.get("shell") not in (None, "False"):
            yield node.lineno, "shell"


def test_the_source_runs_nothing_that_a_file_says():
    found = [f"{file}:{line}: {what}" for file in sources() for line, what in dangers(ast.parse(file.read_text()))]
    assert not found


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(f)", "torch.load(f, weights_only=False)", "np.load(f)", "np.load(f, allow_pickle=True)", "eval(x)",
        "yaml.load(f, Loader=L)", "pickle.loads(b)", "subprocess.run(c, shell=True)", "import joblib", "exec(x)",
        "from dill import loads", "os.system(x)",
    ],
)  # fmt: skip
def test_what_is_looked_for_in_the_source_is_found(line):
    assert list(dangers(ast.parse(line)))


# images


def picture(path, kind="good", rng=None):
    """One file of a kind that a folder may hold."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.arange(300, dtype=np.uint8).reshape(10, 10, 3) * np.uint8(7)
    image = Image.fromarray(pixels)
    if kind == "link in a circle":
        path.symlink_to(path.name)
    elif kind == "link to nothing":
        path.symlink_to("nowhere.png")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("<script>alert(1)</script>")
    elif kind == "postscript":
        path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n(made) (w) file\n")
    elif kind == "16 bit":
        Image.fromarray(np.full((9, 9), 40000, dtype=np.uint16)).save(path)
    elif kind == "animated":
        image.save(path, "GIF", save_all=True, append_images=[Image.new("RGB", (10, 10), (9, 9, 9))])
    elif kind == "bomb":
        Image.new("1", (30_000, 30_000)).save(path, "PNG")
    else:
        image.save(path)
        if kind == "truncated":
            path.write_bytes(path.read_bytes()[:-40])


BROKEN = [
    "empty", "text", "truncated", "postscript", "16 bit", "animated", "bomb", "pipe", "link in a circle",
    "link to nothing",
]  # fmt: skip


def a_folder(place, **broken):
    for name in ("ant", "bee"):
        for number in range(5):
            picture(place / name / f"{number}.png")
    for name, kind in broken.items():
        picture(place / "ant" / f"{name}.png", kind)
    return place


def load(folder, **options):
    return load_dataset(DatasetConfig(name="folder", file=str(folder), image_size=4, **options))


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.timeout(20)
def test_a_file_that_is_no_whole_image_is_named_or_counted(tmp_path, kind, capsys):
    folder = a_folder(tmp_path / "pictures", odd=kind)
    with pytest.raises(UserError, match=r"ant/odd\.png: ") as refused:
        load(folder)
    assert "\n" not in str(refused.value)
    rest = load(folder, skip_broken=True)
    assert (len(rest.train) + len(rest.test), rest.details["skipped_files"]) == (10, 1)
    assert "1 of 11 image files cannot be used and are left out" in " ".join(capsys.readouterr().err.split())
    (folder / "ant" / "odd.png").unlink()
    whole = load(folder)
    assert torch.equal(whole.train.images, rest.train.images)  # as if it had not been there,
    assert whole.fingerprint != rest.fingerprint  # but not the same dataset


@pytest.mark.parametrize("mode", ["CMYK", "P", "L", "1", "LA", "RGBA", "YCbCr"])
def test_other_modes_of_eight_bits_become_rgb(tmp_path, mode):
    file = tmp_path / f"image.{'jpg' if mode in ('CMYK', 'YCbCr') else 'png'}"
    Image.new("RGB", (8, 8), (255, 255, 255)).convert(mode).save(file)
    assert (decode_image(file, 4) == 255).all()


def test_a_photograph_with_previews_behind_it_is_one_image(tmp_path):
    Image.new("RGB", (8, 8), (255, 255, 255)).save(
        tmp_path / "phone.jpg", "MPO", save_all=True, append_images=[Image.new("RGB", (4, 4))]
    )
    assert (decode_image(tmp_path / "phone.jpg", 4) == 255).all()


def test_broken_files_are_looked_for_once(tmp_path, monkeypatch):
    folder = a_folder(tmp_path / "pictures", odd="empty", more="truncated")
    first = load(folder, skip_broken=True)
    monkeypatch.setattr("ssl_bench.data.broken.why_broken", lambda *_: pytest.fail("looked again"))
    assert load(folder, skip_broken=True).fingerprint == first.fingerprint
    assert first.details["skipped_files"] == 2


def test_a_mended_file_is_there_again(tmp_path):
    folder = a_folder(tmp_path / "pictures", odd="empty")
    before = load(folder, skip_broken=True)
    picture(folder / "ant" / "odd.png")
    after = load(folder, skip_broken=True)
    assert (before.details["skipped_files"], after.details["skipped_files"]) == (1, 0)
    assert after.fingerprint == load(folder).fingerprint


def test_a_class_without_a_whole_image_is_an_error(tmp_path):
    folder = tmp_path / "pictures"
    for part in ("train", "test"):
        a_folder(folder / part)
    for file in (folder / "train" / "ant").iterdir():
        file.write_bytes(b"")
    with pytest.raises(UserError, match=r"train/ant: no image of this class can be used"):
        load(folder, skip_broken=True)


def test_skipping_is_part_of_what_a_run_is_and_younger_than_runs():
    plain = Config(dataset=DatasetConfig(name="folder"))
    said = {
        skip: Config(dataset=DatasetConfig.model_validate({"name": "folder", "skip_broken": skip}))
        for skip in (False, True)
    }
    assert identity(said[False]) == identity(plain) != identity(said[True])


@pytest.mark.parametrize("name", ["~nobody_of_this_name/x", "x" * 300, "a\0b", "circle/x"])
@pytest.mark.parametrize("dataset", [{"name": "folder", "image_size": 4}, {"name": "arrays"}])
def test_a_name_that_no_file_can_have_is_refused(tmp_path, monkeypatch, name, dataset):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(UserError, match=r"dataset\.file"):
        load_dataset(DatasetConfig.model_validate({**dataset, "file": name}))


# arrays


def four_arrays():
    images, labels = np.zeros((8, 4, 4), np.uint8), np.arange(8) % 2
    return {"train_images": images, "train_labels": labels, "test_images": images, "test_labels": labels}


def lying(file, shape):
    """An archive of arrays whose headers say more than there is."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in four_arrays():
            archive.writestr(f"{name}.npy", header.getvalue() + b"\0" * 1000)


class Bad:
    """An object that says so when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("unpickled",)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"train_images": np.array([Bad(), Bad()], dtype=object)}, "Object arrays cannot be loaded"),
        ({"train_images": np.zeros((8, 4, 4))}, "must be uint8"),
        ({"train_images": np.zeros((8, 4), np.uint8)}, "must be uint8"),
        ({"train_images": np.zeros((0, 4, 4), np.uint8), "train_labels": np.zeros(0, int)}, "is empty"),
        ({"train_labels": np.zeros(8)}, "must be integers"),
        ({"train_labels": np.arange(7)}, "8 train_images but 7 train_labels"),
        ({"train_labels": np.full(8, 2**63, np.uint64)}, "train_labels"),
        ({"test_labels": np.full(8, 2**40)}, "label 1099511627776 is outside"),
        ({"test_images": np.zeros((8, 5, 5), np.uint8)}, "differ"),
    ],
)
def test_arrays_of_another_form_are_refused(tmp_path, monkeypatch, changed, message):
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "mine.npz", **{**four_arrays(), **changed})
    with pytest.raises(UserError, match=message) as refused:
        read_arrays(tmp_path / "mine.npz", "mine")
    assert "mine.npz: " in str(refused.value)
    assert not Path("unpickled").exists()


def test_archives_that_are_made_to_fill_the_memory_are_refused(tmp_path, monkeypatch):
    lying(tmp_path / "lying.npz", (10**7, 1000, 1000, 3))
    with pytest.raises(UserError, match=r"train_images\.npy says that it is .*, more than its 1,128 bytes"):
        read_arrays(tmp_path / "lying.npz", "mine")
    np.savez_compressed(tmp_path / "large.npz", **{**four_arrays(), "train_images": np.zeros((10**6, 4, 4), np.uint8)})
    monkeypatch.setattr("ssl_bench.data.arrays.available_memory", lambda: 15 * 10**6)
    with pytest.raises(UserError, match=r"unpacks to 0\.0 GB, and 0\.0 GB of memory are free"):
        read_arrays(tmp_path / "large.npz", "mine")


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b"junk" * 99, lambda b: b[:-60], lambda b: b[60:]])
def test_damaged_archives_are_refused(tmp_path, damage):
    file = tmp_path / "mine.npz"
    np.savez(file, **four_arrays())
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(UserError, match=r"mine\.npz: not readable as a \.npz without pickle"):
        read_arrays(file, "mine")


# reports


HOSTILE = [
    "<script>alert(1)</script>\"><img src=x onerror=alert(1)>'><svg onload=alert(1)></style></title>]]>--><!-- & &lt;",
    "=cmd|'/c calc'!A1 {{ 7 * 7 }}{% raw %}",
    "@SUM(A1) | a | `b` | **c** [d](javascript:alert(1)) ![e](http://e.example/f.png)",
    "-one\ntwo\n```\n# three\n\x1b[31mred\x00\x0b",
]


def hostile_run(folder, evil):
    """A finished run in which every text that is shown says something else than it should."""
    config = make_config(objective="autoencoder", dataset=evil, noise=evil, target=evil, views={"noise": evil})
    path = make_run(folder, config)
    record = json.loads((path / "run.json").read_text())
    record |= {"git": evil, "device": evil, "precision": evil, "created": evil, "id": evil, "error": evil}
    record["versions"] = {evil: evil}
    record["hardware"]["processor"] = evil
    record["backbone"] |= {"name": evil, "embedding": evil, "adaptation": {evil: evil}}
    record["dataset"] |= {"class_names": [evil, evil], evil: evil, "subspace": {"spec": evil}}
    (path / "run.json").write_text(json.dumps(record))
    evaluation = json.loads((path / "evaluation.json").read_text())
    evaluation |= {"protocol": evil, "knn_protocol": evil, "feature_point": evil}
    (path / "evaluation.json").write_text(json.dumps(evaluation))
    return path


@pytest.fixture(scope="module")
def clean_page(tmp_path_factory):
    """What elements and attributes a page of a run that says nothing odd has."""
    folder = tmp_path_factory.mktemp("clean")
    make_run(folder, make_config(noise="gaussian(sigma=1)"))
    return Page(write_report([folder], folder / "report.html").read_text())


@pytest.mark.parametrize("evil", HOSTILE)
def test_nothing_that_files_say_is_obeyed_by_who_reads_a_report(tmp_path, evil, clean_page):
    hostile_run(tmp_path / "runs", evil)
    odd = tmp_path / "runs" / "`$(touch made)`\n```\n<b>"
    make_run(tmp_path / "other", make_config(seed=1)).rename(odd)
    skipped = [{"objective": evil, "backbone": evil, "reason": evil}]
    rows = [{"directory": path.name} for path in (tmp_path / "runs").iterdir()]
    write_json(tmp_path / "summary.json", {"runs": rows, "baselines": [], "skipped": skipped})
    file = write_report([tmp_path], tmp_path / "report.html")
    page, html = Page(file.read_text()), file.read_text()
    assert {tag for tag, _ in page.elements} <= {tag for tag, _ in clean_page.elements} | {"h2", "strong", "ul", "li"}
    assert not [key for _, given in page.elements for key in given if key.startswith("on")]
    assert "49" not in html.partition("</title>")[0]
    markdown = file.with_suffix(".md").read_text()
    fence = re.search(r"^(`{3,})sh$", markdown, re.MULTILINE)[1]
    text, _, code = markdown.partition(f"{fence}sh\n")
    assert "<" not in text
    assert code.count(f"\n{fence}\n") == 1
    assert not re.search(
        r"(?<!\\)[|`*\[\]](?<!\| )", "\n".join(line for line in text.splitlines() if line.startswith("- "))
    )
    with file.with_suffix(".csv").open(newline="") as handle:
        cells = [cell for row in csv.reader(handle) for cell in row]
    assert not [cell for cell in cells if re.match(r"[=+@\t\r]|-\D", cell)]


def test_a_run_whose_records_are_odd_is_left_out_and_named(tmp_path):
    make_run(tmp_path / "runs", make_config())
    odd = make_run(tmp_path / "runs", make_config(seed=1))
    for file, change in (("evaluation.json", {"snapshots": "none"}), ("run.json", {"dataset": [1], "progress": 7})):
        content = json.loads((odd / file).read_text())
        (odd / file).write_text(json.dumps({**content, **change}))
        page = Page(write_report([tmp_path / "runs"], tmp_path / "report.html").read_text())
        assert f"{odd.name}its records are not of this version's form" in page.text
        (odd / file).write_text(json.dumps(content))


def test_links_in_a_circle_end(tmp_path):
    make_run(tmp_path / "runs", make_config())
    for name in ("one", "other"):
        (tmp_path / "runs" / name).symlink_to(tmp_path)
    assert write_report([tmp_path], tmp_path / "report.html").exists()


def test_a_summary_names_runs_of_its_own_folder_alone(tmp_path):
    outside = make_run(tmp_path / "elsewhere", make_config())
    (tmp_path / "cmp" / "runs").mkdir(parents=True)
    write_json(tmp_path / "cmp" / "summary.json", {"runs": [{"directory": f"../../elsewhere/{outside.name}"}]})
    with pytest.raises(UserError, match="no finished run"):
        write_report([tmp_path / "cmp"], tmp_path / "report.html")
    for summary in ({"runs": [7]}, {"runs": [{}]}, {"runs": [], "skipped": ["x"]}):
        write_json(tmp_path / "cmp" / "summary.json", summary)
        with pytest.raises(UserError, match=r"summary\.json is not of this version's form"):
            write_report([tmp_path / "cmp"], tmp_path / "report.html")


# what the campaign of bad inputs found (``campaigns/bad_inputs.py``)


def test_one_gain_is_for_all_components():
    data = load_dataset(DatasetConfig(name="digits", limit=40))
    images = data.standardised(data.train.images[:2])
    asked = make_target("pca(gains=[1])").prepare(data).ask(images)
    mean = data.standardised_mean.float()
    assert torch.allclose(asked, images - mean, atol=1e-4)
    assert make_noise("pca(gains=[1])").prepare(data).sample(images, torch.Generator()).shape == images.shape


@pytest.mark.parametrize("word", ["08=", "0=None", "training.1=2", "a..b=1", "=1"])
def test_a_key_that_is_no_word_is_unknown(word):
    with pytest.raises(UserError, match=r"unknown key|is not key=value|no word"):
        validate(Config, load_config(None, [word]))


def test_a_name_that_is_a_list_is_unknown():
    with pytest.raises(UserError, match=r"unknown dataset \[\]"):
        cells({"dataset": {"name": [[]]}})


@pytest.mark.parametrize("content", [b"q\0", b"q", b"", b"\x80", b"PK\3\4", b"\x80\2}q\0K\1]s."])
def test_files_that_are_no_weights_are_refused(tmp_path, content):
    (tmp_path / "weights.pt").write_bytes(content)
    with pytest.raises(UserError, match=r"weights .*weights\.pt: "):
        load_state(tmp_path / "weights.pt")


def test_weights_that_hold_themselves_are_refused(tmp_path):
    content = {"a": torch.zeros(1)}
    content["state_dict"] = content
    torch.save(content, tmp_path / "weights.pt")
    with pytest.raises(UserError, match="nested more than 20 deep"):
        load_state(tmp_path / "weights.pt")


def test_no_message_is_longer_than_anybody_reads_nor_holds_a_password():
    assert len(str(UserError("x" * 10**6))) < 2100
    assert str(UserError("https://me:secret@host/x")) == "https://***@host/x"


# code, secrets, sizes


@pytest.mark.parametrize(
    "setting",
    ["objective.name", "backbone.name", "dataset.name", "noise", "target", "evaluation.probes", "wandb.project"],
)
def test_no_file_names_code_that_is_imported(tmp_path, monkeypatch, setting):
    (tmp_path / "evil_module.py").write_text("open('imported', 'w')\ndef go():\n    raise SystemExit('ran')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    section, _, key = setting.partition(".")
    evil = "evil_module:go"
    settings = {"dataset": {"name": "digits", "limit": 40}, "training": {"epochs": 0, "batch_size": 4}}
    if setting in ("noise", "target"):
        settings["objective"] = {"name": "denoising"}
    settings[section] = {**settings.get(section, {}), key: evil} if key else evil
    (tmp_path / "mine.yaml").write_text(json.dumps(settings))
    with pytest.raises(UserError) if setting != "wandb.project" else nullcontext():
        config = validate(Config, load_config("mine.yaml"))
        pretrain(config, tmp_path / "run")
        evaluate(tmp_path / "run", config.evaluation)
    # Nor does a run directory that says so itself.
    run = tmp_path / "kept"
    pretrain(make_small_config(), run)
    kept = yaml.safe_load((run / "config.yaml").read_text())
    kept[section] = {**kept[section], key: evil} if key else evil
    (run / "config.yaml").write_text(json.dumps(kept))
    with suppress(UserError):
        evaluate(run)
    assert not Path("imported").exists()


def make_small_config():
    words = ["dataset.limit=40", "dataset.test_limit=20", "training.epochs=0", "training.batch_size=4", "backbone=mlp"]
    return validate(Config, load_config(None, [*words, "evaluation.probe_epochs=1"]))


def test_no_secret_is_written(tmp_path):
    """Not from the environment, ``~/.netrc``, a remote of git, or the command line of another program."""
    repository = tmp_path / "repository"
    for words in (["init", "-q", "."], ["remote", "add", "origin", "https://me:SECRETremote@host.example/x.git"]):
        repository.mkdir(exist_ok=True)
        subprocess.run(["git", *words], cwd=repository, check=True)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".netrc").write_text("machine api.wandb.ai\n  login user\n  password SECRETnetrc" + 29 * "0")
    names = ("WANDB_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "SLURM_JWT")
    secrets = {name: f"SECRET{name.lower()}".ljust(40, "0") for name in names}
    own = {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    small = ["dataset.limit=40", "training.epochs=1", "training.batch_size=20", "backbone=mlp", "wandb.mode=offline"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    said = b""
    for words in (["pretrain", *small, "--out", "run"], ["report", "run", "--out", "report.html"]):
        command = [sys.executable, "-m", "ssl_bench", *words]
        done = subprocess.run(command, cwd=repository, env=kept | own | secrets, capture_output=True, check=False)
        said += done.stdout + done.stderr
        assert done.returncode == 0, said.decode()
    written = [file for folder in (repository, tmp_path / "cache") for file in folder.rglob("*") if file.is_file()]
    assert [file.name for file in written if b"SECRET" in file.read_bytes()] == ["config"]  # git's own
    suffixes = {".wandb", ".json", ".html", ".csv", ".md", ".log"}
    assert {file.suffix for file in written} >= suffixes, f"{sorted(map(str, written))}\n{said.decode()}"
    assert b"SECRET" not in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("backbone.latent_dim=1000000000", "less than or equal to 1000000"),
        ("training.batch_size=1000000000000", "larger than the dataset"),
        ("training.epochs=1000000000000", "less than or equal to 1000000"),
        ("dataset=folder dataset.file=. dataset.image_size=1000000", "less than or equal to 4096"),
        ("dataset=spectral dataset.size=1000000", "less than or equal to 4096"),
        ("dataset=spectral dataset.size=4096 dataset.samples=100000000", "need 1,677,740.5 GB"),
        ("objective=mae backbone=vit_micro objective.decoder_width=1000000000", "less than or equal to 16384"),
        ("objective=simclr objective.hidden_dim=1000000 objective.output_dim=1000000", "16,001.1 GB"),
        (
            "backbone=vit_base_patch16_224 backbone.embedding=latent backbone.latent_dim=1000000",
            "GB of memory are free",
        ),
    ],
)
def test_what_no_machine_can_do_is_refused_in_one_line(tmp_path, words, message):
    given = {word.partition("=")[0] for word in words.split()}
    small = [word for word in ("dataset.limit=40", "training.batch_size=4") if word.partition("=")[0] not in given]
    with pytest.raises(UserError, match=message):
        pretrain(validate(Config, load_config(None, [*small, *words.split()])), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_outlines_know_what_backbones_know():
    for name in ("mlp", "resnet_micro", "vit_micro", "resnet18", "vit_tiny"):
        config = BackboneConfig(name=name)
        state = torch.get_rng_state()
        assert outline_backbone(config, 32, 3).info == make_backbone(config, 32, 3).info
        torch.set_rng_state(state)
        outline_backbone(config, 32, 3)
        assert torch.equal(torch.get_rng_state(), state)
