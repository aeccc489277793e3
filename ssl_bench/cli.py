"""The command line: one verb, one function. Each verb imports what it needs when it is called."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from ssl_bench.backbones import TIMM_NOTE
from ssl_bench.config import AlignConfig, Config, DesignConfig, validate
from ssl_bench.data import DATASETS
from ssl_bench.errors import UserError, did_you_mean
from ssl_bench.files import write_text
from ssl_bench.objectives import OBJECTIVES
from ssl_bench.overrides import load_config, parse_value

# What typer makes of Ctrl-C.
INTERRUPTED = 130

app = typer.Typer(
    name="ssl-bench",
    help="Compare self-supervised objectives on one backbone: pretrain, probe, and see which bands each learned first.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
noise_app = typer.Typer(help="The noise distributions.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(noise_app, name="noise")

# Columns of a comparison's summary that need no second mention among the swept settings.
SHOWN_ANYWAY = ("objective.name", "noise", "target", "views.noise", "backbone.name", "dataset.name", "seed")

Settings = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[CONFIG] [key=value ...]",
        help="A YAML file or shipped configuration, then overrides.",
        show_default=False,
    ),
]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[key=value ...]", help="Overrides.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on standard output.")]


@app.command()
def compare(
    settings: Settings = None,
    out: Annotated[Path, typer.Option(help="Directory of the comparison.")] = Path("runs/compare"),
    as_json: AsJson = False,
) -> None:
    """Pretrain, evaluate and analyze a matrix of runs, then report. Finished runs are kept, missing ones are run.

    A key that takes a list spans the matrix: objective=[autoencoder,simclr] seed=[0,1,2].
    """
    raw = _load(settings)
    from ssl_bench.comparison import compare as run

    summary = run(raw, out)
    failed = [row for row in summary["runs"] + summary["baselines"] if row["error"]]
    _show(summary, as_json, lambda: _comparison_lines(summary, out))
    if failed:
        raise typer.Exit(1)


@app.command()
def pretrain(
    settings: Settings = None,
    out: Annotated[Path, typer.Option(help="The run directory.")] = Path("runs/run"),
    as_json: AsJson = False,
) -> None:
    """Do one pretraining run, or go on with it where it was interrupted."""
    config = validate(Config, _load(settings), _source(settings))
    from ssl_bench.training.pretraining import pretrain as run

    record = run(config, out).record()
    _show(record, as_json, lambda: [f"{out}: {record['status']}, {record['progress']['samples_seen']:,} images seen"])


@app.command()
def evaluate(
    target: Annotated[str, typer.Argument(help="A run directory.")], settings: Overrides = None, as_json: AsJson = False
) -> None:
    """Linear probe and k-NN on frozen features of clean images. Overrides: snapshot=last|all|STEP, knn_k=20, ..."""
    from ssl_bench.measuring import evaluate as run

    result = run(target, _section(target, "evaluation", settings))
    _show(result, as_json, lambda: _evaluation_lines(result))


@app.command()
def analyze(
    target: Annotated[str, typer.Argument(help="A run directory.")], settings: Overrides = None, as_json: AsJson = False
) -> None:
    """Which bands a run holds, and when it learned them. Overrides: snapshot=last|all|STEP, bands=8, ..."""
    from ssl_bench.measuring import analyze as run

    result = run(target, _section(target, "analysis", settings))
    _show(result, as_json, lambda: _analysis_lines(result))


@app.command()
def align(settings: Overrides = None, as_json: AsJson = False) -> None:
    """Closed-form alignment between reconstruction and a dataset's labels. Trains nothing.

    Settings: dataset=NAME, noise=SPEC or noise=[SPEC,...], target=SPEC or a list, k=[8,16,...].
    """
    raw = _load(settings)
    wanted = validate(AlignConfig, raw, "align")
    from ssl_bench.aligning import align as run

    result = run(wanted.dataset, wanted.noise, wanted.k, wanted.target)
    _show(result, as_json, lambda: _alignment_lines(result))


@app.command()
def report(
    directories: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Comparisons or run directories.")],
    out: Annotated[Path, typer.Option(help="The HTML file; Markdown and CSV are written beside it.")],
    as_json: AsJson = False,
) -> None:
    """Write a comparison report from finished runs."""
    from ssl_bench.reporting import report as run

    page = run(directories, out)
    files = {"html": str(page), "markdown": str(page.with_suffix(".md")), "csv": str(page.with_suffix(".csv"))}
    _show(files, as_json, lambda: [str(page)])


@app.command("list")
def list_names(
    kind: Annotated[str, typer.Argument(help="One of the plural kinds.")],
    as_json: AsJson = False,
) -> None:
    """What can be named, plug-ins included: objectives, backbones, datasets, noises, targets or analyzers."""
    names = _registry(kind)
    _show(names, as_json, lambda: _name_lines(kind, names))


@noise_app.command("list")
def noise_list(as_json: AsJson = False) -> None:
    """The catalogue of noises."""
    list_names("noises", as_json)


@noise_app.command("design")
def noise_design(
    settings: Overrides = None,
    knowledge: Annotated[
        str, typer.Option(help="labels, bands, invariance, flat or nonlinear: where it is known from what matters.")
    ] = "labels",
    latent_dim: Annotated[int, typer.Option(help="Dimension of the embedding the noise is for.")] = 64,
    side: Annotated[str, typer.Option(help="input (a noise), target (weights of the loss) or both.")] = "input",
    family: Annotated[
        str, typer.Option(help="pca; spectrum (stationary, a convolution); mask, mixture, color_mask.")
    ] = "pca",
    labels: Annotated[int, typer.Option(help="Labelled images a class, for labels and nonlinear.")] = 10,
    worth: Annotated[str | None, typer.Option(help="For bands: one number a band, as 0,0,1,1.")] = None,
    bands: Annotated[int, typer.Option(help="How many bands.")] = 12,
    power: Annotated[float, typer.Option(help="Most noise variance a pixel; the image's is 1.")] = 30.0,
    curve: Annotated[str, typer.Option(help="Form of the gains over the bands: free, smooth or monotone.")] = "free",
    seed: Annotated[int, typer.Option(help="Which labelled images, views and filters are drawn.")] = 0,
    out: Annotated[Path | None, typer.Option(help="YAML file for pretrain and compare.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compute a noise or a target for a dataset from weak knowledge, and predict what it is worth. Trains nothing.

    Settings: dataset=NAME and its options; views.KEY=VALUE for the knowledge of invariance.
    """
    own = {
        "knowledge": knowledge,
        "latent_dim": latent_dim,
        "side": side,
        "family": family,
        "labels": labels,
        "worth": None if worth is None else parse_value(f"[{worth.strip('[]')}]"),
        "bands": bands if worth is None else len(worth.split(",")),
        "power": power,
        "curve": curve,
        "seed": seed,
    }
    raw = _load(settings)
    for key in own:
        if key in raw:
            raise UserError(f"{key!r} is an option of noise design: --{key.replace('_', '-')} {raw[key]}")
    wanted = validate(DesignConfig, {**raw, **own}, "noise design")
    from ssl_bench.designing import as_config, design

    result = design(wanted)
    if out is not None:
        write_text(out, as_config(result, raw))
    _show(result, as_json, lambda: _design_lines(result, out))


