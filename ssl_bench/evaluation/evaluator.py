"""One subject before all its probes: an entry of evaluation.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Generator, Tensor

from ssl_bench.backbones.feature_point import EMBEDDING, FeaturePoint
from ssl_bench.clock import Clock
from ssl_bench.config import EvaluationConfig
from ssl_bench.data.images import ImageData
from ssl_bench.data.views import make_views, recipe_for
from ssl_bench.evaluation import ALWAYS, PROBES
from ssl_bench.evaluation.features import features
from ssl_bench.evaluation.few_shot import summarise_draws
from ssl_bench.evaluation.probe import Answer, Pictures, Task, check_features, score
from ssl_bench.evaluation.subject import Subject, in_batches

# Settings of one probe alone: they are no part of the question where it is not asked.
OWN_SETTINGS = {"few_shot": {"shots", "draws"}, "finetune": {"finetune_epochs"}}


def asked_probes(settings: EvaluationConfig) -> list[str]:
    """Names of the probes asked for, those of every evaluation first.

    Raises: UserError for an unknown one.
    """
    for name in settings.probes:
        PROBES.check(name)
    return list(dict.fromkeys([*ALWAYS, *settings.probes]))


def evaluation_question(settings: EvaluationConfig) -> dict[str, Any]:
    """What decides an entry of evaluation.json beside the snapshot."""
    names = asked_probes(settings)
    unused = {key for name, keys in OWN_SETTINGS.items() if name not in names for key in keys}
    return {
        "feature_point": str(_point(settings)),
        "protocol": PROBES.get("linear").protocol,
        "knn_protocol": PROBES.get("knn").protocol,
        "protocols": {name: PROBES.get(name).protocol for name in names},
        "settings": settings.model_dump(mode="json", exclude={"snapshot", *unused}),
    }


def probe(subject: Subject, data: ImageData, settings: EvaluationConfig, cache: Path | None) -> dict[str, Any]:
    """All probes asked for, of one subject; only here do answers meet the test labels.

    Raises: UserError if a feature is not finite, all are the same, or there are too few images to hold some out.
    """
    clock = Clock()
    with clock.part("features"):
        task = make_task(subject, data, settings, cache)
    found = {}
    for name in asked_probes(settings):
        with clock.part(name):
            found[name] = _scored(name, PROBES.get(name).answer(task), data, settings)
    if subject.classify is not None:
        with clock.part("head"):
            found["head"] = _head(subject, data, settings)
    linear, knn = found["linear"], found["knn"]
    fit, held_out = task.halves()
    return {
        "step": subject.step,
        "samples_seen": subject.samples_seen,
        "weights": subject.weights,
        "trained": subject.trained,
        "linear_top1": linear["top1"],
        "linear_interval": linear["interval"],
        "held_out_top1": linear["held_out_top1"],
        "selected_lr": linear["chosen"]["learning_rate"],
        "knn_top1": knn["top1"],
        "head_top1": found["head"]["top1"] if "head" in found else None,
        "train_samples": len(fit),
        "held_out_samples": len(held_out),
        "test_samples": len(task.test),
        "probes": found,
        "seconds": clock.rounded(),
    }


def make_task(subject: Subject, data: ImageData, settings: EvaluationConfig, cache: Path | None) -> Task:
    """Features at the feature point asked for, and what further probes may ask for.

    Raises: UserError as :func:`probe` does.
    """
    point = _point(settings)
    train, test = features(subject, data, "train", cache, point), features(subject, data, "test", cache, point)
    check_features(train, subject.name)

    def tokens() -> tuple[Tensor, Tensor]:
        where = FeaturePoint("tokens", settings.layer)
        return features(subject, data, "train", None, where), features(subject, data, "test", None, where)

    recipe = recipe_for("crop", data.image_size)

    def views(images: Tensor, generator: Generator) -> Tensor:
        return make_views(images, 1, recipe, data.statistics, None, generator)[0]

    pictures = Pictures(data.train.images, data.test.images, data.standardised, views, subject.trainable)
    return Task(train, data.train.labels, test, data.classes, settings, tokens, pictures, subject.device)


def _point(settings: EvaluationConfig) -> FeaturePoint:
    return FeaturePoint(settings.feature_point, settings.layer)


def _scored(name: str, answer: Answer, data: ImageData, settings: EvaluationConfig) -> dict[str, Any]:
    """An answer against the test labels."""
    labels, reads = data.test.labels, PROBES.get(name).reads
    points = {"features": _point(settings), "tokens": FeaturePoint("tokens", settings.layer), "pictures": EMBEDDING}
    entry: dict[str, Any] = {
        "protocol": PROBES.get(name).protocol,
        "feature_point": str(points[reads]),
        **score(answer.predicted.cpu(), labels, data.classes, settings.seed),
        "held_out_top1": answer.held_out_top1,
        "chosen": answer.chosen,
    }
    if answer.others:
        each = {key: float((one.cpu() == labels).double().mean()) for key, one in answer.others.items()}
        entry["others"] = each
        if name == "few_shot":
            entry["shots"] = summarise_draws(each, settings)
    return entry


def _head(subject: Subject, data: ImageData, settings: EvaluationConfig) -> dict[str, Any]:
    """The classifier the subject was trained with, on the test images."""
    assert subject.classify is not None
    scores = in_batches(subject.classify, data.test.images, data.standardised, subject.device)
    about = {"protocol": "head/1", "feature_point": str(EMBEDDING)}
    return {**about, **score(scores.argmax(1), data.test.labels, data.classes, settings.seed)}
