"""Files as disks and strangers leave them: real ones with bytes changed or gone, and bytes that are no such file."""

from __future__ import annotations

import io
import json
from functools import cache
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from PIL import Image
from safetensors.torch import save

from campaigns.words import SCALARS

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")


def mutated(originals: list[bytes]) -> SearchStrategy[bytes]:
    """One of some files, with a few bytes changed, its end gone, a piece doubled; or bytes of no file."""
    edits = st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=6)
    return st.builds(_mutate, st.sampled_from(originals), edits, st.none() | st.integers(0, 2**16)) | st.binary(
        max_size=80
    )


def _mutate(content: bytes, edits: list[tuple[int, int]], end: int | None) -> bytes:
    made = bytearray(content)
    for place, value in edits:
        made[place % len(made)] = value
    return bytes(made if end is None else made[: end % len(made)])


@cache
def images() -> list[bytes]:
    """A small image in each format that is read."""
    pixels = np.random.default_rng(0).integers(0, 256, (9, 8, 3), dtype=np.uint8)
    made = []
    for kind in FORMATS:
        for mode in ("RGB", "L"):
            stream = io.BytesIO()
            Image.fromarray(pixels).convert(mode).save(stream, kind)
            made.append(stream.getvalue())
    return made


@cache
def archives() -> list[bytes]:
    """A small dataset, packed and not."""
    images, labels = np.zeros((8, 4, 4), np.uint8), np.arange(8) % 2
    made = []
    for write in (np.savez, np.savez_compressed):
        stream = io.BytesIO()
        write(stream, train_images=images, train_labels=labels, test_images=images, test_labels=labels)
        made.append(stream.getvalue())
    return made


@cache
def weights() -> list[bytes]:
    """Files of torch: nested, and in the old form."""
    state = {"state_dict": {"model": {"a.weight": torch.zeros(3, 4), "a.bias": torch.zeros(3)}, "epoch": 3}}
    made = []
    for new in (True, False):
        stream = io.BytesIO()
        torch.save(state, stream, _use_new_zipfile_serialization=new)
        made.append(stream.getvalue())
    return made


@cache
def safetensors() -> list[bytes]:
    """A file of safetensors."""
    return [save({"a.weight": torch.zeros(3, 4), "a.bias": torch.zeros(3)})]


def changed_json(text: str) -> SearchStrategy[str]:
    """A JSON text with one of its values replaced, gone, or of another kind."""
    places = _places(json.loads(text))
    junk: SearchStrategy[Any] = SCALARS | st.just([]) | st.just({}) | st.just([{}])
    return st.builds(
        lambda place, value, gone: _change(text, place, value, gone), st.sampled_from(places), junk, st.booleans()
    )


def _places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else []
    return [place, *(found for key, below in inner for found in _places(below, (*place, key)))]


def _change(text: str, place: tuple[Any, ...], value: Any, gone: bool) -> str:
    root = {"": json.loads(text)}
    here: Any = root
    *above, last = ("", *place)
    for key in above:
        here = here[key]
    if gone and place:
        del here[last]
    else:
        here[last] = value
    return json.dumps(root[""])
