"""One generic registry: lazy built-in entries, a decorator, entry points of third-party packages, "did you mean"."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from ssl_bench.errors import UserError, did_you_mean

T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """Where a registered thing is, and one line on what it is (shown by ``ssl-bench list``).

    ``target`` is ``"module:attribute"``, imported only when the entry is asked for.
    """

    target: str
    summary: str


class Registry(Generic[T]):
    """Names to things of one kind.

    Looking a name up imports its module; listing names imports nothing. A third-party package adds entries through
    the entry-point group ``ssl_bench.<kind>s``; a name that exists already is refused, never overwritten.
    """

    def __init__(self, kind: str, builtin: Mapping[str, Entry]) -> None:
        self.kind = kind
        self.group = f"ssl_bench.{kind}s"
        self._lazy: dict[str, Entry] = dict(builtin)
        self._loaded: dict[str, T] = {}
        self._plugins: dict[str, EntryPoint] | None = None

    def register(self, name: str, summary: str = "") -> Callable[[T], T]:
        """Decorator that adds a thing under ``name``.

        Raises: ValueError if the name is taken.
        """

        def add(thing: T) -> T:
            if name in self:
                raise ValueError(f"{self.kind} {name!r} is registered already")
            self._loaded[name] = thing
            self._lazy[name] = Entry("", summary or (thing.__doc__ or "").strip().partition("\n")[0])
            return thing

        return add

    def get(self, name: str) -> T:
        """The thing called ``name``.

        Raises: UserError, with the nearest known name, if there is none or if a plug-in cannot be imported.
        """
        self.check(name)
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def check(self, name: object) -> None:
        """Imports nothing.

        Raises: UserError, with the nearest known name, if there is no ``name``.
        """
        if not isinstance(name, str) or name not in self:
            raise UserError(f"unknown {self.kind} {name!r}; {did_you_mean(str(name), self)}")

    def summaries(self) -> dict[str, str]:
        """Every name with one line on what it is, sorted by name; imports nothing."""
        lines = {name: entry.summary for name, entry in self._lazy.items()}
        for name, point in self._entry_points().items():
            lines[name] = f"plug-in of {point.dist.name} {point.dist.version}" if point.dist else "plug-in"
        return dict(sorted(lines.items()))

    def __contains__(self, name: str) -> bool:
        return name in self._lazy or name in self._entry_points()

    def __iter__(self) -> Iterator[str]:
        return iter(self.summaries())

    def _load(self, name: str) -> T:
        if name in self._lazy:
            module, _, attribute = self._lazy[name].target.partition(":")
            loaded: T = getattr(importlib.import_module(module), attribute)
            return loaded
        point = self._entry_points()[name]
        try:
            plugin: T = point.load()
        except Exception as error:  # third-party code: anything may come out of its import
            raise UserError(
                f"{self.kind} {name!r} of plug-in {point.value!r} cannot be imported: {type(error).__name__}: {error}"
            ) from error
        return plugin

    def _entry_points(self) -> dict[str, EntryPoint]:
        if self._plugins is None:
            self._plugins = {}
            for point in entry_points(group=self.group):
                if point.name in self._lazy or point.name in self._plugins:
                    raise UserError(
                        f"plug-in {point.value!r} wants the {self.kind} name {point.name!r}, which is taken; "
                        "rename it in that package's entry points"
                    )
                self._plugins[point.name] = point
        return self._plugins
