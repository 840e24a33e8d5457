"""Scales and ranges of plots, of pictures and of those drawn with letters."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Maps values to a position, linearly."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Position of a value; values outside run past the ends."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, about: int) -> list[float]:
        """Round values inside the scale, about that many."""
        step = _round_step((self.high - self.low) / max(about, 1))
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(index * step, 12) for index in range(first, last + 1)]


def spread(
    values: Iterable[float], *, margin: float = 0.06, floor: float | None = None
) -> tuple[float, float]:
    """The range of values with a margin on both sides; never empty.

    Args:
        values: What must lie inside.
        margin: Relative to the range.
        floor: The lower end is not below this.
    """
    finite = [value for value in values if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    gap = margin * (high - low) or margin * abs(high) or 1.0
    low, high = low - gap, high + gap
    return (low if floor is None else max(low, floor), high)


def _round_step(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return power * min((1, 2, 5, 10), key=lambda factor: abs(math.log(power * factor / step)))
