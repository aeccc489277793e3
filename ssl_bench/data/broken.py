"""Image files that cannot be decoded: found once, known by name, and left out where the user says so."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Sequence

from rich.progress import track

from ssl_bench import terminal
from ssl_bench.data.decoded import RULE, Sample
from ssl_bench.data.decoding import CHUNK, why_broken
from ssl_bench.errors import UserError
from ssl_bench.files import cache_folder, read_json, write_json


def leave_out_broken(samples: Sequence[Sample], size: int, place: str) -> list[Sample]:
    """The samples whose files can be decoded; how many cannot, and the first of them, is said on standard error.

    Args:
        samples: Paths and labels.
        size: Side of the images in pixels.
        place: Says where the files lie: what was found of that place before is replaced.
    """
    broken = _find_broken([path for path, _ in samples], size, place)
    if broken:
        first = next(iter(broken.values()))
        said = f"{len(broken):,} of {len(samples):,} image files cannot be used and are left out; the first: {first}"
        terminal.console().print(said, markup=False, highlight=False, soft_wrap=True)
    return [sample for sample in samples if sample[0] not in broken]


def _find_broken(files: Sequence[str], size: int, place: str) -> dict[str, str]:
    """Why each file that cannot be decoded cannot be, by its path; kept in the cache as long as the files are the same.

    All of them are decoded to find out, before they are decoded for good: only who expects broken files pays for it.
    """
    stem = f"broken_{hashlib.sha256(os.fsencode(place)).hexdigest()[:8]}"
    kept = cache_folder() / f"{stem}_{_key(files, size)}.json"
    with contextlib.suppress(UserError):
        known = read_json(kept).get("broken")
        if isinstance(known, list) and all(isinstance(one, list) and len(one) == 2 for one in known):
            return {files[place]: str(reason) for place, reason in known}
    console = terminal.console()
    total, quiet = -(-len(files) // CHUNK), not terminal.shows_bars()
    found: list[str | None] = []
    with contextlib.closing(why_broken(files, size)) as looking:
        for reasons in track(
            looking, f"looking through {len(files):,} images", total, console=console, transient=True, disable=quiet
        ):
            found += reasons
    broken = [(place, reason) for place, reason in enumerate(found) if reason is not None]
    with contextlib.suppress(OSError):
        for other in kept.parent.glob(f"{stem}_*.json"):
            other.unlink(missing_ok=True)
        write_json(kept, {"broken": broken})
    return {files[place]: reason for place, reason in broken}


def _key(files: Sequence[str], size: int) -> str:
    digest = hashlib.sha256(f"{RULE} {size}".encode())
    for path in files:
        try:
            status = os.stat(path)
            known = f"{status.st_size} {status.st_mtime_ns}"
        except OSError as error:  # a link that leads nowhere
            known = str(error.errno)
        digest.update(os.fsencode(f"{known} {path}\n"))
    return digest.hexdigest()[:16]
