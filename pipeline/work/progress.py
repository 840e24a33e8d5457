"""How long work says where it is: a callable that the command line renders as a bar."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Progress(Protocol):
    """Receives progress of one piece of work."""

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Reports `done` of `total` steps, with a short note such as a rate or a loss."""


def silent(done: int, total: int, note: str = "") -> None:
    """Progress that nobody watches."""


ProgressFactory = Callable[[str], Progress]
"""Makes the progress of a piece of work, given its title."""


def unwatched(title: str) -> Progress:
    """Makes progress that nobody watches."""
    return silent
