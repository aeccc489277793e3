"""The command line: one verb, one function. Each verb imports what it needs when it is called."""

from __future__ import annotations

import os
import sys
import warnings
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from ssl_bench.cli_common import AsJson, Overrides, Settings, list_names, load_settings, show
from ssl_bench.cli_compare import comparison_parts
from ssl_bench.cli_measure import analysis_lines, evaluation_lines, measured_target
from ssl_bench.cli_noise import noise_app
from ssl_bench.cli_runs import runs_app
from ssl_bench.config import AlignConfig, Config, WandbConfig, validate
from ssl_bench.errors import UserError, warn
from ssl_bench.files import replace_file
from ssl_bench.launching.preemption import preemptible
from ssl_bench.launching.settings import Launcher, check_launcher

# What typer makes of Ctrl-C.
INTERRUPTED = 130
# What typer raises for a command line that is not as help says: of click, which newer versions of it have inside.
WRONG_USE: type[Exception] = typer.BadParameter.__mro__[1]


class Mirror(StrEnum):
    """How a report is mirrored at Weights & Biases."""

    online = "online"
    offline = "offline"


app = typer.Typer(
    name="ssl-bench",
    help="Compare self-supervised objectives on one backbone: pretrain, probe, and see which bands each learned first.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(noise_app, name="noise")
app.add_typer(runs_app, name="runs")

Target = Annotated[str, typer.Argument(help="A run directory, or timm:NAME, torchvision:NAME, MODULE:CALLABLE.")]

# Width of names in tables of alignment.
NAME = 28


@app.command()
def compare(
    settings: Settings = None,
    out: Annotated[Path, typer.Option(help="Directory of the comparison.")] = Path("runs/compare"),
    launcher: Annotated[str, typer.Option(help="Who does the runs: local, slurm, or commands (printed).")] = "local",
    jobs: Annotated[int, typer.Option(help="Runs done at once by --launcher local.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Pretrain, evaluate and analyze a matrix of runs, then report. Finished runs are kept, missing ones are run.

    A key that takes a list spans the matrix: objective=[autoencoder,simclr] seed=[0,1,2].
    """
    raw = load_settings(settings)
    check_launcher(launcher, jobs)
    with preemptible(out):
        from ssl_bench.comparison import compare as run

        summary = run(raw, out, cast(Launcher, launcher), jobs, live=not as_json)
    if launcher == "commands":
        if summary["commands"] or as_json:
            show(summary, as_json, lambda: summary["commands"])
        else:
            warn("nothing is left to do: the same command without --launcher commands writes the report")
        return
    undone = [row for row in summary["runs"] + summary["baselines"] if row["error"] or row["status"] != "finished"]
    show(summary, as_json, lambda: comparison_parts(summary, out))
    if undone:
        raise typer.Exit(1)


@app.command()
def pretrain(
    settings: Settings = None,
    out: Annotated[Path, typer.Option(help="The run directory.")] = Path("runs/run"),
    as_json: AsJson = False,
) -> None:
    """Do one pretraining run, or go on with it where it was interrupted."""
    config = validate(Config, load_settings(settings), _source(settings))
    with preemptible(out):
        from ssl_bench.training.pretraining import pretrain as run

        record = run(config, out).record()
    show(record, as_json, lambda: [f"{out}: {record['status']}, {record['progress']['samples_seen']:,} images seen"])


@app.command()
def evaluate(target: Target, settings: Overrides = None, as_json: AsJson = False) -> None:
    """Probe frozen features of clean images: linear, k-NN and, with probes=[...], more.

    Settings: snapshot=last|all|STEP, probes=[ridge,...], feature_point=embedding|mean|cls, layer=6, knn_k=20, ... For
    an encoder from elsewhere also dataset=NAME, weights=FILE, image_size=N.
    """
    asked = measured_target(target, "evaluation", settings)
    with preemptible(target):
        from ssl_bench.measuring import evaluate as run

        result = run(target, asked.section, encoder=asked.encoder, dataset=asked.dataset)
    show(result, as_json, lambda: evaluation_lines(result))


@app.command()
def analyze(target: Target, settings: Overrides = None, as_json: AsJson = False) -> None:
    """Which bands an encoder holds and, over a run's snapshots, when it learned them.

    Settings: snapshot=last|all|STEP, bands=8, ... For an encoder from elsewhere also dataset=NAME, weights=FILE,
    image_size=N.
    """
    asked = measured_target(target, "analysis", settings)
    with preemptible(target):
        from ssl_bench.measuring import analyze as run

        result = run(target, asked.section, encoder=asked.encoder, dataset=asked.dataset)
    show(result, as_json, lambda: analysis_lines(result))


@app.command()
def align(
    settings: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="A .png file: alignment against K.")] = None,
    as_json: AsJson = False,
) -> None:
    """Closed-form alignment between reconstruction and a dataset's labels. Trains nothing.

    Settings: dataset=NAME, noise=SPEC or noise=[SPEC,...], target=SPEC or a list, k=[8,16,...].
    """
    raw = load_settings(settings)
    wanted = validate(AlignConfig, raw, "align")
    from ssl_bench.aligning import align as run

    if out is not None and out.suffix.lower() != ".png":
        raise UserError(f"--out {out}: a picture is a .png file")
    result = run(wanted.dataset, wanted.noise, wanted.k, wanted.target)
    if out is not None:
        from ssl_bench.drawing.alignment import draw

        figure = draw(result)
        replace_file(out, lambda path: figure.savefig(path, format="png", dpi=110))
    show(result, as_json, lambda: _alignment_lines(result))


@app.command()
def finding(
    name: Annotated[
        str | None, typer.Argument(help="A shipped finding, or a YAML file; without it they are listed.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the runs and the result lie.")] = Path("runs/findings"),
    as_json: AsJson = False,
) -> None:
    """Test what theory predicts: do the runs of a finding, and say of each prediction whether it held.

    Runs that are finished are kept. NAME.md, NAME.json and NAME.svg are written to --out.
    """
    from ssl_bench.findings.finding import finding_names

    if name is None:
        titles = finding_names()
        show({"findings": titles}, as_json, lambda: [f"{key:<12} {title}" for key, title in titles.items()])
        return
    with preemptible(out):
        from ssl_bench.findings.running import finding as run

        result = run(name, out)
    show(result, as_json, lambda: [*_finding_lines(result), f"{out / (Path(name).stem + '.md')}"])


@app.command()
def report(
    directories: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Comparisons or run directories.")],
    out: Annotated[Path, typer.Option(help="The HTML file; Markdown, CSV and JSON are written beside it.")],
    figures: Annotated[Path | None, typer.Option(help="A folder for the figures as SVG and PNG files.")] = None,
    wandb: Annotated[
        Mirror | None, typer.Option(help="Mirror the report at Weights & Biases, or keep it for `wandb sync`.")
    ] = None,
    project: Annotated[str, typer.Option(help="The project at Weights & Biases.")] = WandbConfig().project,
    as_json: AsJson = False,
) -> None:
    """Write a comparison report from finished runs."""
    from ssl_bench.reporting import report as run

    page = run(directories, out, figures)
    files = {
        "html": str(page),
        "markdown": str(page.with_suffix(".md")),
        "csv": str(page.with_suffix(".csv")),
        "json": str(page.with_suffix(".json")),
    }
    if wandb is not None:
        from ssl_bench.reporting.wandb_mirror import mirror_report

        files["wandb"] = mirror_report(page, WandbConfig(mode=wandb.value, project=project))
    show(files, as_json, lambda: [str(page), *([files["wandb"]] if "wandb" in files else [])])


@app.command("list")
def list_command(
    kind: Annotated[str, typer.Argument(help="One of the plural kinds.")],
    as_json: AsJson = False,
) -> None:
    """What can be named, plug-ins included: objectives, backbones, datasets, noises, targets, analyzers, probes."""
    list_names(kind, as_json)


def main() -> None:
    """Entry point: a user's mistake ends in one line on standard error and exit status 2, without a traceback."""
    # Said by Lightning wherever Slurm is installed, even where nobody wants it.
    warnings.filterwarnings("ignore", message="The `srun` command is available on your system but is not used")
    try:
        status = app(prog_name="ssl-bench", standalone_mode=False)
        if status == INTERRUPTED:
            print("ssl-bench: interrupted; the same command goes on with what is finished", file=sys.stderr)
        sys.exit(status or 0)
    except UserError as error:
        print(f"ssl-bench: {error}", file=sys.stderr)
        sys.exit(2)
    except WRONG_USE as error:
        print(f"ssl-bench: {_usage(error)}", file=sys.stderr)
        sys.exit(2)
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


def _usage(error: Any) -> str:
    """What is wrong with a command line, in one line; all of its help where nothing was asked."""
    command = error.ctx.command_path if error.ctx is not None else "ssl-bench"
    if "Usage:" in error.format_message():  # a group of commands, and none of them
        return f"a command is needed\n{error.format_message()}"
    return str(UserError(f"{error.format_message().rstrip('.')}; see {command} --help"))


def _source(settings: list[str] | None) -> str:
    """What an error in the settings is an error in: the file that was named, or the command line."""
    return settings[0] if settings and "=" not in settings[0] else "settings"


def _finding_lines(result: dict[str, Any]) -> list[str]:
    words = {True: "held", False: "did not hold", None: "undecided"}
    return [f"{words[one['held']]:<13} {one['name']}: {one['predicted']}" for one in result["predictions"]]


def _alignment_lines(result: dict[str, Any]) -> list[str]:
    """Alignment and held-out R^2 at the latent dimensions asked for, or at powers of two."""
    shown = [index for index, k in enumerate(result["k"]) if len(result["k"]) <= 12 or k & (k - 1) == 0]
    columns = [f"{'k':>{NAME}}", *(f"{result['k'][index]:>7}" for index in shown)]
    lines = [" ".join(columns), _numbers("chance", result["chance"], shown, 1)]
    for entry in [result, *result.get("noises", [])]:
        name = " ".join(spec for spec in (entry["noise"], entry["target"] and f"target {entry['target']}") if spec)
        # A long name has a line of its own: cut, two of them could be alike.
        lines += [name] if len(name) > NAME else []
        lines.append(_numbers((name if len(name) <= NAME else "alignment") or "no noise", entry["alignment"], shown, 1))
        lines.append(_numbers("held-out R^2", entry["held_out"], shown, 3))
        if "change" in entry:
            lines.append(_numbers("change, %", entry["change"], shown, 1))
            lines.append(_numbers("d(K)", entry["subspace_distance"], shown, 2))
    return lines


def _numbers(name: str, values: list[float], shown: list[int], digits: int) -> str:
    return " ".join([f"{name:>{NAME}}", *(f"{values[index]:7.{digits}f}" for index in shown)])
