"""Rank correlations with what chance makes of them: bootstrap over networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, spearmanr

_RESAMPLES = 2000
_INTERVAL = (2.5, 97.5)

Values = NDArray[np.float64]
Interval = tuple[float, float]


@dataclass(frozen=True)
class Agreement:
    """Rank correlations with the truth, means over runs, with 95 % intervals.

    Attributes:
        tau_by_run: Kendall's tau of each run.
    """

    tau: float
    tau_interval: Interval
    spearman: float
    spearman_interval: Interval
    tau_by_run: tuple[float, ...]


@dataclass(frozen=True)
class Difference:
    """How much larger the mean tau of one method is, with a paired 95 % interval."""

    tau: float
    interval: Interval


def agreement(truth: Sequence[Sequence[float]], runs: Sequence[Sequence[float]]) -> Agreement:
    """How runs rank networks, against the mean of the truth over its seeds.

    Args:
        truth: Percent by seed and network.
        runs: A score of each network, by run.
    """
    mean = np.mean(np.array(truth), axis=0)
    return _agreement([(mean, run) for run in np.array(runs, dtype=float)])


def seeds_agreement(truth: Sequence[Sequence[float]]) -> Agreement:
    """How the seeds of the truth rank by each other, over all pairs: the ceiling."""
    return _agreement(list(combinations(np.array(truth), 2)))


def compared(
    truth: Sequence[Sequence[float]],
    runs: Sequence[Sequence[float]],
    baseline: Sequence[Sequence[float]],
) -> Difference:
    """By how much a method's mean tau is larger than that of another.

    Networks and runs of both methods are drawn anew together: the interval says what other networks
    and other seeds would have made of it.
    """
    mean = np.mean(np.array(truth), axis=0)
    random = np.random.default_rng(0)

    def taus(of: Sequence[Sequence[float]], chosen: NDArray[np.intp]) -> Values:
        return np.array([_tau(mean[chosen], np.array(run)[chosen]) for run in of])

    everything = np.arange(len(mean))
    differences = []
    for _ in range(_RESAMPLES):
        chosen = random.integers(0, len(mean), len(mean))
        its, other = taus(runs, chosen), taus(baseline, chosen)
        drawn = random.integers(0, len(its), len(its)), random.integers(0, len(other), len(other))
        differences.append(np.mean(its[drawn[0]]) - np.mean(other[drawn[1]]))
    low, high = np.percentile(differences, _INTERVAL)
    difference = np.mean(taus(runs, everything)) - np.mean(taus(baseline, everything))
    return Difference(float(difference), (float(low), float(high)))


def _agreement(pairs: Sequence[tuple[Values, Values]]) -> Agreement:
    """How one of each pair ranks networks by the other."""
    n = len(pairs[0][0])

    def over_pairs(correlation: Callable[[Values, Values], float]) -> tuple[float, Interval]:
        def mean(chosen: NDArray[np.intp]) -> float:
            return float(np.mean([correlation(a[chosen], b[chosen]) for a, b in pairs]))

        return mean(np.arange(n)), _interval(mean, n)

    tau, tau_interval = over_pairs(_tau)
    spearman, spearman_interval = over_pairs(_spearman)
    by_run = tuple(_tau(one, other) for one, other in pairs)
    return Agreement(tau, tau_interval, spearman, spearman_interval, by_run)


def _interval(statistic: Callable[[NDArray[np.intp]], float], n: int) -> Interval:
    random = np.random.default_rng(0)
    found = [statistic(random.integers(0, n, n)) for _ in range(_RESAMPLES)]
    low, high = np.percentile(found, _INTERVAL)
    return float(low), float(high)


def _tau(one: Values, other: Values) -> float:
    return float(kendalltau(one, other).statistic)


def _spearman(one: Values, other: Values) -> float:
    return float(spearmanr(one, other).statistic)
