"""What is done with an odd input, and the promise it is held to: it works, or it is refused in one line."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from ssl_bench.cli import main
from ssl_bench.config import Config, DatasetConfig, validate
from ssl_bench.data.arrays import read_arrays
from ssl_bench.data.decoding import decode_image
from ssl_bench.data.images import ImageData
from ssl_bench.data.load import load_dataset
from ssl_bench.data.subspace import project
from ssl_bench.encoders.weights import load_state
from ssl_bench.errors import UserError
from ssl_bench.matrix import cells
from ssl_bench.noise import canonical, make_noise
from ssl_bench.overrides import load_config
from ssl_bench.targets import canonical_target, make_target

WORKED, REFUSED = "worked", "refused"
LONGEST_LINE = 4000
SIDE = 8


class Broken(AssertionError):
    """An input after which the promise did not hold."""


def attempt(work: Callable[[], object]) -> str:
    """Do something with an input: whether it worked or was refused.

    Raises: Broken for a refusal that is not one line; whatever else ``work`` raises, which is as much a broken promise.
    """
    try:
        work()
    except UserError as error:
        _check_line(str(error))
        return REFUSED
    return WORKED


def _check_line(line: str) -> None:
    if not line.strip() or "\n" in line or len(line) > LONGEST_LINE:
        raise Broken(f"no line for people: {line[:300]!r} ({len(line)} letters)")


def settings(file: str | Path | None, words: Sequence[str]) -> None:
    """Read settings, and check them as ``pretrain`` and ``compare`` do."""
    raw = load_config(file, words)
    with contextlib.suppress(UserError):
        cells({key: value for key, value in raw.items() if key != "baselines"})
    validate(Config, raw, "settings")


def settings_text(text: str) -> str:
    """A YAML file of settings."""
    file = Path("settings.yaml")
    file.write_bytes(text.encode("utf-8", errors="surrogateescape" if _is_escaped(text) else "replace"))
    return attempt(lambda: settings(file, []))


def _is_escaped(text: str) -> bool:
    return all(not 0xD800 <= ord(letter) <= 0xDFFF or 0xDC80 <= ord(letter) <= 0xDCFF for letter in text)


def noise(text: str) -> str:
    """A noise: read, written in its one form, fitted to images and drawn."""

    def work() -> None:
        written = canonical(text)
        if canonical(written) != written:
            raise Broken(f"{text!r} is written {written!r}, and that {canonical(written)!r}")
        data = few_images()
        drawn = make_noise(text).prepare(data).at(0.5)
        images = data.standardised(data.train.images[:4])
        made = drawn.sample(images, torch.Generator().manual_seed(0))
        if made.shape != images.shape or not bool(torch.isfinite(made).all()):
            raise Broken(f"{text!r} makes {tuple(made.shape)}, not all of it finite")
        drawn.second_map(torch.eye(images[0].numel(), dtype=torch.float64), data.shape)

    return attempt(work)


def target(text: str) -> str:
    """A target: read, written in its one form, fitted to images and asked for."""

    def work() -> None:
        if canonical_target(canonical_target(text)) != canonical_target(text):
            raise Broken(f"{text!r} is written {canonical_target(text)!r}")
        data = few_images()
        made = make_target(text).prepare(data).ask(data.standardised(data.train.images[:4]))
        if not bool(torch.isfinite(made).all()):
            raise Broken(f"{text!r} asks for what is not finite")

    return attempt(work)


def subspace(text: str) -> str:
    """A subspace of a dataset."""
    return attempt(lambda: project(few_images(), text).fingerprint)


def image(content: bytes) -> str:
    """An image file."""
    file = Path("image.png")
    file.write_bytes(content)

    def work() -> None:
        if decode_image(file, SIDE).shape != (SIDE, SIDE, 3):
            raise Broken("the image has another shape")

    return attempt(work)


def archive(content: bytes) -> str:
    """A ``.npz`` file of a dataset."""
    file = Path("mine.npz")
    file.write_bytes(content)
    return attempt(lambda: read_arrays(file, "mine"))


def weights(content: bytes, ending: str) -> str:
    """A file of weights."""
    file = Path(f"weights{ending}")
    file.write_bytes(content)
    return attempt(lambda: load_state(file))


def command(words: Sequence[str], out: Path | None = None) -> str:
    """A command line, in this process; ``out`` must be as it was before if the command is refused.

    Raises: Broken if its exit status is none of 0 and 2, or 1 of a run that diverged; if it is 2 and standard error
        does not end in one line, or ``out`` has changed.
    """
    before = _listing(out)
    printed, said = io.StringIO(), io.StringIO()
    status: Any = 0
    argv = mock.patch.object(sys, "argv", ["ssl-bench", *words])
    with argv, contextlib.redirect_stdout(printed), contextlib.redirect_stderr(said):
        try:
            main()
        except SystemExit as end:
            status = end.code
    if status == 0:
        return WORKED
    last = (said.getvalue().strip().splitlines() or [""])[-1]
    if status == 1 and ("the loss became" in last or "are not finite" in last):
        return WORKED
    if status != 2 or "Traceback" in said.getvalue():
        raise Broken(f"{list(words)!r} ends with {status}: {said.getvalue()[-500:]!r}")
    if "ssl-bench: a command is needed" not in said.getvalue():
        if not last.startswith("ssl-bench: "):
            raise Broken(f"{list(words)!r} ends with {last!r}")
        _check_line(last)
    if _listing(out) != before:
        raise Broken(f"{list(words)!r} was refused ({last}) and left something behind: {_listing(out)}")
    return REFUSED


def _listing(folder: Path | None) -> dict[str, tuple[int, int]]:
    if folder is None or not folder.exists():
        return {}
    found = [folder, *folder.rglob("*")]
    return {str(file): (file.stat().st_size, file.stat().st_mtime_ns) for file in found if file.is_file()}


@cache
def few_images() -> ImageData:
    """Forty digits of 8 x 8 pixels."""
    return load_dataset(DatasetConfig(name="digits", limit=40, test_limit=20))


@contextlib.contextmanager
def in_folder(folder: Path) -> Iterator[None]:
    """Work in a folder, with a cache and a home of its own: what an odd input writes lands there."""
    there = {"HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache"), "WANDB_MODE": "disabled"}
    before = Path.cwd()
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    try:
        with mock.patch.dict(os.environ, there):
            yield
    finally:
        os.chdir(before)
