"""The Source protocol: what a registered dataset is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

from ssl_bench.config import Options
from ssl_bench.data.images import ImageData


class Source(Options):
    """Where a dataset comes from: its fields are the dataset's own options (``dataset.KEY=VALUE``).

    A third-party dataset subclasses this and is named in the entry-point group ``ssl_bench.datasets``.
    """

    @abstractmethod
    def load(self, roots: Sequence[Path], *, download: bool) -> ImageData:
        """The whole dataset, in memory.

        Args:
            roots: Folders to look in, first hit wins; files are fetched into (and written beside) the first.
            download: Whether the network may be used.

        Raises: UserError if the data are not there (saying where to put them), or a file is corrupt (naming it).
        """
