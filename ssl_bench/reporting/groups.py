"""Runs that differ in nothing but the seed are one configuration; configurations on the same images are one block."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ssl_bench.config import Config
from ssl_bench.reporting.collect import Notice, Run, flat_settings
from ssl_bench.reporting.spread import Spread, spread


@dataclass(frozen=True)
class Group:
    """One configuration: its runs by seed, what it is called, and whether it is a reference line."""

    runs: tuple[Run, ...]
    settings: dict[str, str]
    label: str = ""

    @property
    def config(self) -> Config:
        """The configuration of its first run; all others differ in the seed alone."""
        return self.runs[0].config

    @property
    def reference(self) -> bool:
        """Whether it is a reference line."""
        return any(run.reference for run in self.runs)

    @property
    def note(self) -> str:
        """Backbone and embedding."""
        chosen = self.config.backbone
        return chosen.name if chosen.embedding is None else f"{chosen.name}, {chosen.embedding} embedding"

    @property
    def probed(self) -> tuple[Run, ...]:
        """Its finished runs that have a probe."""
        return tuple(run for run in self.runs if run.probe is not None)

    @property
    def measured(self) -> tuple[Run, ...]:
        """Its finished runs that have spectra."""
        return tuple(run for run in self.runs if run.finished and run.spectrum is not None)

    @property
    def linear(self) -> Spread | None:
        """Linear probe over seeds; ``None`` without any."""
        return self._spread("linear_top1", "linear_interval")

    @property
    def knn(self) -> Spread | None:
        """k-NN over seeds; ``None`` without any."""
        return self._spread("knn_top1", None)

    @property
    def status(self) -> str:
        """How many runs are in which state, and how many finished ones are not probed."""
        states = [run.status if run.probe is not None or not run.finished else "not probed" for run in self.runs]
        return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))

    def _spread(self, key: str, interval: str | None) -> Spread | None:
        probes: list[dict[str, Any]] = [run.probe for run in self.probed if run.probe is not None]
        if not probes:
            return None
        single = tuple(probes[0][interval]) if interval else None
        return spread([probe[key] for probe in probes], (single[0], single[1]) if single else None)


@dataclass(frozen=True)
class Block:
    """The configurations on one dataset: those compared, best first, and the reference lines."""

    dataset: str
    main: tuple[Group, ...]
    references: tuple[Group, ...]

    @property
    def groups(self) -> tuple[Group, ...]:
        """All of them, reference lines last."""
        return self.main + self.references

    @property
    def facts(self) -> dict[str, Any]:
        """What run.json says of the dataset; empty if no run came that far."""
        for group in self.groups:
            for run in group.runs:
                if run.fingerprint is not None:
                    return dict(run.record["dataset"])
        return {}

    @property
    def chance(self) -> float | None:
        """Accuracy of always answering the commonest class."""
        value = self.facts.get("chance")
        return None if value is None else float(value)


def make_blocks(runs: Sequence[Run]) -> tuple[list[Block], list[Notice]]:
    """Sort runs into configurations and datasets.

    Returns: the blocks, and the runs left out because the same configuration and seed is there already: it would be
    counted as a further seed otherwise.
    """
    by_images: dict[tuple[str, str], list[Run]] = {}
    fingerprints: dict[str, str] = {}
    for run in runs:
        if run.fingerprint is not None:
            fingerprints.setdefault(_dataset_settings(run), run.fingerprint)
    for run in runs:
        settings = _dataset_settings(run)
        by_images.setdefault((settings, run.fingerprint or fingerprints.get(settings, "")), []).append(run)
    titles = _titles(list(by_images))
    blocks, notices = [], []
    for title, members in zip(titles, by_images.values(), strict=True):
        groups, duplicates = _group(members)
        notices += duplicates
        labelled = _label(groups)
        best_first = sorted(labelled, key=lambda group: -(group.linear.mean if group.linear else -1.0))
        main = tuple(group for group in best_first if not group.reference)
        references = tuple(group for group in best_first if group.reference)
        blocks.append(Block(title, main, references))
    return blocks, notices


def _group(runs: Sequence[Run]) -> tuple[list[Group], list[Notice]]:
    found: dict[str, dict[int, Run]] = {}
    notices = []
    # A finished run takes the place of its unfinished twin.
    for run in sorted(runs, key=lambda run: not run.finished):
        seeds = found.setdefault(json.dumps(flat_settings(run), sort_keys=True), {})
        if run.config.seed in seeds:
            notices.append(
                Notice(run.name, f"the same configuration and seed as {seeds[run.config.seed].directory.path}")
            )
        else:
            seeds[run.config.seed] = run
    groups = []
    for seeds in found.values():
        members = tuple(seeds[seed] for seed in sorted(seeds))
        groups.append(Group(members, flat_settings(members[0])))
    return groups, notices


def _label(groups: Sequence[Group]) -> list[Group]:
    """Short names: what is compared, then as many further settings as tell equal names apart."""
    several = len({group.config.backbone.name for group in groups if not _backbone_is_own(group)}) > 1
    labels = [_words(group.config, several and not _backbone_is_own(group)) for group in groups]
    named = []
    for group, label in zip(groups, labels, strict=True):
        twins = [other for other, text in zip(groups, labels, strict=True) if text == label]
        keys = sorted({key for twin in twins for key in twin.settings})
        telling = [key for key in keys if len({twin.settings.get(key) for twin in twins}) > 1]
        extra = [f"{key}={group.settings.get(key, 'null')}".replace('"', "") for key in telling]
        named.append(replace(group, label=", ".join([label, *extra])))
    return named


def _words(config: Config, with_backbone: bool) -> str:
    words = [config.objective.name]
    words += [config.noise] if config.noise else []
    words += [f"with target {config.target}"] if config.target else []
    words += [f"with views {config.views.noise}"] if config.views.noise else []
    words += [f"on {config.backbone.name}"] if with_backbone else []
    return " ".join(words)


def _backbone_is_own(group: Group) -> bool:
    """Whether the backbone is the objective itself, as the pixels are."""
    return group.config.backbone.name == group.config.objective.name


def _dataset_settings(run: Run) -> str:
    return json.dumps({key: value for key, value in flat_settings(run).items() if key.startswith("dataset.")})


def _titles(keys: Sequence[tuple[str, str]]) -> list[str]:
    """Names of datasets; of those that share one, with the settings that tell them apart, and else the fingerprint."""
    parsed = [
        {key.removeprefix("dataset."): json.loads(value) for key, value in json.loads(text).items()} for text, _ in keys
    ]
    titles = []
    for own, (_, fingerprint) in zip(parsed, keys, strict=True):
        twins = [other for other in parsed if other["name"] == own["name"]]
        telling = [key for key in own if any(other.get(key) != own[key] for other in twins)]
        given = ", ".join(f"{key}={own[key]}" for key in telling if own[key] is not None)
        same = [other for other in twins if all(other.get(key) == own[key] for key in telling)]
        more = given if len(same) == 1 else ", ".join(part for part in (given, fingerprint) if part)
        titles.append(f"{own['name']} ({more})" if len(twins) > 1 and more else str(own["name"]))
    return titles
