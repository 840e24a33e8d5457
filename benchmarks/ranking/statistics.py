"""Rank correlations over chosen pairs of networks, what the truth allows, and regret.

Intervals are percentiles of a bootstrap over networks: each draw takes networks and runs anew, and
a pair counts as often as both of its networks were drawn, a network with itself never.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_RESAMPLES = 2000
_INTERVAL = (2.5, 97.5)

Values = NDArray[np.float64]
Pairs = NDArray[np.bool_]
Interval = tuple[float, float]


@dataclass(frozen=True)
class Agreement:
    """Kendall's tau-b with the truth over some pairs of networks, mean over runs.

    Attributes:
        interval: 95 %, over networks and runs.
        by_run: Of each run.
        pairs: How many pairs there are.
    """

    tau: float
    interval: Interval
    by_run: tuple[float, ...]
    pairs: int


@dataclass(frozen=True)
class Difference:
    """By how much the tau of one method is larger, with a paired 95 % interval."""

    tau: float
    interval: Interval


@dataclass(frozen=True)
class Reliability:
    """How much of what tells networks apart in the truth is theirs.

    From T = mean + network + error (a one-way analysis of variance over networks, seeds as
    repetitions), within groups where there are several.

    Attributes:
        signal_std: Standard deviation of the networks' part, in points; 0 where the seeds explain
            everything.
        seed_std: Of the error of one training.
        reliability: Share of the networks' part in the variance of the mean over seeds.
        ceiling_tau: Tau that a perfect predictor has with that mean in the expectation: 2/π·asin of
            its correlation, the root of the reliability, both taken as normal.
    """

    signal_std: float
    seed_std: float
    reliability: float
    ceiling_tau: float


@dataclass(frozen=True)
class Regret:
    """Points of accuracy that a choice inside a window is below the best, mean over windows.

    The best is chosen by one seed of the truth and valued by the others, as is what was chosen: so
    luck of the seed is in neither.

    Attributes:
        interval: 95 %, over the networks of each window and runs.
    """

    percent: float
    interval: Interval


def pairs_where(same: Callable[[int, int], bool], networks: int) -> Pairs:
    """Which pairs (i < j) to count; shape (networks, networks)."""
    chosen = np.zeros((networks, networks), dtype=bool)
    for i in range(networks):
        for j in range(i + 1, networks):
            chosen[i, j] = same(i, j)
    return chosen


def agreement(truth: Values, runs: Values, pairs: Pairs) -> Agreement:
    """How runs rank networks, against the mean of the truth over its seeds.

    Args:
        truth: Percent by seed and network.
        runs: A score of each network by run, larger is better.
        pairs: Of `pairs_where`.
    """
    mean = truth.mean(0)
    by_run = [_tau(mean, run, pairs) for run in runs]
    drawn = [
        np.mean([_tau(mean, runs[r], pairs, weights) for r in chosen])
        for weights, chosen in _draws(len(mean), len(runs))
    ]
    return Agreement(float(np.mean(by_run)), _interval(drawn), tuple(by_run), int(pairs.sum()))


def compared(truth: Values, runs: Values, others: Values, pairs: Pairs) -> Difference:
    """By how much a method's mean tau is larger than another's, on the same draws of networks."""
    mean = truth.mean(0)

    def difference(mine: Sequence[int], its: Sequence[int], weights: Values | None) -> float:
        return float(
            np.mean([_tau(mean, runs[r], pairs, weights) for r in mine])
            - np.mean([_tau(mean, others[r], pairs, weights) for r in its])
        )

    random = np.random.default_rng(1)
    drawn = [
        difference(chosen, random.integers(0, len(others), len(others)).tolist(), weights)
        for weights, chosen in _draws(len(mean), len(runs))
    ]
    everything = difference(range(len(runs)), range(len(others)), None)
    return Difference(everything, _interval(drawn))


def reliability(truth: Values, groups: Sequence[int]) -> Reliability:
    """What part of the truth is the networks'.

    Args:
        truth: Percent by seed and network; at least two seeds.
        groups: Of each network; only what is left within groups counts.
    """
    seeds, networks = truth.shape
    means, of = truth.mean(0), np.asarray(groups)
    seed_variance = float(truth.var(axis=0, ddof=1).mean())
    centred = np.concatenate([means[of == g] - means[of == g].mean() for g in np.unique(of)])
    freedom = networks - len(np.unique(of))
    signal = max(0.0, float(np.square(centred).sum()) / freedom - seed_variance / seeds)
    noise = seed_variance / seeds
    share = signal / (signal + noise) if signal + noise else 0.0
    ceiling = 2 / math.pi * math.asin(math.sqrt(share))
    return Reliability(math.sqrt(signal), math.sqrt(seed_variance), share, ceiling)


def regret(
    truth: Values, choose: Mapping[str, Values], windows: Sequence[int]
) -> dict[str, Regret]:
    """What choosing by a score costs in windows of equal latency, beside choosing at random.

    Args:
        truth: Percent by seed and network; at least two seeds.
        choose: Scores by run and network, by name of the method, larger is better.
        windows: Of each network.

    Returns:
        By name; `at random` besides.
    """
    found = {name: _regret(truth, runs, windows, at_random=False) for name, runs in choose.items()}
    found["at random"] = _regret(truth, np.zeros((1, truth.shape[1])), windows, at_random=True)
    return found


def _regret(truth: Values, runs: Values, windows: Sequence[int], *, at_random: bool) -> Regret:
    of = np.asarray(windows)
    inside = [np.flatnonzero(of == window) for window in np.unique(of)]
    random = np.random.default_rng(0)

    def mean(networks: Sequence[NDArray[np.intp]], chosen_runs: Sequence[int]) -> float:
        values = []
        for seed in range(len(truth)):
            others = np.delete(truth, seed, axis=0).mean(0)
            for some in networks:
                best = others[some[truth[seed, some].argmax()]]
                for run in chosen_runs:
                    its = (
                        others[some].mean() if at_random else others[some[runs[run, some].argmax()]]
                    )
                    values.append(best - its)
        return float(np.mean(values))

    drawn = [
        mean(
            [some[random.integers(0, len(some), len(some))] for some in inside],
            random.integers(0, len(runs), len(runs)).tolist(),
        )
        for _ in range(_RESAMPLES)
    ]
    return Regret(mean(inside, range(len(runs))), _interval(drawn))


def _tau(truth: Values, scores: Values, pairs: Pairs, weights: Values | None = None) -> float:
    """Kendall's tau-b over some pairs; 0 where ties leave none."""
    i, j = np.nonzero(pairs)
    weight = np.ones(len(i)) if weights is None else weights[i] * weights[j]
    one, other = np.sign(truth[i] - truth[j]), np.sign(scores[i] - scores[j])
    untied = math.sqrt(float(weight @ np.abs(one)) * float(weight @ np.abs(other)))
    return float(weight @ (one * other)) / untied if untied else 0.0


def _draws(networks: int, runs: int) -> list[tuple[Values, list[int]]]:
    """How often each network was drawn, and which runs; the same for every method."""
    random = np.random.default_rng(0)
    return [
        (
            np.bincount(random.integers(0, networks, networks), minlength=networks).astype(float),
            random.integers(0, runs, runs).tolist(),
        )
        for _ in range(_RESAMPLES)
    ]


def _interval(drawn: Sequence[float]) -> Interval:
    low, high = np.percentile(drawn, _INTERVAL)
    return float(low), float(high)
