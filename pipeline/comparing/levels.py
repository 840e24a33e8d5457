"""Levels of latency, and what a difference of two says: Welch's test, told what it cannot see.

Campaigns that measured the very same thing differ by more than their sweeps show, because the
sweeps of a campaign share one process and one stretch of time (docs/measuring.md). What is known
of that beforehand adds to every standard error here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats as distributions

from pipeline.record import Record

CAMPAIGN_STD_PERCENT = 0.6
"""How far one subject's level moves between campaigns by itself: standard deviation."""
MACHINE_STD_PERCENT = 1.0
"""How far the level of a whole machine moves between campaigns: standard deviation."""
CONFIDENCE = 0.95
_LOG_PERCENT = 1 / 100


class Change(Record):
    """By how much the second is slower than the first (negative: faster).

    Attributes:
        low_percent: Lower end of the 95 % confidence interval.
        high_percent: Its upper end.
        p: Probability of a change as large if nothing had changed; not corrected for the number
            of subjects.
    """

    percent: float
    low_percent: float
    high_percent: float
    p: float


class Level(NamedTuple):
    """A mean of logarithms, the variance of that mean, and its degrees of freedom."""

    log_ms: float
    variance: float
    dof: int


def level(minima_ms: Sequence[float]) -> Level:
    """The level of a subject, from the fastest run of each visit in milliseconds."""
    logs = np.log(minima_ms)
    return Level(float(logs.mean()), float(logs.var(ddof=1)) / len(logs), len(logs) - 1)


def control_level(visits_ms: Sequence[float], sweeps: int) -> Level:
    """The level of the control network, one value a sweep.

    It runs beside every visit. Its many bursts of one sweep share a moment of the machine and are
    no independent values.
    """
    parts = np.array_split(np.log(visits_ms), min(sweeps, len(visits_ms)))
    return level([float(np.exp(part.mean())) for part in parts])


def change(
    after: Sequence[Level],
    before: Sequence[Level],
    *,
    campaigns: int,
    machine: bool = False,
    unsteady_percent: Sequence[float] = (),
) -> Change:
    """The sum of some levels less that of others, as a change in percent.

    Welch's t with the Welch-Satterthwaite degrees of freedom (Welch, Biometrika 34, 1947), which
    hold for any sum of independent means. What is known beforehand adds to the variance and has
    infinite degrees of freedom (Guide to the Expression of Uncertainty in Measurement, G.4.2).

    Args:
        after: Levels that count up.
        before: Levels that count down.
        campaigns: How often `CAMPAIGN_STD_PERCENT` comes in: once a subject and campaign.
        machine: Whether the whole machine's movement is to be reckoned with.
        unsteady_percent: By how much sweeps disagreed in each campaign whose machine did not hold
            still; a whole campaign may be off by as much, for each subject.
    """
    terms = [*after, *before]
    delta = sum(term.log_ms for term in after) - sum(term.log_ms for term in before)
    known = campaigns * (CAMPAIGN_STD_PERCENT * _LOG_PERCENT) ** 2
    known += 2 * (MACHINE_STD_PERCENT * _LOG_PERCENT) ** 2 if machine else 0.0
    unsteady = sum((percent * _LOG_PERCENT) ** 2 for percent in unsteady_percent)
    known += unsteady * campaigns / 2
    variance = sum(term.variance for term in terms) + known
    doubt = sum(term.variance**2 / term.dof for term in terms)
    dof = variance**2 / doubt if doubt else math.inf
    error = math.sqrt(variance)
    reach = error * float(distributions.t.ppf((1 + CONFIDENCE) / 2, dof))
    return Change(
        percent=100 * math.expm1(delta),
        low_percent=100 * math.expm1(delta - reach),
        high_percent=100 * math.expm1(delta + reach),
        p=float(2 * distributions.t.sf(abs(delta) / error, dof)),
    )


def geometric_mean_percent(percents: Sequence[float]) -> float:
    """The mean of changes, as factors."""
    return float(100 * np.expm1(np.mean(np.log1p(np.divide(percents, 100)))))
