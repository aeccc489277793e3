"""A small disk that can be filled up: a tmpfs where that may be mounted, else a limit on the size of files."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

ROOM = 512 * 2**20


class Disk:
    """Where a comparison is written."""

    def __init__(self, folder: Path, is_tmpfs: bool) -> None:
        self.folder, self.is_tmpfs = folder, is_tmpfs

    def fill(self, random: Random) -> int | None:
        """Leave little or no room; returns the largest file that may be written, where that is the way.

        A file has what is not yet written of some file's size: so it is full at another moment each time.
        """
        if not self.is_tmpfs:
            return random.randrange(64, 200_000)
        about = os.statvfs(self.folder)
        used = (about.f_blocks - about.f_bfree) * about.f_frsize
        self._resize(used + about.f_frsize * int(10 ** random.uniform(0, 3.3)))
        return None

    def free(self) -> None:
        """Give the room back."""
        if self.is_tmpfs:
            self._resize(ROOM)

    def _resize(self, size: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(self.folder)], check=True)


@contextmanager
def small_disk(folder: Path) -> Iterator[Disk]:
    """A disk at a folder while inside."""
    folder.mkdir(parents=True, exist_ok=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    try:
        yield Disk(folder, made.returncode == 0)
    finally:
        if made.returncode == 0:
            subprocess.run(["umount", str(folder)], check=False)
