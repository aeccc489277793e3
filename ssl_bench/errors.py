"""What is said to people: the one exception a user may cause, printed as one line, exit status 2; warnings."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterable

LONGEST = 2000
CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


class UserError(Exception):
    """A mistake of the user's. The message is one line that says what is wrong and what to do about it.

    What a terminal would obey instead of showing it (escape sequences in the name of a file) is spelt out, what a URL
    says of user and password is not, and nobody reads more than 2,000 letters.
    """

    def __init__(self, message: str) -> None:
        line = CREDENTIALS.sub("***@", " ".join(message.split()))
        line = line if len(line) <= LONGEST else f"{line[:LONGEST]}..."
        super().__init__(printable(line))


class NotWritten(OSError):
    """A file could not be written: the disk is full, or may not be written to. The message says what to do."""

    def __init__(self, path: object, why: OSError) -> None:
        super().__init__(
            f"{path} could not be written: {why.strerror or why}. What is finished is kept: make room there, or make "
            "it writable, and give the same command again"
        )
        self.errno = why.errno
        self._made_of = (str(path), OSError(why.errno, why.strerror or str(why)))

    def __reduce__(self) -> tuple[type[NotWritten], tuple[str, OSError]]:
        return NotWritten, self._made_of  # so that other processes can be told


def printable(text: str) -> str:
    """A text of one line with what a terminal would obey (escape sequences, line ends) spelt out."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The nearest known word as a hint, else the first few that exist.

    Returns: ``"did you mean 'simclr'?"`` or ``"known: a, b, c"``.
    """
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"known: {shown}" if names else "there are none"


def warn(message: str) -> None:
    """One line on standard error: what is not as it should be, where, and what is done about it."""
    print(f"ssl-bench: {' '.join(message.split())}", file=sys.stderr, flush=True)
