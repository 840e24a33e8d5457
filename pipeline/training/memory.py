"""Memory that tensors free is kept for the next ones, on the CPU.

glibc gives a large block back to the system as soon as it is freed, and the system clears all its
pages when it is taken again. Each step of a training frees and takes the same blocks, so that up to
a third of its time went there; see docs/training.md for figures.
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

# Of mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_KEEP_BYTES = 2**31 - 1
# What glibc raises its thresholds to by itself, and the blocks that it maps by default.
_MAPPED_FROM_BYTES, _TRIMMED_FROM_BYTES, _MAPPED_BLOCKS = 32 * 2**20, 64 * 2**20, 65536


class _Kept:
    """How many ask for it: the setting is that of the whole process."""

    asking = 0


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Within it, freed memory stays with the process; without glibc nothing is different.

    It goes back to the system at the end of the outermost one.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    if _Kept.asking == 0:
        libc.mallopt(_MMAP_MAX, 0)
        libc.mallopt(_TRIM_THRESHOLD, _KEEP_BYTES)
    _Kept.asking += 1
    try:
        yield
    finally:
        _Kept.asking -= 1
        if _Kept.asking == 0:
            libc.mallopt(_MMAP_MAX, _MAPPED_BLOCKS)
            libc.mallopt(_MMAP_THRESHOLD, _MAPPED_FROM_BYTES)
            libc.mallopt(_TRIM_THRESHOLD, _TRIMMED_FROM_BYTES)
            libc.malloc_trim(0)
