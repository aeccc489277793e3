"""The one exception a user may cause: what is wrong, where, what to do; printed as one line, exit status 2."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake of the user's. The message is one line that says what is wrong and what to do about it."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


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
