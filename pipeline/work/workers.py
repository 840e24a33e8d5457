"""Processes that work for this one, and end with it."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from pipeline.errors import PipelineError


@contextmanager
def pool_of(
    count: int, begin: Callable[[], None], error: type[PipelineError] = PipelineError
) -> Iterator[ProcessPoolExecutor]:
    """A pool of processes that start from nothing; work that nobody waits for is given up.

    Args:
        count: Of the processes.
        begin: Called in each before anything else.
        error: What is raised where one of them died.

    Raises:
        PipelineError: One of them died.
    """
    # Fork would copy torch's threads in an unknown state.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, context, _start, (begin,)) as pool:
        try:
            yield pool
        except BrokenProcessPool:
            raise error(
                "a working process died, perhaps for want of memory",
                hint="what was done is kept; run again",
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _start(begin: Callable[[], None]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    begin()


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
