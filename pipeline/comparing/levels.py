"""Levels of latency, and what a difference of two says.

The level of a subject is its fastest run, as everywhere (`typical`); its uncertainty is how near to
it the next sweeps came. Means over sweeps are no levels: on a busy machine a sweep is either spared
or half as slow again, and a mean says how many of them were spared (docs/measuring.md).

Campaigns that measured the very same thing differ by more than their sweeps show, because the
sweeps of a campaign share one process and one stretch of time. What is known of that beforehand
adds to every standard error here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats as distributions

from pipeline.files.record import Record
from pipeline.measure.protocol import TimingProtocol

CAMPAIGN_STD_PERCENT = 0.6
"""How far one subject's level moves between campaigns by itself: standard deviation."""
MACHINE_STD_PERCENT = 1.0
"""How far the level of a whole machine moves between campaigns: standard deviation."""
_AGREEING = 3
"""Sweeps that have to agree for a level to be known."""
_AGREE_PERCENT = TimingProtocol().unsteady_percent
"""By how much they may disagree; what a measurement accepts by default."""
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
    """A logarithm of milliseconds, the variance of it, and the degrees of freedom of that."""

    log_ms: float
    variance: float
    dof: float


def level(minima_ms: Sequence[float]) -> Level:
    """The level of a subject, from the fastest run of each visit in milliseconds.

    The fastest estimates the end of a distribution that runs are spared down to. If visits near it
    are spread evenly, it lies half of what the fastest three are apart above the end, give or take
    as much, with 4 degrees of freedom (Robson and Whitlock, Biometrika 51, 1964); the whole of it
    is taken here, because visits get rarer towards the end.

    Where not even three visits agree, the end is not known: the subject may be off by as much as
    its visits differ, and by any part of that alike (Guide to the Expression of Uncertainty in
    Measurement, 4.3.7).
    """
    logs = np.sort(np.log(minima_ms))
    if _near(logs) <= _AGREE_PERCENT * _LOG_PERCENT:
        return _known_level(logs)
    return Level(float(logs[0]), float(logs[-1] - logs[0]) ** 2 / 3, math.inf)


def control_level(visits_ms: Sequence[float], sweeps: int) -> Level:
    """The level of the control network, one value a sweep.

    It runs beside every visit. Its many bursts of one sweep share a moment of the machine and are
    no independent values.
    """
    parts = np.array_split(np.log(visits_ms), min(sweeps, len(visits_ms)))
    return _known_level(np.sort([part.min() for part in parts]))


def _known_level(logs: NDArray[np.float64]) -> Level:
    return Level(float(logs[0]), _near(logs) ** 2, 2 * (_AGREEING - 1))


def _near(logs: NDArray[np.float64]) -> float:
    return float(logs[_AGREEING - 1] - logs[0])


def change(
    after: Sequence[Level],
    before: Sequence[Level],
    *,
    campaigns: int,
    machine: bool = False,
) -> Change:
    """The sum of some levels less that of others, as a change in percent.

    Student's t with the Welch-Satterthwaite degrees of freedom (Welch, Biometrika 34, 1947). What
    is known beforehand adds to the variance and has infinite degrees of freedom (Guide to the
    Expression of Uncertainty in Measurement, G.4.2).

    Args:
        after: Levels that count up.
        before: Levels that count down.
        campaigns: How often `CAMPAIGN_STD_PERCENT` comes in: once a subject and campaign.
        machine: Whether the whole machine's movement is to be reckoned with.
    """
    terms = [*after, *before]
    delta = sum(term.log_ms for term in after) - sum(term.log_ms for term in before)
    known = campaigns * (CAMPAIGN_STD_PERCENT * _LOG_PERCENT) ** 2
    known += 2 * (MACHINE_STD_PERCENT * _LOG_PERCENT) ** 2 if machine else 0.0
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
