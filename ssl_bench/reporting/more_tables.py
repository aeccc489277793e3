"""Tables beside the linear probe: further probes, metrics that need no label, and which band first."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from ssl_bench.across_runs import label_free, order_of_runs
from ssl_bench.reporting.bands import BASES
from ssl_bench.reporting.groups import Block, Group
from ssl_bench.reporting.numbers import NOTHING, decimal, p_value, percent
from ssl_bench.reporting.tables import Cell, Row, Table
from ssl_bench.spectrum.names import BASIS_NAMES, HALF_TIMES, QUANTITY_NAMES

SHOWN_ALREADY = ("linear", "knn")
METRICS = {
    "rankme": "RankMe",
    "effective_rank": "effective rank",
    "participation_ratio": "participation ratio",
    "alpha_req": "alpha-ReQ",
    "alpha_req_r2": "its fit, R²",
    "lidar": "LiDAR",
    "alignment": "alignment",
    "uniformity": "uniformity",
    "cluster_learnability": "cluster learnability",
    "intrinsic_dimension": "intrinsic dimension",
}
# By the key of its half-time.
QUANTITY_WORDS = {key: QUANTITY_NAMES[name] for name, key in HALF_TIMES.items()}


def more_tables(block: Block) -> list[Table]:
    """All of them that have anything to say."""
    tables = [probes_table(block), metrics_table(block), *order_tables(block)]
    return [table for table in tables if table is not None]


def probes_table(block: Block) -> Table | None:
    """Every further probe of each configuration; ``None`` where only the two of every evaluation were asked for."""
    found = {group.label: _probes(group) for group in block.groups}
    names = list(dict.fromkeys(name for values in found.values() for name in values))
    if not names:
        return None
    rows = []
    for group in block.groups:
        cells = [Cell(_percents(found[group.label].get(name, []))) for name in names]
        rows.append(Row((Cell(group.label, group.note), *cells), group.reference))
    return Table(
        caption=f"Further probes on {block.dataset}: top-1 in %, mean ± sd over seeds. Protocols stand at the end.",
        columns=(Cell("configuration"), *(Cell(name.replace("_", " ")) for name in names)),
        rows=tuple(rows),
    )


def metrics_table(block: Block) -> Table | None:
    """Metrics that need no label, and how each goes with the linear probe over all runs compared."""
    rows = []
    for group in block.groups:
        values = [_metric_cell(group, name) for name in METRICS]
        if any(cell.text != NOTHING for cell in values):
            rows.append(Row((Cell(group.label, group.note), *values), group.reference))
    if not rows:
        return None
    together = label_free([run.summary for group in block.main for run in group.runs if run.finished])
    cells = [_correlation_cell(together.get(name)) for name in METRICS]
    rows.append(Row((Cell("rank correlation with the linear probe", "over all runs compared"), *cells), reference=True))
    return Table(
        caption=f"The embedding of {block.dataset} without labels, at the last snapshot: mean ± sd over seeds. Whether "
        "any of these foretells a probe is a hypothesis; the last line is Spearman's correlation with the linear "
        "probe, a permutation p-value and the number of runs. Runs that share a seed or an objective are not "
        "independent. A dash: not defined, or not measured.",
        columns=(Cell("configuration"), *(Cell(title) for title in METRICS.values())),
        rows=tuple(rows),
    )


def order_tables(block: Block) -> list[Table]:
    """Which band first: the order of each configuration, and tests of each two."""
    found = order_of_runs([run.directory for group in block.main for run in group.runs])
    labels = {run.name: group.label for group in block.main for run in group.runs}
    names = {one["id"]: labels[one["runs"][0]] for one in found["configurations"]}
    rows = [
        _order_row(names[one["id"]], basis, quantity, one[basis][quantity])
        for one in found["configurations"]
        for basis in BASES
        for quantity in HALF_TIMES.values()
        if quantity in one.get(basis, {})
    ]
    if not rows:
        return []
    tables = [
        Table(
            caption=f"Which band first, on {block.dataset}: bands in the order of their median half-times, and gamma, "
            "the rank correlation of half-time with the variance of a direction (1: largest first) and with frequency "
            "(1: lowest first), median over seeds, with the range. Between bands of one time stands =; not reached are "
            "those that half of the runs never reached.",
            columns=tuple(
                Cell(text) for text in ("configuration", "of", "order of bands", "with variance", "with frequency", "n")
            ),
            rows=tuple(rows),
        )
    ]
    tests = [test for test in found["tests"] if test["basis"] in BASES and test["p"] is not None]
    if tests:
        tables.append(_tests_table(block, tests, names))
    return tables


def _tests_table(block: Block, tests: Sequence[dict[str, Any]], names: dict[str, str]) -> Table:
    rows = []
    for test in tests:
        pair = f"{names[test['first_id']]} against {names[test['second_id']]}"
        cells = (
            _of(test["basis"], test["quantity"]),
            Cell(decimal(test["statistic"])),
            Cell(p_value(test["p"]), value=test["p"]),
        )
        more = (Cell(p_value(test["p_holm"]), value=test["p_holm"]), Cell(decimal(test["least_p"], 3)))
        count = f"{len(test['seeds'])} shared" if test["paired"] else "not shared"
        rows.append(Row((Cell(pair), *cells, *more, Cell(count))))
    return Table(
        caption=f"Whether two configurations learn the bands of {block.dataset} in a different order: mean difference "
        "of a band's rank, and the p-value of a permutation test that exchanges the two runs of a seed (where fewer "
        "than two seeds are shared, all runs). Corrected by Holm over the pairs of configurations, of each basis and "
        "quantity. The least p is what so few seeds can give at all, before correction.",
        columns=tuple(
            Cell(text) for text in ("configurations", "of", "rank difference", "p", "p corrected", "least p", "seeds")
        ),
        rows=tuple(rows),
    )


def _order_row(name: str, basis: str, quantity: str, order: dict[str, Any]) -> Row:
    gammas = [order["gamma"][which] for which in ("variance", "frequency")]
    cells = [
        Cell(decimal(one["median"]), f"{decimal(one['min'])} to {decimal(one['max'])}" if one["n"] > 1 else "")
        for one in gammas
    ]
    return Row((Cell(name), _of(basis, quantity), _sequence(order["half_time"]), *cells, Cell(str(order["runs"]))))


def _sequence(half_times: Sequence[float | None]) -> Cell:
    """Bands by half-time, ``=`` between those of one time, and which were never reached."""
    reached: dict[float, list[int]] = {}
    for band, time in enumerate(half_times):
        if time is not None:
            reached.setdefault(time, []).append(band)
    never = [str(band) for band, time in enumerate(half_times) if time is None]
    words = " ".join("=".join(map(str, reached[time])) for time in sorted(reached))
    notes = ["all from the start"] if set(reached) == {0.0} else []
    notes += [f"not reached: {' '.join(never)}"] if never and reached else []
    return Cell(words or "none reached", "; ".join(notes))


def _of(basis: str, quantity: str) -> Cell:
    return Cell(QUANTITY_WORDS[quantity], BASIS_NAMES[basis])


def _probes(group: Group) -> dict[str, list[float]]:
    """Top-1 of every further probe at the last snapshot, by seed."""
    found: dict[str, list[float]] = {}
    for run in group.probed:
        entries = run.evaluation["snapshots"] if run.evaluation is not None else []
        probes = entries[-1].get("probes", {}) if entries else {}
        for name, one in probes.items():
            if name not in SHOWN_ALREADY:
                found.setdefault(name, []).append(one["top1"])
            for row in one.get("shots", []):
                found.setdefault(f"{row['shots']} a class", []).append(row["mean"])
    found.pop("few_shot", None)
    return found


def _metric_cell(group: Group, name: str) -> Cell:
    spectra = [run.summary["spectrum"] for run in group.measured]
    values = [spectrum["embedding"].get(name) for spectrum in spectra if spectrum and spectrum.get("embedding")]
    known = [value for value in values if value is not None]
    if not known:
        return Cell(NOTHING)
    mean = statistics.fmean(known)
    places = _places(mean)
    deviation = f" ± {decimal(statistics.stdev(known), places)}" if len(known) > 1 else ""
    return Cell(decimal(mean, places) + deviation)


def _correlation_cell(found: dict[str, Any] | None) -> Cell:
    if found is None or found["spearman"] is None:
        return Cell(NOTHING)
    return Cell(decimal(found["spearman"]), f"p {p_value(found['p'])}, n {found['n']}")


def _percents(values: Sequence[float]) -> str:
    if not values:
        return NOTHING
    mean = percent(statistics.fmean(values))
    return f"{mean} ± {percent(statistics.stdev(values))}" if len(values) > 1 else mean


def _places(value: float) -> int:
    """How many places a number of three digits has behind the point; three below 1."""
    return max(0, 3 - len(str(int(abs(value))))) if abs(value) >= 1 else 3
