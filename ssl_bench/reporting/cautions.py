"""What makes an answer less than it seems: computed, and said before the tables.

What differs between configurations that a fair comparison keeps equal; and where k-NN answers otherwise.
"""

from __future__ import annotations

import json

from ssl_bench.reporting.collect import UNTRAINED
from ssl_bench.reporting.groups import Block, Group
from ssl_bench.reporting.numbers import count, percent
from ssl_bench.reporting.spread import Spread


def cautions(block: Block) -> list[str]:
    """One sentence a difference among the configurations compared (not the reference lines), and one on k-NN.

    Nothing if all is equal, and k-NN agrees with the linear probe.
    """
    groups = [group for group in block.main if group.probed]
    checks = (_seeds, _samples, _training, _backbones, _probe_settings, _embeddings, _code)
    return [sentence for sentence in (_nearest_neighbours(block), *(check(groups) for check in checks)) if sentence]


def _nearest_neighbours(block: Block) -> str:
    """That by k-NN another one leads than by the linear probe, or what was not trained at all."""
    both = [(group, group.linear, group.knn) for group in block.groups]
    read = [(group, linear, knn) for group, linear, knn in both if linear is not None and knn is not None]
    trained = [one for one in read if not one[0].reference and not _untrained(one[0])]
    if not trained:
        return ""
    highest = max(knn.mean for _, _, knn in trained)
    above = [
        f"{group.label} ({_share(knn.mean)})" for group, _, knn in read if _untrained(group) and knn.mean > highest
    ]
    parts = [_other_leader(trained)]
    if above:
        verb = "is" if len(above) == 1 else "are"
        names = " and ".join(above)
        parts.append(f"{names}, without any training, {verb} above all that is compared (at most {_share(highest)})")
    said = ", and ".join(part for part in parts if part)
    return f"By k-NN {said}." if said else ""


def _other_leader(read: list[tuple[Group, Spread, Spread]]) -> str:
    """Which one leads by k-NN, if none of those that lead by the linear probe does."""
    top = max(linear.mean for _, linear, _ in read)
    first, _, near = max((one for one in read if one[1].mean == top), key=lambda one: one[2].mean)
    leader, _, best = max(read, key=lambda one: one[2].mean)
    if best.mean <= near.mean:
        return ""
    return f"{leader.label} leads ({_share(best.mean)}), not {first.label} ({_share(near.mean)}) as by the linear probe"


def _share(value: float) -> str:
    return f"{percent(value)} %"


def _untrained(group: Group) -> bool:
    return group.config.objective.name in UNTRAINED


def _seeds(groups: list[Group]) -> str:
    seeds = {tuple(run.config.seed for run in group.probed) for group in groups}
    return "The configurations were not run with the same seeds." if len(seeds) > 1 else ""


def _samples(groups: list[Group]) -> str:
    seen = {run.summary["samples_seen"] for group in groups for run in group.probed}
    if len(seen) < 2:
        return ""
    return f"Training lengths differ, from {count(min(seen))} to {count(max(seen))} samples seen."


def _training(groups: list[Group]) -> str:
    """Of what a training is, the two that are most often chosen a configuration: learning rate and batch size."""
    chosen = [group.config.training for group in groups]
    values: dict[str, set[float | None]] = {
        "learning rates": {one.learning_rate for one in chosen},
        "batch sizes": {one.batch_size for one in chosen},
    }
    differing = [
        f"{what} ({', '.join(sorted(_known(value) for value in found))})"
        for what, found in values.items()
        if len(found) > 1
    ]
    return f"The trainings differ in their {' and '.join(differing)}." if differing else ""


def _known(value: float | None) -> str:
    return "not said" if value is None else f"{value:g}"


def _backbones(groups: list[Group]) -> str:
    names = sorted({group.config.backbone.name for group in groups})
    return f"The configurations are not all on one backbone: {', '.join(names)}." if len(names) > 1 else ""


def _probe_settings(groups: list[Group]) -> str:
    settings = {
        json.dumps({key: value for key, value in group.settings.items() if key.startswith("evaluation.")})
        for group in groups
    }
    protocols = {run.probe["protocol"] for group in groups for run in group.probed if run.probe is not None}
    if len(settings) < 2 and len(protocols) < 2:
        return ""
    return "The probes were not all made with the same settings; their accuracies do not compare strictly."


def _embeddings(groups: list[Group]) -> str:
    embeddings: dict[str, set[str]] = {}
    for group in groups:
        chosen = group.config.backbone
        embeddings.setdefault(chosen.name, set()).add(
            f"{chosen.embedding} {chosen.latent_dim if chosen.embedding == 'latent' else ''}"
        )
    mixed = [name for name, kinds in embeddings.items() if len(kinds) > 1]
    return f"On {', '.join(mixed)} the configurations do not share one kind of embedding." if mixed else ""


def _code(groups: list[Group]) -> str:
    commits = {str(run.record.get("git")) for group in groups for run in group.probed}
    versions = {json.dumps(run.record.get("versions"), sort_keys=True) for group in groups for run in group.probed}
    if len(commits) > 1 or len(versions) > 1:
        return "The runs were not all made with the same code or library versions; see the last section."
    if any(commit.endswith("-dirty") for commit in commits):
        return "The code had changes that were not committed when the runs were made."
    return ""
