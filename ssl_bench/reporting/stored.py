"""Arrays beside a run's spectra: example images, reconstructions and heat maps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from ssl_bench.errors import UserError
from ssl_bench.reporting.collect import Run

Array = np.ndarray[Any, np.dtype[Any]]


def arrays(run: Run, wanted: Callable[[str], bool]) -> dict[str, Array]:
    """The arrays whose names are wanted; none where the run has no such file.

    Raises: UserError if the file is damaged.
    """
    file = run.directory.arrays_file
    if not file.exists():
        return {}
    try:
        with safe_open(file, framework="numpy") as tensors:
            return {name: tensors.get_tensor(name) for name in tensors.keys() if wanted(name)}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError) as error:
        raise UserError(
            f"{file} is damaged ({error}): delete it and run ssl-bench analyze {run.directory.path}"
        ) from error


def by_step(found: dict[str, Array], prefix: str) -> dict[int, Array]:
    """Arrays named ``PREFIX/STEP``, by step."""
    steps = {name.removeprefix(prefix + "/"): array for name, array in found.items() if name.startswith(prefix + "/")}
    return {int(step): array for step, array in sorted(steps.items(), key=lambda item: int(item[0]))}


def samples_by_step(run: Run) -> dict[int, int]:
    """Samples seen at each step that was analyzed."""
    rows = [] if run.spectrum is None else run.spectrum["snapshots"]
    return {int(row["step"]): int(row["samples_seen"]) for row in rows}
