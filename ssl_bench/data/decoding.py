"""Image files to pixels, in as many processes as there are processors. Imports no torch, which each of them would."""

from __future__ import annotations

import multiprocessing
import os
import signal
import stat
import threading
import warnings
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from ssl_bench.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")

# Images a process decodes at a time.
CHUNK = 32
# By Pillow's names; MPO is read as JPEG. Its other decoders (one of them starts Ghostscript) are for other files.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")


def decode_files(
    files: Sequence[str], size: int, workers: int | None = None
) -> Generator[NDArray[np.uint8], None, None]:
    """The pixels of image files, some files at a time, in their order.

    Args:
        files: Their paths.
        size: Side of the images in pixels.
        workers: Processes that decode; as many as there are processors by default. The pixels do not depend on them.

    Shapes: -> ``(n, 3, size, size)`` each.

    Raises: UserError that names the first file that cannot be decoded (:func:`decode_image`).
    """
    return _in_processes(_decode, files, size, workers)


def why_broken(files: Sequence[str], size: int, workers: int | None = None) -> Generator[list[str | None], None, None]:
    """Why image files cannot be decoded, ``None`` for those that can; some files at a time, in their order."""
    return _in_processes(_reasons, files, size, workers)


def _in_processes(
    work: Callable[[Sequence[str], int], T], files: Sequence[str], size: int, workers: int | None
) -> Generator[T, None, None]:
    parts = [files[start : start + CHUNK] for start in range(0, len(files), CHUNK)]
    workers = min(workers or _processors(), len(parts))
    if workers <= 1:
        yield from (work(part, size) for part in parts)
        return
    waiting: deque[Future[T]] = deque()
    pool = ProcessPoolExecutor(workers, initializer=_be_a_worker)
    try:
        for part in parts:
            waiting.append(pool.submit(work, part, size))
            # No more than this is ever decoded ahead: whoever takes the pixels may be slower than the workers.
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise UserError(
            "a process that decodes images ended by itself: is there memory enough? A script of your own must start "
            "its work under `if __name__ == '__main__':`"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def decode_image(path: str | os.PathLike[str], size: int) -> NDArray[np.uint8]:
    """One image file as pixels. Shapes: ``(size, size, 3)``.

    The file is one of :data:`FORMATS`, whatever its name says: no other decoder is tried on it.

    Raises: UserError that names the file if it is broken, no regular file, not 8 bits a channel, holds several images,
        or has more pixels than Pillow's ``MAX_IMAGE_PIXELS`` (89 million), which may be a few bytes made to fill the
        memory.
    """
    from PIL import Image as images

    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise OSError("it is no regular file")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata; pixels that are not there are errors
            warnings.simplefilter("error", images.DecompressionBombWarning)
            with images.open(path, formats=FORMATS) as image:
                deep = image.mode.startswith(("I", "F"))
                # What phones write as MPO is a photograph with smaller ones behind it.
                several = getattr(image, "is_animated", False) and image.format != "MPO"
                pixels = None if deep or several else np.asarray(fit_square(image, size))
    except Exception as error:  # decoders of broken files raise a dozen different types
        raise UserError(f"{path}: not readable as an image: {type(error).__name__}: {error}") from error
    if pixels is None:
        what = "has more than 8 bits a channel: convert it to 8 bits" if deep else "holds several images: keep one"
        raise UserError(f"{path}: {what} first, or leave such files out with dataset.skip_broken=true")
    return pixels


def fit_square(image: Image, size: int) -> Image:
    """RGB, short side scaled to ``size`` (bilinear, antialiased), the centre square cut out."""
    from PIL import Image as images
    from PIL import ImageOps

    return ImageOps.fit(image.convert("RGB"), (size, size), images.Resampling.BILINEAR)


def _decode(files: Sequence[str], size: int) -> NDArray[np.uint8]:
    made = np.empty((len(files), 3, size, size), dtype=np.uint8)
    for image, file in zip(made, files, strict=True):
        image[:] = decode_image(file, size).transpose(2, 0, 1)
    return made


def _reasons(files: Sequence[str], size: int) -> list[str | None]:
    reasons: list[str | None] = []
    for file in files:
        try:
            decode_image(file, size)
            reasons.append(None)
        except UserError as error:
            reasons.append(str(error))
    return reasons


def _processors() -> int:
    """How many processors this process may use; one where it may have no processes of its own."""
    if multiprocessing.current_process().daemon:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _be_a_worker() -> None:
    """Leave an interrupt to the process that waits for the pixels, and end when that one does, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
