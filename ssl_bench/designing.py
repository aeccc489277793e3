"""The verb ``noise design``: from weak knowledge to a noise, a target, or both, and what theory predicts of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import yaml
from torch import Tensor

from ssl_bench.aligning import align
from ssl_bench.config import DesignConfig
from ssl_bench.data.images import ImageData
from ssl_bench.data.load import load_dataset
from ssl_bench.design.directions import Directions, make_directions, most_directions
from ssl_bench.design.exact import design_gains
from ssl_bench.design.knowledge import Relevance, from_bands, from_flat, from_invariance, from_labels
from ssl_bench.design.masks import MASKS, MaskFamily, design_mask
from ssl_bench.design.nonlinear import from_nonlinear
from ssl_bench.errors import UserError
from ssl_bench.seeds import make_generator
from ssl_bench.spec import Spec

# What one would try by hand: colours of noise, masks, components dropped; for targets, the bottom of the variance.
HANDMADE_NOISES = (
    "gaussian(sigma=1)",
    "power_law(alpha=1, sigma=1)",
    "power_law(alpha=2, sigma=1)",
    "power_law(alpha=-1, sigma=1)",
    "power_law(alpha=5, sigma=3)",
    "mask(ratio=0.75, patch=4)",
    "pca_mask(ratio=0.5)",
)
HANDMADE_TARGETS = ("bottom(share=0.5)", "bottom(share=0.2)", "bottom(share=0.05)")
# As many bands as this, or as the images make.
BANDS = 12
# Smaller gains of alignment, in percent, are not worth the name.
LEAST_GAIN = 0.1


@dataclass(frozen=True)
class Proposal:
    """A design before anything is predicted of it.

    ``worth`` is what the K kept directions are worth by the knowledge itself, as a share of the best K, and
    ``worth_without`` the same of no change; ``power`` of the noise a pixel, ``None`` for masks; ``limited``: nothing
    was designed only because more power was not allowed.
    """

    noise: str | None
    target: str | None
    directions: Directions
    relevance: Relevance
    worth: float
    worth_without: float
    power: float | None
    limited: bool = False


def design(settings: DesignConfig, data: ImageData | None = None) -> dict[str, Any]:
    """A noise (or target) for a dataset and a latent dimension, computed before any training, and what to expect.

    Only the knowledge named is used for the design; all labels are used afterwards, to predict what it will be worth.

    Args:
        settings: Dataset, knowledge, constraints.
        data: The images, if they are in memory already.

    Returns: The contract's object (interface: ``noise design --json``), with ``target``, the relevance of each band,
    and what the design is worth by its own knowledge.

    Raises: UserError for settings that contradict each other or do not fit the images.
    """
    data = data if data is not None else load_dataset(settings.dataset)
    found = propose(settings, data)
    predicted = _prediction(settings, data, found.noise, found.target)
    return {
        "dataset": data.name,
        "noise": found.noise,
        "target": found.target,
        "knowledge": settings.knowledge,
        "side": settings.side,
        "family": settings.family,
        "latent_dim": settings.latent_dim,
        "seed": settings.seed,
        "labelled_samples": found.relevance.samples,
        "power": found.power,
        "worth": found.worth,
        "worth_without": found.worth_without,
        "bands": _bands(found.directions, found.relevance),
        **predicted,
        "verdict": _verdict(found, predicted),
    }


def as_config(result: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """The YAML of a run on a design: what ``pretrain`` and ``compare`` take.

    Args:
        result: What :func:`design` returned.
        settings: Nested settings, of which those of the dataset are kept.
    """
    kept = {key: value for key, value in settings.items() if key == "dataset"}
    run = {
        "objective": "denoising" if result["noise"] else "autoencoder",
        **{key: result[key] for key in ("noise", "target") if result[key]},
        **kept,
        "backbone": {"embedding": "latent", "latent_dim": result["latent_dim"]},
    }
    return f"# {result['verdict']}\n{yaml.safe_dump(run, sort_keys=False, width=1000)}"


def propose(settings: DesignConfig, data: ImageData) -> Proposal:
    """The design alone: seconds, where a prediction takes minutes on large images.

    Raises: UserError as :func:`design` does.
    """
    _check(settings)
    if len(set(data.train.labels.tolist())) < 2:
        raise UserError(f"the training images of {data.name!r} are of one class: nothing can be predicted of a design")
    stationary = settings.family == "spectrum"
    bands = settings.bands or (len(settings.worth) if settings.worth else None)
    directions = make_directions(data, bands, stationary) if bands else most_directions(data, BANDS, stationary)
    dimension = int(directions.widths.sum())
    if settings.latent_dim >= dimension:
        raise UserError(f"--latent-dim {settings.latent_dim}: the images of {data.name!r} have only {dimension}")
    relevance = _known(settings, data, directions)
    masks = settings.family in MASKS
    if masks and relevance.unknown:
        return Proposal(None, None, directions, relevance, 0.0, 0.0, None)
    return (_masked if masks else _diagonal)(settings, data, directions, relevance)


def _check(settings: DesignConfig) -> None:
    masks = settings.family in MASKS
    if masks and settings.side != "input":
        raise UserError(f"--family {settings.family} is a noise at the input: use --side input, or --family pca")
    given = {"power", "curve"} & {key for key in ("power", "curve") if getattr(settings, key) != _default(key)}
    if masks and given:
        raise UserError(f"--{min(given)} is for gains a band: a {settings.family} has none")
    if masks and settings.knowledge == "flat":
        raise UserError(f"--knowledge flat wants no direction more than another, which no {settings.family} can bring")
    if (settings.worth is None) == (settings.knowledge == "bands"):
        raise UserError("--knowledge bands and --worth, one number a band, go together")


def _default(key: str) -> Any:
    return DesignConfig.model_fields[key].default


def _known(settings: DesignConfig, data: ImageData, directions: Directions) -> Relevance:
    """What each band is worth, by the source of knowledge named."""
    generator = make_generator(settings.seed, f"design {settings.knowledge}")
    if settings.knowledge == "labels":
        return from_labels(data, directions, settings.labels, generator)
    if settings.knowledge == "nonlinear":
        return from_nonlinear(data, directions, settings.labels, generator)
    if settings.knowledge == "invariance":
        return from_invariance(data, directions, settings.views, generator)
    return from_bands(directions, settings.worth) if settings.worth is not None else from_flat(directions)


def _diagonal(settings: DesignConfig, data: ImageData, directions: Directions, relevance: Relevance) -> Proposal:
    """Gains a band, exactly; a side that changes nothing is ``None``."""
    limits = settings.side, settings.power, settings.curve
    found = design_gains(directions, relevance, settings.latent_dim, *limits)
    noise = _spec(directions.spec, found.noise) if float(found.noise.max()) > 0 else None
    uneven = float(found.weights.max()) > float(found.weights.min())
    target = _spec(directions.spec, found.weights / found.weights.max()) if uneven else None
    return Proposal(noise, target, directions, relevance, found.value, found.plain, found.power, found.limited)


def _masked(settings: DesignConfig, data: ImageData, directions: Directions, relevance: Relevance) -> Proposal:
    """The mask that keeps most of what the knowledge values."""
    family = cast(MaskFamily, settings.family)
    found = design_mask(data, relevance.worth[directions.band_of], settings.latent_dim, family)
    return Proposal(found.noise, None, directions, relevance, found.value, found.plain, None)


def _spec(name: str, gains: Tensor) -> str:
    """Gains in four digits, those below a millionth of the largest as zero."""
    rounded = [float(f"{gain:.4g}") if gain > 1e-6 * float(gains.max()) else 0.0 for gain in gains.tolist()]
    return str(Spec(name, {"gains": rounded}))


def _bands(directions: Directions, relevance: Relevance) -> list[dict[str, Any]]:
    """Each band with its variance a direction and what it is worth, as used and as measured."""
    rows = []
    for band in directions.basis.bands:
        measured = {
            key: None if values is None else float(values[band.index])
            for key, values in (("estimate", relevance.estimates), ("standard_error", relevance.errors))
        }
        rows.append(
            {
                "index": band.index,
                "low": band.low,
                "high": band.high,
                "variance": float(directions.levels[band.index]),
                "relevance": float(relevance.worth[band.index]),
                **measured,
            }
        )
    return rows


def _prediction(settings: DesignConfig, data: ImageData, noise: str | None, target: str | None) -> dict[str, Any]:
    """Alignment of the design, of nothing, and of what one would try by hand, with all labels.

    The hand-made are ranked by in-sample alignment, which favours them; nothing is chosen on test data.
    """
    count = settings.latent_dim
    dimension = data.train.images[0].numel()
    ladder = sorted({2**power for power in range(dimension.bit_length()) if 2**power <= dimension} | {count})
    at = ladder.index(count)
    targets = HANDMADE_TARGETS if settings.side != "input" else ()
    plain = align(data, noise=list(_fitting(data)), k=ladder)
    handmade = plain["noises"]
    handmade = handmade + (align(data, target=list(targets), k=ladder)["noises"] if targets else [])
    none = plain["alignment"][at]
    mine = align(data, noise=noise, target=target, k=ladder) if noise or target else plain
    best = max(handmade, key=lambda entry: float(entry["alignment"][at]))
    gain = 100 * (mine["alignment"][at] / none - 1)
    held_out_gain = mine["held_out"][at] - plain["held_out"][at]
    return {
        "predicted": {key: mine[key] for key in ("k", "alignment", "held_out")},
        "predicted_without": {key: plain[key] for key in ("k", "alignment", "held_out")},
        "gain_over_none": gain,
        "gain_over_best_handmade": 100 * (mine["alignment"][at] / best["alignment"][at] - 1),
        "best_handmade": best["noise"] or best["target"],
        "held_out_gain": held_out_gain,
        "helps": bool((noise or target) and gain > LEAST_GAIN and held_out_gain > 0 and mine["held_out"][at] > 0),
    }


def _verdict(found: Proposal, predicted: Mapping[str, Any]) -> str:
    """Whether it helps, in a sentence."""
    if found.relevance.unknown:
        return "nothing designed: this knowledge found no band that surely matters; give it more labels"
    if found.limited:
        return "nothing designed: what this knowledge values would take more noise than --power allows"
    if found.noise is None and found.target is None:
        return "nothing designed: what this knowledge values is in the largest variances, where it is learned anyway"
    if predicted["helps"]:
        less = predicted["gain_over_best_handmade"] < 0
        return "predicted to help a linear encoder" + (f", but less than {predicted['best_handmade']}" if less else "")
    if predicted["gain_over_none"] > LEAST_GAIN:
        return "does not help: what is gained in sample is nothing on test images"
    return "does not help a linear encoder: by all labels the design is worth no more than no change"


def _fitting(data: ImageData) -> list[str]:
    """Hand-made noises that exist at this image size."""
    return [spec for spec in HANDMADE_NOISES if "patch=4" not in spec or data.image_size >= 8]
