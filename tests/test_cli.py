"""The command line as a user types it: exit status, one line, no traceback."""

import json
import signal
import subprocess
import sys
import time

import pytest
import timm
import torch
from commands import ssl_bench
from PIL import Image

SMALL = [
    "dataset=digits",
    "dataset.limit=300",
    "training.batch_size=64",
    "analysis.fit_samples=200",
    "analysis.test_samples=100",
]


def test_help_and_lists_import_no_torch():
    program = (
        "import sys\n"
        "from ssl_bench.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "assert not {'torch', 'timm', 'numpy', 'matplotlib'} & set(sys.modules), 'imported'\n"
    )
    for words in (["--help"], ["compare", "--help"], ["list", "objectives"], ["list", "backbones"], ["noise", "list"]):
        done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pretrain", "objective=simclear"], "unknown objective 'simclear'; did you mean 'simclr'?"),
        (["pretrain", "trainin.epochs=1"], "did you mean 'training'"),
        (["pretrain", "training.epochs=lots"], "'training.epochs' = 'lots'"),
        (["pretrain", "objective=mae", "dataset=digits", "backbone=resnet_micro"], "use a ViT"),
        (["pretrain", "dataset=digits", "training.batch_size=99999"], "larger than the dataset"),
        (["pretrain", "dataset=cifar10", "dataset.root=/nonexistent"], "dataset.download=true"),
        (["pretrain", "nonsense"], "no configuration 'nonsense'"),
        (["pretrain", "objective=simclr", "nonsense"], "'nonsense' is not key=value"),
        (["evaluate", "/nonexistent"], "no run directory"),
        (["report", "/nonexistent", "--out", "x.html"], "/nonexistent"),
        (["evaluate", "timm:resnet81", "dataset=digits"], "did you mean 'resnet"),
        (["evaluate", "timm:test_resnet", "dataset=digits", "weights=absent.pth"], "absent.pth"),
        (["evaluate", "timm:test_resnet", "dataset=digits", "probes=[ridgid]"], "unknown probe 'ridgid'; did you mean"),
        (["evaluate", "timm:test_resnet", "dataset=digitz"], "did you mean 'digits'"),
        (["evaluate", "timm:test_resnet", "dataset=digits", "image_sise=32"], "did you mean 'image_size'"),
        (["analyze", "timm:test_resnet", "dataset=digits", "layer=1"], "unknown key 'layer'"),
        (["analyze", "timm:test_resnet", "dataset=digits", "snapshot=all"], "timm:test_resnet has no snapshots"),
        (["analyze", "no_such_module:build", "dataset=digits"], "no_such_module"),
        (["evaluate", "/nonexistent", "weights=x.pth"], "weights= is for an encoder from elsewhere"),
        (["list", "objektives"], "did you mean 'objectives'"),
        (["align", "dataset=digits", "noise=gausian(sigma=1)"], "did you mean 'gaussian'"),
        (["align", "dataset=digits", "k=[0]"], "'k.0' = 0"),
        (["align", "dataset=digits", "k=[65]"], "from 1 to 64"),
        (["align", "datset=digits"], "did you mean 'dataset'"),
        (["evaluate"], "Missing argument"),
        (["pretrain", "--no-such-option"], "No such option"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(tmp_path, words, message):
    out = ["--out", str(tmp_path / "run")] if words[0] == "pretrain" else []
    done = ssl_bench(*words, *out, SSL_BENCH_DATA=str(tmp_path), XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "run").exists()
    if "ssl-bench: " in done.stderr:
        assert done.stderr.count("\n") == 1


def test_a_mistake_in_a_process_of_its_own():
    command = [sys.executable, "-m", "ssl_bench", "pretrain", "objective=simclear"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("ssl-bench: ")


def test_align():
    words = ["align", "dataset=digits", "noise=[gaussian(sigma=1),mask(ratio=0.5, patch=2)]", "k=[4,16]"]
    done = ssl_bench(*words, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    expected = {
        "dataset",
        "samples",
        "dimension",
        "noise",
        "k",
        "alignment",
        "variance_explained",
        "chance",
        "held_out",
    }
    assert expected <= set(result)
    assert (result["k"], result["dimension"], result["noise"]) == ([4, 16], 64, None)
    assert [entry["noise"] for entry in result["noises"]] == ["gaussian(sigma=1)", "mask(ratio=0.5, patch=2)"]
    assert max(map(abs, result["noises"][0]["change"])) < 1e-3
    one = json.loads(ssl_bench("align", "dataset=digits", "noise=gaussian(sigma=1)", "k=[4]", "--json").stdout)
    assert one["noise"] == "gaussian(sigma=1)"
    assert {"change", "subspace_distance"} <= set(one)
    assert "held-out" in ssl_bench(*words).stdout


def test_a_corrupt_image_is_named(tmp_path):
    for label in ("cat", "dog"):
        (tmp_path / "pets" / label).mkdir(parents=True)
        for index in range(4):
            Image.new("RGB", (20, 16), (index, 9, 9)).save(tmp_path / "pets" / label / f"{index}.png")
    broken = tmp_path / "pets" / "dog" / "2.png"
    broken.write_bytes(broken.read_bytes()[:40])
    done = ssl_bench(
        "pretrain",
        "dataset=folder",
        f"dataset.file={tmp_path / 'pets'}",
        "dataset.image_size=16",
        "--out",
        str(tmp_path / "run"),
    )
    assert done.returncode == 2
    assert str(broken) in done.stderr
    assert done.stderr.count("\n") == 1


def test_pretrain_evaluate_analyze_report(tmp_path):
    run = str(tmp_path / "run")
    done = ssl_bench("pretrain", *SMALL, "training.epochs=1", "--out", run, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "finished"
    other = ssl_bench("pretrain", *SMALL, "training.epochs=2", "--out", run)
    assert (other.returncode, "another configuration" in other.stderr) == (2, True)
    result = json.loads(ssl_bench("evaluate", run, "knn_k=5", "--json").stdout)
    expected = {
        "target",
        "dataset",
        "feature_point",
        "protocol",
        "linear_top1",
        "linear_interval",
        "knn_top1",
        "selected_lr",
    }
    expected |= {"train_samples", "held_out_samples", "test_samples", "chance", "trained"}
    assert expected <= set(result)
    assert (result["train_samples"], result["held_out_samples"], result["trained"]) == (270, 30, True)
    assert json.loads((tmp_path / "run" / "evaluation.json").read_text())["settings"]["knn_k"] == [5]
    first = json.loads(ssl_bench("evaluate", run, "snapshot=0", "knn_k=5", "--json").stdout)
    assert (first["step"], first["trained"]) == (0, False)
    stored = json.loads((tmp_path / "run" / "evaluation.json").read_text())["snapshots"]
    assert [entry["step"] for entry in stored] == [0, 4], "entries of other snapshots stay"
    missing = ssl_bench("evaluate", run, "snapshot=3000")
    assert (missing.returncode, "no snapshot of step 3000; there are 0, 1" in missing.stderr) == (2, True)
    ssl_bench("analyze", run, "snapshot=all")
    analysis = json.loads(ssl_bench("analyze", run, "--json").stdout)
    assert {"target", "dataset", "pca", "radial", "embedding", "trained"} <= set(analysis)
    assert {"rankme", "alpha_req"} <= set(analysis["embedding"])
    assert analysis["snapshots"][0]["step"] == 0, "curves of other snapshots stay"
    assert "half-time" in ssl_bench("analyze", run, "snapshot=0").stdout
    page = tmp_path / "pages" / "report.html"
    done = ssl_bench("report", run, "--out", str(page))
    assert (done.returncode, done.stdout.strip()) == (0, str(page))
    assert f"{100 * result['linear_top1']:.1f}" in page.with_suffix(".md").read_text(), "the trained encoder's number"


def test_an_encoder_from_elsewhere(tmp_path):
    """Untrained it says so, in words and in JSON; with a local file of weights it is trained, and measured anew."""
    torch.manual_seed(0)
    weights = tmp_path / "weights.pth"
    torch.save(timm.create_model("test_resnet", num_classes=5).state_dict(), weights)
    words = ["timm:test_resnet", "dataset=digits", "dataset.limit=300", "image_size=32"]
    small = ["fit_samples=200", "test_samples=100", "altered_samples=20", "view_samples=20", "wave_samples=1"]
    where = {"XDG_CACHE_HOME": str(tmp_path)}
    said = ssl_bench("analyze", *words, *small, **where)
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("UNTRAINED: timm:test_resnet has no weights but its random first ones")
    found = json.loads(ssl_bench("analyze", *words, *small, f"weights={weights}", "--json", **where).stdout)
    assert {"target", "dataset", "pca", "radial", "embedding", "trained"} <= set(found)
    assert (found["trained"], found["encoder"]["set_aside"]) == (True, {"fc": 2})
    without = json.loads(ssl_bench("evaluate", *words, "--json", **where).stdout)
    given = json.loads(ssl_bench("evaluate", *words, f"weights={weights}", "probes=ridge", "--json", **where).stdout)
    assert (without["trained"], given["trained"], given["target"]) == (False, True, "timm:test_resnet")
    assert list(given["probes"]) == ["linear", "knn", "ridge"]
    assert given["linear_top1"] != without["linear_top1"]
    assert "untrained" not in ssl_bench("evaluate", *words, f"weights={weights}", **where).stdout.lower()
    misfit = [words[0].replace("test_resnet", "test_efficientnet"), *words[1:], f"weights={weights}"]
    refused = ssl_bench("evaluate", *misfit, **where)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    """SIGKILL in the middle of a comparison; the same command again ends as if nothing had happened."""
    words = [
        "compare",
        "objective=[autoencoder,denoising]",
        "baselines=[]",
        *SMALL,
        "training.epochs=10",
        "training.snapshots=8",
    ]
    words += ["training.checkpoint_seconds=0", "training.log_every=1", "evaluation.learning_rates=[0.1]"]
    words += ["analysis.altered_samples=20", "analysis.view_samples=20", "analysis.wave_samples=1"]
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-m", "ssl_bench", *words, "--out", str(out)],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not list(out.glob("runs/denoising*/checkpoint/step_*.pt")):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (cut,) = out.glob("runs/denoising*")
    assert json.loads((cut / "run.json").read_text())["status"] == "running", "killed before it ended"
    finished = next(out.glob("runs/autoencoder*/run.json"))
    before = finished.stat().st_mtime_ns
    done = ssl_bench(*words, "--out", str(out), "--json")
    assert done.returncode == 0, done.stderr
    assert [row["status"] for row in json.loads(done.stdout)["runs"]] == ["finished", "finished"]
    whole = ssl_bench(*words, "--out", str(tmp_path / "whole"), "--json")
    probes = [[row["probe"]["linear_top1"] for row in json.loads(text.stdout)["runs"]] for text in (done, whole)]
    assert probes[0] == probes[1]
    assert json.loads(finished.read_text())["timings"]["train_seconds"] > 0
    assert finished.stat().st_mtime_ns == before, "a finished run is left alone"
