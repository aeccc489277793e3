"""What several runs say together: which band each configuration learns first, and what foretells the probe."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssl_bench.config import Config, identity
from ssl_bench.corrected import holm
from ssl_bench.errors import UserError
from ssl_bench.files import read_json
from ssl_bench.runs.directory import RunDirectory
from ssl_bench.runs.summary import configuration_name
from ssl_bench.spectrum.names import BASES, HALF_TIMES

HalfTimes = list[float | None]


@dataclass(frozen=True)
class Analyzed:
    """A trained run with its spectra."""

    run: RunDirectory
    config: Config
    spectrum: Mapping[str, Any]
    images: str  # which, and how they were measured: runs that differ in this do not compare

    @property
    def configuration(self) -> str:
        """What it shares with runs that differ in the seed alone."""
        return identity(self.config.model_copy(update={"seed": 0}))


@dataclass(frozen=True)
class Configuration:
    """Runs that differ in the seed alone, and their half-times by basis and quantity."""

    members: list[Analyzed]
    times: dict[tuple[str, str], list[HalfTimes]]


def band_order(directory: str | Path) -> dict[str, Any]:
    """Which band each configuration of a comparison learns first, and whether two of them differ in that.

    Args:
        directory: The ``--out`` of a comparison, or a folder of runs.

    Returns: What :func:`order_of_runs` does.

    Raises: UserError if no trained run there has been analyzed.
    """
    folder = Path(directory)
    places = [file.parent for file in sorted(folder.rglob("run.json"))]
    found = order_of_runs([RunDirectory(place) for place in places])
    if not found["configurations"]:
        raise UserError(f"{folder} holds no trained run with spectra: give the --out of compare, or run analyze first")
    return found


def order_of_runs(runs: Sequence[RunDirectory]) -> dict[str, Any]:
    """Order of half-times for each configuration, and a permutation test for each two on the same images and bands.

    Half-times are those of the reconstruction's error (``half_time``, where there is a reconstruction) and of
    decodability. Seeds are the samples. See :mod:`ssl_bench.spectrum.ordering` for what is computed.

    Returns: ``configurations``, each with ``name``, ``id``, ``runs``, and the order by basis and quantity; ``tests``,
    one for each pair, basis and quantity: ``paired`` over the ``seeds`` both have where these are two at least, with
    ``p_holm``, corrected over the pairs.
    """
    groups: dict[tuple[str, str], list[Analyzed]] = {}
    for one in _analyzed(runs):
        groups.setdefault((one.images, one.configuration), []).append(one)
    found = [Configuration(members, _times(members)) for members in groups.values()]
    pairs = itertools.combinations(found, 2)
    tests = [test for first, second in pairs for test in _tests(first, second)]
    return {"configurations": [_entry(one) for one in found], "tests": _corrected(tests)}


def _corrected(tests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each test with ``p_holm``: p corrected over all pairs of configurations, for its basis and quantity."""
    families: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for test in tests:
        families.setdefault((test["basis"], test["quantity"]), []).append(test)
    for family in families.values():
        for test, corrected in zip(family, holm([test["p"] for test in family]), strict=True):
            test["p_holm"] = corrected
    return tests


def _times(members: Sequence[Analyzed]) -> dict[tuple[str, str], list[HalfTimes]]:
    """Half-times a run, by basis and quantity; without what a run lacks, or was measured in other bands."""
    times: dict[tuple[str, str], list[HalfTimes]] = {}
    for basis, quantity in itertools.product(BASES, HALF_TIMES.values()):
        each = [_half_times(one, basis, quantity) for one in members]
        known = [one for one in each if one is not None]
        if len(known) == len(each) and len({_edges(one, basis) for one in members}) == 1:
            times[basis, quantity] = known
    return times


def _entry(one: Configuration) -> dict[str, Any]:
    """The order of one configuration, by basis and quantity."""
    from ssl_bench.spectrum.ordering import summarise_order

    first = one.members[0]
    entry: dict[str, Any] = {
        "name": configuration_name(first.config),
        "id": first.configuration,
        "runs": [member.run.path.name for member in one.members],
    }
    for (basis, quantity), per_seed in one.times.items():
        bands = first.spectrum[basis]
        variance = [band["variance_fraction"] / max(band["directions"], 1) for band in bands]
        summary = summarise_order(per_seed, variance, [band["frequency"] for band in bands])
        entry.setdefault(basis, {})[quantity] = summary
    return entry


