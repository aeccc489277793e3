"""Files of weights: read without unpickling objects, and entered in a network with nothing left unsaid."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ssl_bench.encoders.matching import Match, Renaming, match_state
from ssl_bench.errors import UserError
from ssl_bench.files import given_path

# Sub-dictionaries of a checkpoint that hold tensors, but no weights.
NOT_WEIGHTS = re.compile(r"optim|sched|scaler|amp$|callback|loops|rng|random|hyper", re.IGNORECASE)
SHOWN = 5
# Containers in containers of a checkpoint.
DEEPEST = 20


@dataclass(frozen=True)
class Loaded:
    """What of a file went where. ``others`` are further copies of the encoder, such as a momentum encoder's.

    ``set_aside`` counts the file's keys that are no encoder, by the part they belong to.
    """

    file: str
    format: str
    prefix: str
    names: str
    matched: int
    set_aside: dict[str, int]
    missing: list[str]
    unexpected: list[str]
    mismatched: list[str]
    others: list[str]


@dataclass(frozen=True)
class Weights:
    """The tensors of a file, by their names in it. ``partial`` allows keys that do not match."""

    file: str
    tensors: dict[str, Tensor]
    partial: bool = False

    def match(self, network: nn.Module, renamings: tuple[Renaming, ...] = ()) -> Match:
        """How the file's keys and a network's belong together."""
        return match_state(shapes(network), self.tensors, renamings)

    def load(self, network: nn.Module, match: Match, target: str) -> Loaded:
        """Enter the weights in the network.

        Raises: UserError if nothing matches, or, unless ``partial``, if any key does not.
        """
        check_match(match, self, shapes(network), target)
        found = {key: self.tensors[place] for key, place in match.found.items()}
        network.load_state_dict({**network.state_dict(), **found})
        return Loaded(
            file=self.file,
            format="safetensors" if _is_safetensors(Path(self.file)) else "torch",
            prefix=match.prefix,
            names=match.names,
            matched=len(match.found),
            set_aside=match.set_aside,
            missing=match.missing,
            unexpected=match.unexpected,
            mismatched=_mismatches(match, self, shapes(network)),
            others=match.others,
        )


def shapes(network: nn.Module) -> dict[str, torch.Size]:
    """The shape of each tensor of a network's state, by key."""
    return {key: value.shape for key, value in network.state_dict().items() if isinstance(value, Tensor)}


def load_state(file: str | Path) -> dict[str, Tensor]:
    """The weights of a ``.safetensors`` file or of a torch file, by key.

    Torch files are read with ``weights_only=True``: nothing is unpickled but tensors and plain containers.
    Containers are unwrapped (``state_dict``, ``model``, ``student`` and the like, nested); where one level holds
    several, their names stay in front of the keys.

    Raises: UserError if the file is not there, is damaged, holds other objects, or holds no tensors.
    """
    path = given_path(str(file), "weights")
    if not path.is_file():
        raise UserError(f"weights {path}: there is no such file")
    content = _read(path)
    try:
        state = _unwrap(content)
    except UserError as error:
        raise UserError(f"weights {path}: {error}") from error
    if not state:
        raise UserError(f"weights {path}: the file holds no tensors with names")
    return state


def check_match(match: Match, weights: Weights, wanted: Mapping[str, torch.Size], target: str) -> None:
    """Refuse weights that do not fit.

    Raises: UserError, with examples of each kind of misfit and how many there are.
    """
    if not match.found:
        raise UserError(
            f"weights {weights.file}: nothing in it fits {target}: the file has {_some(list(weights.tensors))}; the "
            f"encoder has {_some(list(wanted))}; name the architecture the weights were trained in"
        )
    kinds = {
        "missing in the file": match.missing,
        "unexpected": match.unexpected,
        "of another shape": _mismatches(match, weights, wanted),
    }
    if weights.partial or not any(kinds.values()):
        return
    misfits = "; ".join(f"{len(keys)} {kind}: {_some(keys)}" for kind, keys in kinds.items() if keys)
    raise UserError(
        f"weights {weights.file} do not fit {target} (prefix {match.prefix!r}, {len(match.found)} keys match): "
        f"{misfits}; name the architecture (and image_size) they were trained in, or partial=true to load what fits"
    )


def _mismatches(match: Match, weights: Weights, wanted: Mapping[str, torch.Size]) -> list[str]:
    return [
        f"{key} (file {tuple(weights.tensors[place].shape)}, encoder {tuple(wanted[key])})"
        for key, place in match.mismatched.items()
    ]


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:SHOWN]) + (", ..." if len(keys) > SHOWN else "")


def _is_safetensors(path: Path) -> bool:
    return path.suffix.lower() == ".safetensors"


def _read(path: Path) -> Any:
    try:
        if _is_safetensors(path):
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        other = re.search(r"GLOBAL ([\w.]+)", str(error))
        if other is None:
            raise UserError(f"weights {path}: it is no torch file, or damaged, or holds more than tensors") from error
        raise UserError(
            f"weights {path}: it holds Python objects ({other[1]}), which are never unpickled here; on a machine where "
            "you trust the file, save its weights alone: torch.save(torch.load(FILE, weights_only=False)[KEY], NEW), "
            "where KEY is mostly 'state_dict' or 'model'"
        ) from error
    except Exception as error:  # whatever the damage makes torch stumble on
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"weights {path}: cannot be read, perhaps damaged: {reason}") from error


def _unwrap(content: Any, depth: int = 0) -> dict[str, Tensor]:
    """All weights in nested containers. A container alone at its level leaves no trace in the keys.

    Raises: UserError for containers without an end: one may hold itself.
    """
    if depth > DEEPEST:
        raise UserError(f"containers are nested more than {DEEPEST} deep")
    if not isinstance(content, Mapping):
        return {}
    named = {key: value for key, value in content.items() if isinstance(key, str)}
    tensors = {key: value.detach() for key, value in named.items() if isinstance(value, Tensor)}
    inner = {
        key: state
        for key, value in named.items()
        if isinstance(value, Mapping) and not NOT_WEIGHTS.search(key) and (state := _unwrap(value, depth + 1))
    }
    if not tensors and len(inner) == 1:
        return next(iter(inner.values()))
    return tensors | {f"{name}.{key}": tensor for name, state in inner.items() for key, tensor in state.items()}
