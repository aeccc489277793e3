"""A run that cannot go on."""

from __future__ import annotations


class TrainingFailed(RuntimeError):
    """The run cannot go on; the message says why, in one line."""
