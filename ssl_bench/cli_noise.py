"""The command line of the noise distributions: list, show, preview, design."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ssl_bench.cli_common import AsJson, Overrides, list_names, load_settings, show
from ssl_bench.config import DesignConfig, ShowConfig, validate
from ssl_bench.errors import UserError
from ssl_bench.files import write_text
from ssl_bench.overrides import parse_value

noise_app = typer.Typer(
    help="The noise distributions: what there is, what one does to a dataset, and designing one.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Spec = Annotated[str, typer.Argument(metavar="SPEC", help="A noise, as power_law(alpha=1, sigma=0.3).")]


@noise_app.command("list")
def noise_list(as_json: AsJson = False) -> None:
    """The catalogue of noises."""
    list_names("noises", as_json)


@noise_app.command("show")
def noise_show(spec: Spec, settings: Overrides = None, as_json: AsJson = False) -> None:
    """What a noise does to each band of a dataset: power, score, rank, and whether it can help at all.

    Settings: dataset=NAME and its options, latent_dim=64, bands=8.
    """
    wanted = validate(ShowConfig, load_settings(settings), "noise show")
    from ssl_bench.showing import show as run

    result = run(spec, wanted)
    show(result, as_json, lambda: _show_lines(result))


@noise_app.command("preview")
def noise_preview(
    spec: Spec,
    settings: Overrides = None,
    out: Annotated[Path, typer.Option(help="The PNG file; its numbers are written beside it as JSON.")] = Path(
        "noise.png"
    ),
    as_json: AsJson = False,
) -> None:
    """A picture of a noise: spectra, scores, and images clean, noisy and linearly denoised. Settings as for show."""
    wanted = validate(ShowConfig, load_settings(settings), "noise preview")
    from ssl_bench.showing import preview

    result = preview(spec, wanted, out)
    show(result, as_json, lambda: [result["verdict"], str(out)])


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
    bands: Annotated[int | None, typer.Option(help="How many bands; 12, or as many as there are.")] = None,
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
        "bands": bands,
        "power": power,
        "curve": curve,
        "seed": seed,
    }
    raw = load_settings(settings)
    for key in own:
        if key in raw:
            raise UserError(f"{key!r} is an option of noise design: --{key.replace('_', '-')} {raw[key]}")
    wanted = validate(DesignConfig, {**raw, **own}, "noise design")
    from ssl_bench.designing import as_config, design

    result = design(wanted)
    if out is not None:
        write_text(out, as_config(result, raw))
    show(result, as_json, lambda: _design_lines(result, out))


def _show_lines(result: dict[str, Any]) -> list[str]:
    """Bands of components and rings, then d(K) and the verdict."""
    columns = f"{'variance':>10} {'noise':>10} {'score':>10}"
    lines = [f"{'components':>12} {columns} {'rank':>7} {'with':>7} {'kept':>6} {'with':>6}"]
    for band in result["pca"]:
        lines.append(
            f"{band['low']:>6}-{band['high']:<5} {band['variance']:10.3g} {_or_all(band['noise'])} "
            f"{band['score']:10.3g} {band['rank']:7.1f} {band['rank_with_noise']:7.1f} "
            f"{band['kept']:6.2f} {band['kept_with_noise']:6.2f}"
        )
    lines.append(f"{'frequency':>12} {columns}")
    for band in result["radial"]:
        lines.append(
            f"{band['low']:>6.3f}-{band['high']:<5.3f} {band['variance']:10.3g} {_or_all(band['noise'])} "
            f"{band['score']:10.3g}"
        )
    shown = [index for index, k in enumerate(result["k"]) if k & (k - 1) == 0]
    lines.append("d(K): " + ", ".join(f"{result['k'][i]}: {result['subspace_distance'][i]:.2g}" for i in shown))
    if not result["exact"]:
        lines.append("it does not commute with the covariance: scores are its diagonal part; kept and d(K) are exact")
    return [*lines, result["verdict"]]


def _or_all(noise: float | None) -> str:
    return f"{'all':>10}" if noise is None else f"{noise:10.3g}"


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