def main() -> None:
    """Entry point: a user's mistake ends in one line on standard error and exit status 2, without a traceback."""
    try:
        app()
    except UserError as error:
        print(f"ssl-bench: {error}", file=sys.stderr)
        sys.exit(2)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            print("ssl-bench: interrupted; the same command goes on where it stopped", file=sys.stderr)
        raise
    except BrokenPipeError:
        # The reader of our output left (``| head``); nothing is wrong.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        print(f"ssl-bench: {error.strerror or error}{f': {error.filename}' if error.filename else ''}", file=sys.stderr)
        sys.exit(1)
    except RuntimeError as error:
        if type(error).__name__ != "TrainingFailed":
            raise
        print(f"ssl-bench: {error}", file=sys.stderr)
        sys.exit(1)


def _load(settings: list[str] | None) -> dict[str, Any]:
    """Nested settings of ``[CONFIG] [key=value ...]``; names are looked up before anything slow is imported."""
    words = list(settings or [])
    file = words.pop(0) if words and "=" not in words[0] else None
    raw = load_config(file, words)
    for section, registry in (("objective", OBJECTIVES), ("dataset", DATASETS)):
        given = raw.get(section, {}).get("name", [])
        for name in given if isinstance(given, list) else [given]:
            registry.check(name)
    return raw


def _source(settings: list[str] | None) -> str:
    """What an error in the settings is an error in: the file that was named, or the command line."""
    return settings[0] if settings and "=" not in settings[0] else "settings"


def _section(target: str, section: str, overrides: list[str] | None) -> Any:
    """A run's own evaluation or analysis settings with overrides; ``KEY`` and ``SECTION.KEY`` mean the same."""
    from ssl_bench.runs.directory import RunDirectory

    current = getattr(RunDirectory(Path(target)).config(), section)
    given = load_config(None, [word.removeprefix(f"{section}.") for word in overrides or []])
    return validate(type(current), {**current.model_dump(mode="json"), "snapshot": "last", **given}, section)


def _registry(kind: str) -> dict[str, str]:
    homes = {
        "objectives": ("ssl_bench.objectives", "OBJECTIVES"),
        "backbones": ("ssl_bench.backbones", "BACKBONES"),
        "datasets": ("ssl_bench.data", "DATASETS"),
        "noises": ("ssl_bench.noise", "NOISES"),
        "targets": ("ssl_bench.targets", "TARGETS"),
        "analyzers": ("ssl_bench.spectrum", "ANALYZERS"),
    }
    if kind not in homes:
        raise UserError(f"nothing to list called {kind!r}; {did_you_mean(kind, homes)}")
    module, name = homes[kind]
    summaries: dict[str, str] = getattr(importlib.import_module(module), name).summaries()
    return summaries


def _show(value: Any, as_json: bool, lines: Callable[[], list[str]]) -> None:
    print(json.dumps(value, allow_nan=False) if as_json else "\n".join(lines()))


