"""What the runs of a finding came to: rows of summary.json, sorted by configuration and seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ssl_bench.errors import UserError

Row = Mapping[str, Any]
BySeed = dict[int, float]
Value = Callable[[Row], float | None]


@dataclass(frozen=True)
class Evidence:
    """Rows of each comparison, its reference lines included, and the answers of the closed form, by name."""

    rows: dict[str, list[Row]]
    alignments: dict[str, dict[str, Any]]

    def every(self) -> list[Row]:
        """The rows of all comparisons."""
        return [row for rows in self.rows.values() for row in rows]


def by_seed(rows: Iterable[Row], value: Value) -> BySeed:
    """A value of each finished run that has one, by seed.

    Raises: UserError if two runs have one seed: they are of two configurations, where a judge looks for one.
    """
    found: BySeed = {}
    for row in rows:
        one = value(row) if row["status"] == "finished" else None
        if one is not None and row["seed"] in found:
            raise UserError(
                f"{row['directory']} is a second run of seed {row['seed']} of what the judge takes for one "
                "configuration: a finding compares one of each kind"
            )
        if one is not None:
            found[row["seed"]] = one
    return found


def select(rows: Iterable[Row], **wanted: Any) -> list[Row]:
    """The rows whose entries are as wanted; ``objective="simclr"``, ``noise=None``."""
    return [row for row in rows if all(row.get(key) == value for key, value in wanted.items())]


def linear(row: Row) -> float | None:
    """Linear probe of the last snapshot."""
    return _probe(row, "linear_top1")


def nearest(row: Row) -> float | None:
    """k-NN of the last snapshot."""
    return _probe(row, "knn_top1")


def own_classifier(row: Row) -> float | None:
    """Test accuracy of the objective's own classifier."""
    return _probe(row, "head_top1")


def total_error(row: Row) -> float | None:
    """Squared error of the reconstruction of test images over their variance: all components together."""
    bands = (row.get("spectrum") or {}).get("pca") or []
    if not bands or any(band["relative_error"] is None for band in bands):
        return None
    whole = sum(band["variance_fraction"] for band in bands)
    return float(sum(band["relative_error"] * band["variance_fraction"] for band in bands) / whole)


def gamma(quantity: str, basis: str = "pca") -> Value:
    """Rank correlation of a half-time with the number of the band: 1 is largest variance first."""

    def read(row: Row) -> float | None:
        value = (row.get("spectrum") or {}).get("order", {}).get(basis, {}).get(quantity)
        return None if value is None else float(value)

    return read


def _probe(row: Row, key: str) -> float | None:
    value = (row.get("probe") or {}).get(key)
    return None if value is None else float(value)
