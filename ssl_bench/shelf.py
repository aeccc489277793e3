"""The dataset in memory and the bench made of it: one at a time, since all of a comparison may be too much."""

from __future__ import annotations

from dataclasses import dataclass

from ssl_bench.config import AnalysisConfig, DatasetConfig
from ssl_bench.data.images import ImageData
from ssl_bench.data.load import load_dataset
from ssl_bench.spectrum.bench import Bench, make_bench


@dataclass
class Shelf:
    """Room for one dataset and one bench. Whoever asks for another has these put away first."""

    _data: tuple[DatasetConfig, ImageData] | None = None
    _bench: tuple[AnalysisConfig, Bench] | None = None

    def data(self, wanted: DatasetConfig) -> ImageData:
        """A dataset, loaded unless it is the one that is here.

        Raises: UserError as :func:`load_dataset` does.
        """
        if self._data is None or self._data[0] != wanted:
            self.clear()
            self._data = wanted, load_dataset(wanted)
        return self._data[1]

    def bench(self, wanted: DatasetConfig, settings: AnalysisConfig) -> Bench:
        """The bench of a dataset, made unless it is the one that is here.

        Raises: UserError as :func:`make_bench` does.
        """
        data = self.data(wanted)
        if self._bench is None or self._bench[0] != settings:
            self._bench = None
            self._bench = settings, make_bench(data, settings)
        return self._bench[1]

    def clear(self) -> None:
        """Put everything away."""
        self._data = self._bench = None
