"""Standard output is for results alone."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def own_standard_output() -> Iterator[None]:
    """Standard output for what the command line prints, and nothing else.

    Solvers and engines written in C print there whatever Python thinks of it; for as long as this
    lasts, that goes to standard error.
    """
    ours = sys.stdout
    if ours is not sys.__stdout__ or not isinstance(ours, io.TextIOWrapper):
        yield  # somebody collects what is printed
        return
    ours.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    with os.fdopen(kept, "w", encoding=ours.encoding, errors=ours.errors) as sys.stdout:
        try:
            yield
        finally:
            sys.stdout.flush()
            os.dup2(kept, 1)
            sys.stdout = ours
