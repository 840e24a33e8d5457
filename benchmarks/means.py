"""Means over seeds, with intervals that say how little a few seeds know."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import t

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Mean:
    """A mean in percent.

    Attributes:
        low_percent: Lower end of Student's 95 % interval; None where there is one value only.
        high_percent: Its upper end.
    """

    percent: float
    low_percent: float | None
    high_percent: float | None


def mean_of(percents: Sequence[float]) -> Mean:
    """Mean over seeds."""
    mean = statistics.fmean(percents)
    if len(percents) < 2:
        return Mean(mean, None, None)
    reach = float(t.ppf((1 + CONFIDENCE) / 2, len(percents) - 1))
    reach *= statistics.stdev(percents) / math.sqrt(len(percents))
    return Mean(mean, mean - reach, mean + reach)


def mean_difference(percents: Sequence[float], baseline: Sequence[float]) -> Mean:
    """Mean difference from a baseline of the same seeds: what seeds share drops out."""
    return mean_of([one - other for one, other in zip(percents, baseline, strict=True)])
