"""Which key of a file is which key of an encoder: by the prefix under which most of them fit, whatever it is."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

# Words in the name of a part that is no encoder: heads, decoders, what losses keep, copies, counters.
NO_ENCODER = {
    *("head", "heads", "classifier", "classifiers", "probe", "probes", "knn", "aux", "auxlogits"),
    *("projector", "projectors", "projection", "predictor", "predictors", "prediction", "prototypes"),
    *("decoder", "decoders", "mask", "masking"),
    *("queue", "bank", "memory", "criterion", "loss", "losses", "center", "centers", "sigreg", "logit", "temperature"),
    *("metric", "metrics", "callbacks", "epoch", "step", "iteration"),
}
HEADS = {"fc", "linear"}
COPIES = {"momentum", "teacher", "target", "ema", "key", "k", "averaged"}
ONLINE = {"student", "online", "query", "q", "base"}
COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class Renaming:
    """Another way of writing the encoder's keys.

    ``first`` renames the first part of a key (a key whose first part is not in it is none of the encoder's);
    ``anywhere`` renames parts wherever they stand.
    """

    label: str
    first: Mapping[str, str] = field(default_factory=dict)
    anywhere: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, key: str) -> str:
        """The encoder's name of a key."""
        head, dot, rest = key.partition(".")
        if self.first:
            head = self.first.get(head, "")
        return ".".join(self.anywhere.get(part, part) for part in f"{head}{dot}{rest}".split("."))


AS_IS = Renaming("as in the encoder")


@dataclass(frozen=True)
class Match:
    """How the keys of a file and of an encoder belong together.

    Attributes:
        prefix: What stands before the encoder's keys in the file.
        renaming: How the file writes the keys behind it.
        found: Key of the file by the encoder's, of equal shape.
        mismatched: The same, of another shape.
        missing: Keys of the encoder that the file lacks. Counters of batch norm may be: evaluation does not use them.
        unexpected: Keys of the file that belong neither to the encoder nor to a part known to be none.
        set_aside: How many keys of the file belong to parts that are no encoder, by part.
        others: Prefixes under which as much fits, and which were not chosen.
    """

    prefix: str
    renaming: Renaming
    found: dict[str, str]
    mismatched: dict[str, str]
    missing: list[str]
    unexpected: list[str]
    set_aside: dict[str, int]
    others: list[str]

    @property
    def names(self) -> str:
        """How the file writes the keys behind the prefix, in words."""
        return self.renaming.label

    def place(self, key: str) -> str | None:
        """Where the file has a key of the encoder, of whatever shape."""
        return self.found.get(key, self.mismatched.get(key))


def match_state(
    wanted: Mapping[str, torch.Size], state: Mapping[str, Tensor], renamings: Sequence[Renaming] = ()
) -> Match:
    """Find the encoder in a file.

    The prefix is the one under which most keys fit in name and shape, then in name. Among equals an online or student
    encoder goes before one without a telling name, and that before a momentum or teacher encoder; then the shortest.

    Args:
        wanted: Shape by key of the encoder.
        state: The file's tensors by key.
        renamings: Ways of writing the keys to try beside the encoder's own.
    """
    prefix, renaming, others = _choose(wanted, state, (AS_IS, *renamings))
    found: dict[str, str] = {}
    mismatched: dict[str, str] = {}
    for place in state:
        key = renaming(place.removeprefix(prefix)) if place.startswith(prefix) else ""
        if key in wanted:
            (found if state[place].shape == wanted[key] else mismatched)[key] = place
    used = {*found.values(), *mismatched.values()}
    set_aside: Counter[str] = Counter()
    unexpected = []
    for place in state:
        if place not in used:
            part = _part_that_is_no_encoder(place, prefix, others)
            if part is None:
                unexpected.append(place)
            else:
                set_aside[part] += 1
    present = found.keys() | mismatched.keys()
    missing = [key for key in wanted if key not in present and not key.endswith(COUNTER)]
    return Match(prefix, renaming, found, mismatched, missing, unexpected, dict(set_aside), others)


def _choose(
    wanted: Mapping[str, torch.Size], state: Mapping[str, Tensor], renamings: Sequence[Renaming]
) -> tuple[str, Renaming, list[str]]:
    """The best prefix and renaming, and the other prefixes under which as many keys fit."""
    fits: Counter[tuple[str, int]] = Counter()
    names: Counter[tuple[str, int]] = Counter({("", 0): 0})
    for place, tensor in state.items():
        if place.endswith(COUNTER):
            continue  # these fit anywhere
        for prefix, rest in _splits(place):
            for index, renaming in enumerate(renamings):
                shape = wanted.get(renaming(rest))
                if shape is not None:
                    names[prefix, index] += 1
                    fits[prefix, index] += shape == tensor.shape

    def worth(candidate: tuple[str, int]) -> tuple[int, int, int, int, int]:
        prefix, index = candidate
        return fits[candidate], names[candidate], _preference(prefix), -len(prefix), -index

    best = max(names, key=worth)
    equal = {prefix for (prefix, index), count in fits.items() if count and count == fits[best]}
    return best[0], renamings[best[1]], sorted(equal - {best[0]})


def _splits(place: str) -> Iterator[tuple[str, str]]:
    """Every prefix of a key that ends before one of its parts, with the rest."""
    yield "", place
    for dot in re.finditer(r"\.", place):
        yield place[: dot.end()], place[dot.end() :]


def _preference(prefix: str) -> int:
    words = _words(prefix)
    return -1 if words & COPIES else 1 if words & ONLINE else 0


def _part_that_is_no_encoder(place: str, prefix: str, others: Sequence[str]) -> str | None:
    """The part of a file, known to be no encoder, that a key belongs to; ``None`` if there is none such.

    Parts are named beside the encoder or above it, or are the encoder's own (its classifier, its mask token).
    """
    if place.endswith(COUNTER):
        return COUNTER
    parts = place.split(".")
    depth = prefix.count(".")
    first = depth if place.startswith(prefix) else 0
    for index in range(first, min(depth + 1, len(parts))):
        if parts[index] in HEADS or _words(parts[index]) & (NO_ENCODER | COPIES):
            return ".".join(parts[: index + 1])
    return next((other.removesuffix(".") for other in others if place.startswith(other)), None)


def _words(name: str) -> set[str]:
    return set(re.split(r"[._]+", name.lower()))