def _tests(first: Configuration, second: Configuration) -> Iterator[dict[str, Any]]:
    """Whether two configurations differ, for each basis and quantity both have on the same images and bands.

    Over the seeds they share, two at least; where they share fewer, their runs are taken to be independent.
    """
    from ssl_bench.spectrum.ordering import paired_permutation_test, permutation_test

    seeds = [[member.config.seed for member in one.members] for one in (first, second)]
    shared = sorted(set(seeds[0]) & set(seeds[1]))
    paired = len(shared) > 1
    one, other = first.members[0], second.members[0]
    for basis, quantity in first.times:
        comparable = one.images == other.images and _edges(one, basis) == _edges(other, basis)
        if comparable and (basis, quantity) in second.times:
            names = {"first": configuration_name(one.config), "second": configuration_name(other.config)}
            times = first.times[basis, quantity], second.times[basis, quantity]
            if paired:
                own = [[each[known.index(seed)] for seed in shared] for each, known in zip(times, seeds, strict=True)]
                result = paired_permutation_test(own[0], own[1])
            else:
                result = permutation_test(*times)
            ids = {"first_id": one.configuration, "second_id": other.configuration}
            about = {"basis": basis, "quantity": quantity, "paired": paired, "seeds": shared if paired else []}
            yield {**names, **ids, **about, **result}


def label_free(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Rank correlation of each metric that needs no label with the linear probe, over all runs of a comparison.

    Args:
        rows: Rows of summary.json; those without a probe or spectra are left out.

    Returns: by metric, what :func:`ssl_bench.evaluation.metrics.correlation.rank_correlation` does.
    """
    from ssl_bench.evaluation.metrics.correlation import rank_correlation

    known = [
        row
        for row in rows
        if row["probe"] is not None and row["spectrum"] is not None and row["spectrum"].get("embedding")
        # Metrics are of the embedding: a probe of anything else is another question.
        if row["probe"].get("feature_point") in (None, "embedding")
    ]
    names = list(dict.fromkeys(name for row in known for name in row["spectrum"]["embedding"]))
    probes = [row["probe"]["linear_top1"] for row in known]
    return {name: rank_correlation([row["spectrum"]["embedding"].get(name) for row in known], probes) for name in names}


def _analyzed(runs: Sequence[RunDirectory]) -> list[Analyzed]:
    """The runs that were trained, and analyzed from their start to their end."""
    found = []
    for run in runs:
        if not run.finished or not run.spectrum_file.exists():
            continue
        spectrum = read_json(run.spectrum_file)
        if followed(run, spectrum):
            images = str(run.record()["dataset"]["fingerprint"])
            how = json.dumps([spectrum.get("protocol"), spectrum.get("settings")], sort_keys=True)
            found.append(Analyzed(run, run.config(), spectrum, f"{images} {how}"))
    return found


def followed(run: RunDirectory, spectrum: Mapping[str, Any]) -> bool:
    """Whether spectra say when: of a trained run, from before its training on, no snapshot there is left out.

    From its last snapshot alone a run's half-times are not known, which is not the same as never.
    """
    steps = {row["step"] for row in spectrum["snapshots"]}
    whole = {0, run.last_step} <= steps and set(run.snapshots()) <= steps
    return run.last_step > 0 and len(steps) > 2 and whole


def _edges(one: Analyzed, basis: str) -> tuple[tuple[float, float], ...]:
    return tuple((band["low"], band["high"]) for band in one.spectrum.get(basis, []))


def _half_times(one: Analyzed, basis: str, quantity: str) -> HalfTimes | None:
    """Half-times a band; ``None`` for a quantity the objective does not have."""
    value = next(name for name, key in HALF_TIMES.items() if key == quantity)
    bands = one.spectrum.get(basis, [])
    if not bands or "directions" not in bands[0]:
        return None  # spectra of an earlier version
    if any(band[value] is None for band in bands):
        return None
    return [band[quantity] for band in bands]
