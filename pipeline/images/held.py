"""A file that one process at a time holds: others that want the same work done wait for it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.files.whole import storage_errors


@contextmanager
def held(path: Path) -> Iterator[int]:
    """The file, made where it is missing, open to read and append to, and locked.

    Raises:
        StorageError: It can be neither made nor opened.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)