def _name_lines(kind: str, names: dict[str, str]) -> list[str]:
    width = max(map(len, names), default=0)
    lines = [f"{name:<{width}}  {summary}" for name, summary in names.items()]
    return [*lines, TIMM_NOTE] if kind == "backbones" else lines


def _comparison_lines(summary: dict[str, Any], out: Path) -> list[str]:
    lines = [f"{'linear':>7} {'k-NN':>7}  run   (chance {summary['chance']:.3f})"]
    for row in summary["runs"] + summary["baselines"]:
        probe = row["probe"]
        state = "not measured" if row["status"] == "finished" else row["status"]
        numbers = f"{probe['linear_top1']:7.3f} {probe['knn_top1']:7.3f}" if probe else f"{state:>15}"
        swept = " ".join(f"{key}={value}" for key, value in row["settings"].items() if key not in SHOWN_ANYWAY)
        noise = row["noise"] or row["views_noise"]
        words = [row["objective"], noise, row["target"], row["backbone"], row["dataset"], f"seed {row['seed']}", swept]
        lines.append(f"{numbers}  {' '.join(word for word in words if word)}")
    lines += [f"skipped: {cell['objective']} on {cell['backbone']}: {cell['reason']}" for cell in summary["skipped"]]
    return [*lines, f"summary: {out / 'summary.json'}", f"report: {out / 'report.html'}"]


def _evaluation_lines(result: dict[str, Any]) -> list[str]:
    low, high = result["linear_interval"]
    where = f"{result['test_samples']:,} test images of {result['dataset']}; step {result['step']}"
    return [
        f"linear probe ({result['protocol']}): {result['linear_top1']:.4f}  [{low:.4f}, {high:.4f}]",
        f"k-NN ({result['knn_protocol']}): {result['knn_top1']:.4f}",
        f"chance: {result['chance']:.4f}; {where}",
    ]


def _alignment_lines(result: dict[str, Any]) -> list[str]:
    """Alignment and held-out R^2 at the latent dimensions asked for, or at powers of two."""
    shown = [index for index, k in enumerate(result["k"]) if len(result["k"]) <= 12 or k & (k - 1) == 0]
    columns = [f"{'k':>28}", *(f"{result['k'][index]:>7}" for index in shown)]
    lines = [" ".join(columns), _numbers("chance", result["chance"], shown, 1)]
    for entry in [result, *result.get("noises", [])]:
        name = " ".join(spec for spec in (entry["noise"], entry["target"] and f"target {entry['target']}") if spec)
        lines.append(_numbers(name or "no noise", entry["alignment"], shown, 1))
        lines.append(_numbers("held-out R^2", entry["held_out"], shown, 3))
        if "change" in entry:
            lines.append(_numbers("change, %", entry["change"], shown, 1))
            lines.append(_numbers("d(K)", entry["subspace_distance"], shown, 2))
    return lines


def _design_lines(result: dict[str, Any], out: Path | None) -> list[str]:
    """The design, what is known of each band, and what is predicted at the latent dimension."""
    at = result["predicted"]["k"].index(result["latent_dim"])
    lines = [f"{'band':>12} {'variance':>10} {'relevance':>10}"]
    for band in result["bands"]:
        lines.append(f"{band['low']:>6.4g}-{band['high']:<5.4g} {band['variance']:10.3g} {band['relevance']:10.3f}")
    lines += [f"noise={result['noise']}"] if result["noise"] else []
    lines += [f"target={result['target']}"] if result["target"] else []
    for name, key in (("designed", "predicted"), ("without", "predicted_without")):
        found = result[key]
        lines.append(
            f"{name:>9}: alignment({result['latent_dim']}) {found['alignment'][at]:.1f} %, "
            f"held-out R^2 {found['held_out'][at]:.4f}"
        )
    lines.append(
        f"gain over none {result['gain_over_none']:+.1f} %, over the best hand-made "
        f"({result['best_handmade']}) {result['gain_over_best_handmade']:+.1f} %"
    )
    lines.append(result["verdict"])
    return [*lines, f"configuration: {out}"] if out is not None else lines


def _numbers(name: str, values: list[float], shown: list[int], digits: int) -> str:
    return " ".join([f"{name[:28]:>28}", *(f"{values[index]:7.{digits}f}" for index in shown)])


def _analysis_lines(result: dict[str, Any]) -> list[str]:
    lines = []
    for basis in ("pca", "radial"):
        lines.append(f"{basis:>6}  {'variance':>8} {'error':>7} {'half-time':>10} {'decoded':>8} {'half-time':>10}")
        for band in result[basis]:
            where = f"{band['low']:g}-{band['high']:g}" if basis == "pca" else f"{band['low']:.2f}-{band['high']:.2f}"
            cells = [band["relative_error"], band["half_time"], band["decodability"], band["decodability_half_time"]]
            error, half, decoded, decoded_half = (("-" if cell is None else f"{cell:.3g}") for cell in cells)
            lines.append(
                f"{where:>9} {band['variance_fraction']:7.4f} {error:>7} {half:>10} {decoded:>8} {decoded_half:>10}"
            )
    return lines
