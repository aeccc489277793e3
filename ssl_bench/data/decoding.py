"""Image files to pixels, in as many processes as there are processors. Imports no torch, which each of them would."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import warnings
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ssl_bench.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

# Images a process decodes at a time.
CHUNK = 32


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
    parts = [files[start : start + CHUNK] for start in range(0, len(files), CHUNK)]
    workers = min(workers or _processors(), len(parts))
    if workers <= 1:
        yield from (_decode(part, size) for part in parts)
        return
    waiting: deque[Future[NDArray[np.uint8]]] = deque()
    pool = ProcessPoolExecutor(workers, initializer=_be_a_worker)
    try:
        for part in parts:
            waiting.append(pool.submit(_decode, part, size))
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

    Raises: UserError that names the file if it is broken, not 8 bits a channel, or suspiciously large.
    """
    from PIL import Image as images

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", images.DecompressionBombWarning)
            with images.open(path) as image:
                deep = image.mode.startswith(("I", "F"))
                pixels = np.asarray(fit_square(image, size))
    except Exception as error:  # decoders of broken files raise a dozen different types
        raise UserError(f"{path}: not readable as an image: {type(error).__name__}: {error}") from error
    if deep:
        raise UserError(f"{path}: has more than 8 bits a channel: convert it to 8 bits first")
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
