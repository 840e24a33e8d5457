"""Seconds that calls take."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def timed(
    call: Callable[Arguments, Result], *arguments: Arguments.args, **named: Arguments.kwargs
) -> tuple[float, Result]:
    """Seconds of a call, and what it returned."""
    start = time.perf_counter()
    result = call(*arguments, **named)
    return time.perf_counter() - start, result
