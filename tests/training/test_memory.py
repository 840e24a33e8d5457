import platform
import resource

import pytest
import torch

from pipeline.training.memory import freed_memory_kept

MIB = 2**20
PAGES = 64 * MIB // resource.getpagesize()
HUGE_PAGES = 32

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="freed memory is kept by a setting of glibc"
)


def cleared_pages() -> int:
    """Pages that the system clears while a block of 64 MiB is taken, filled and freed."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.empty(64 * MIB, dtype=torch.uint8).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_a_block_that_was_freed_is_taken_again_without_the_system() -> None:
    with freed_memory_kept():
        assert min(cleared_pages() for _ in range(10)) < PAGES / 100


def test_outside_it_comes_from_the_system_each_time() -> None:
    with freed_memory_kept():
        cleared_pages()
    assert min(cleared_pages() for _ in range(10)) >= HUGE_PAGES


def test_the_outermost_decides() -> None:
    with freed_memory_kept():
        with freed_memory_kept():
            pass
        assert min(cleared_pages() for _ in range(10)) < PAGES / 100


def test_an_error_ends_it_too() -> None:
    with pytest.raises(KeyError), freed_memory_kept():
        raise KeyError
    assert min(cleared_pages() for _ in range(10)) >= HUGE_PAGES
