"""Curves of the best score so far, told by where they rise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def steps(curve: Sequence[float]) -> list[tuple[int, float]]:
    """Where a rising curve rises: the number of evaluations, from 1, and the new value."""
    before = -np.inf
    found = []
    for count, value in enumerate(curve, start=1):
        if value > before:
            found.append((count, round(value, 4)))
            before = value
    return found


def unrolled(rises: Sequence[tuple[int, float]], length: int) -> list[float]:
    """The curve of which `steps` told the rises."""
    curve = np.empty(length)
    for count, value in rises:
        curve[count - 1 :] = value
    return curve.tolist()
