"""Means over seeds with what other seeds would have made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import t

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Mean:
    """A mean with its 95 % interval, by Student's t; no interval where there is one value only."""

    mean: float
    low: float | None
    high: float | None

    def __str__(self) -> str:
        if self.low is None:
            return f"{self.mean:.2f}"
        return f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}]"

    @property
    def told(self) -> dict[str, Any]:
        """For JSON."""
        return {
            key: value if value is None else round(value, 4) for key, value in asdict(self).items()
        }


def mean_of(values: Sequence[float]) -> Mean:
    """The mean of independent values."""
    mean, count = float(np.mean(values)), len(values)
    if count < 2:
        return Mean(mean, None, None)
    half = float(t.ppf(0.5 + _CONFIDENCE / 2, count - 1) * np.std(values, ddof=1) / np.sqrt(count))
    return Mean(mean, mean - half, mean + half)


def mean_difference(values: Sequence[float], others: Sequence[float]) -> Mean:
    """By how much values are larger than others of the same seeds, on average."""
    return mean_of([value - other for value, other in zip(values, others, strict=True)])


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
