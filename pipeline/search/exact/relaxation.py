"""Lagrangian relaxation along a front: what a partial network can become at best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from pipeline.space.encoding import Floats

_MULTIPLIERS = 32
"""Latencies along the front at which multipliers are computed."""
_INTERVALS = 400
"""Of latency, in each of which a partial network's bound is compared with the known front."""
_COARSE = 20
"""Intervals that are looked at together first: most partial networks need no closer look."""
_AT_ONCE = 20_000
_FASTER = 1e-9
"""Relative difference of latencies that counts."""


@dataclass(frozen=True)
class Relaxation:
    """Multipliers, and the least relaxed loss of what follows each stage.

    Attributes:
        weights: Of each sum, for each set of multipliers; the loss weighs 1. In the last set it
            weighs 0 and latency 1: it bounds latency instead. Shape (k + 1, sums).
        least: Least weighted sum of each stage; shape (stages, k + 1).
        after: The same of all stages after each one; shape (stages, k + 1).
        ends: Latency of each of the first sets' linear programs, rising; shape (k,).
        at_most: Limit of each sum; shape (sums,).
    """

    weights: Floats
    least: Floats
    after: Floats
    ends: Floats
    at_most: Floats

    def losses(self, sums: Floats) -> Floats:
        """Weighted sums of partial networks; shape (n, k + 1)."""
        return np.asarray(sums @ self.weights.T)

    def against(self, latency: Floats, loss: Floats) -> Bounds:
        """The relaxation set against a known front, fastest first.

        Args:
            latency: Of the known front, rising; shape (m,), m ≥ 1.
            loss: Falling. No network within the limits is faster than the first one.
        """
        return Bounds(self, latency, loss)


class Bounds:
    """How much partial networks can improve on a known front, at most.

    Args as of `Relaxation.against`.
    """

    def __init__(self, relaxed: Relaxation, latency: Floats, loss: Floats) -> None:
        self._relaxed = relaxed
        self._latency, self._loss = latency, loss
        # Loss has no limit, and that of latency is the end of each interval.
        self._limits = np.concatenate([[0.0, 0.0], relaxed.at_most[2:]])
        edges = np.linspace(latency[0], relaxed.at_most[1], _INTERVALS + 1)
        self._known, self._ends = self._at(edges[:-1]), edges[1:]

    def improvement(self, sums: Floats) -> Floats:
        """By how much whole networks are better than the known front; shape (n,)."""
        return self._at(sums[:, 1]) - sums[:, 0]

    def most_improvement(self, sums: Floats, stage: int, least_latency: float) -> Floats:
        """By how much completions of partial networks can be better, at most; shape (n,).

        Args:
            sums: Of the stages up to `stage`.
            stage: The last stage that is decided.
            least_latency: That the stages after it take.
        """
        pieces = range(0, len(sums), _AT_ONCE)
        parts = [
            self._of_piece(sums[start : start + _AT_ONCE], stage, least_latency) for start in pieces
        ]
        return np.concatenate([np.empty(0), *parts])

    def of_options(self, sums: Floats, stage: int) -> Floats:
        """By how much networks with one of a stage's options can be better, at most; shape (n,).

        Args:
            sums: Of the options.
            stage: Their stage; all others are open.
        """
        others = self._relaxed.after[0] + self._relaxed.least[0] - self._relaxed.least[stage]
        return self._most(sums, others, np.zeros(len(sums)))

    def _of_piece(self, sums: Floats, stage: int, least_latency: float) -> Floats:
        reached = sums[:, 1] + least_latency
        promise = self._most(sums, self._relaxed.after[stage], reached, every=_COARSE)
        open_ = np.flatnonzero(promise > 0)
        promise[open_] = self._most(sums[open_], self._relaxed.after[stage], reached[open_])
        return promise

    def _most(self, sums: Floats, others: Floats, reached: Floats, *, every: int = 1) -> Floats:
        """The most improvement over latencies that can be reached.

        Args:
            sums: Of partial networks; shape (n, sums).
            others: Least weighted sums of what is open; shape (k + 1,).
            reached: Least latency of a completion; shape (n,).
            every: Intervals that are looked at together, which is quicker and promises more.
        """
        ends = self._ends[every - 1 :: every]
        if ends[-1] < self._ends[-1]:
            ends = np.append(ends, self._ends[-1])
        known = self._known[::every][: len(ends)]
        least = self._relaxed.losses(sums) + others
        loss = np.full((len(sums), len(ends)), -np.inf)
        for k, allowed in self._tightest(ends):
            np.maximum(loss, least[:, k] - allowed, out=loss)
        improvement = known - loss
        soonest = np.maximum(reached, least[:, -1] - self._relaxed.weights[-1] @ self._limits)
        improvement[ends < (soonest - _FASTER * np.abs(soonest))[:, None]] = -np.inf
        return np.asarray(improvement.max(axis=1))

    def _tightest(self, ends: Floats) -> list[tuple[NDArray[np.intp], Floats]]:
        """Multipliers of the latencies on either side of each, and what limits allow with them."""
        relaxed = self._relaxed
        above = np.minimum(np.searchsorted(relaxed.ends, ends), len(relaxed.ends) - 1)
        return [
            (k, relaxed.weights[k, 1] * ends + relaxed.weights[k] @ self._limits)
            for k in (above, np.maximum(above - 1, 0))
        ]

    def _at(self, latency: Floats) -> Floats:
        """The known front's loss at latencies; infinite where nothing known is as fast."""
        place = np.searchsorted(self._latency, latency, side="right") - 1
        return np.where(place >= 0, self._loss[np.maximum(place, 0)], np.inf)


def relaxation(options: Sequence[Floats], at_most: Floats) -> Relaxation | None:
    """Solves linear programs along the front: fractional choices of options.

    Args:
        options: Sums of each stage's options: loss, latency, limited costs; shape (n, sums) each.
        at_most: Limit of each sum, infinite for the loss; shape (sums,).

    Returns:
        None where even fractional networks are not within the limits.
    """
    program = _LinearProgram(options, at_most)
    fastest = program.fastest()
    if fastest is None:
        return None
    soonest, bounds_latency = fastest
    found, ends = [], []
    for latency in np.linspace(soonest, at_most[1], _MULTIPLIERS + 1)[1:]:
        multipliers = program.multipliers(float(latency))
        if multipliers is not None:
            found.append(np.concatenate([[1.0], multipliers]))
            ends.append(float(latency))
    if not found:
        return None
    weights = np.array([*found, np.concatenate([[0.0, 1.0], bounds_latency[1:]])])
    least = np.array([(sums @ weights.T).min(axis=0) for sums in options])
    after = np.vstack([np.cumsum(least[::-1], axis=0)[::-1][1:], np.zeros(len(weights))])
    return Relaxation(weights, least, after, np.array(ends), at_most)


class _LinearProgram:
    """Each stage is a mixture of its options."""

    def __init__(self, options: Sequence[Floats], at_most: Floats) -> None:
        self._sums = np.concatenate(options)
        self._at_most = at_most
        self._scale = np.abs(self._sums[:, 1:]).max(axis=0)
        self._scale[self._scale == 0] = 1.0
        counts = [len(sums) for sums in options]
        self._stage = np.repeat(np.eye(len(options)), counts, axis=1)

    def fastest(self) -> tuple[float, Floats] | None:
        """The least latency, and what relaxing each limit by one would be worth."""
        answer = self._solve(self._sums[:, 1], self._at_most[1:])
        return None if answer.status else (float(answer.fun), self._worth(answer))

    def multipliers(self, latency: float) -> Floats | None:
        """What relaxing each limit by one would be worth in loss, with latency limited too."""
        at_most = self._at_most[1:].copy()
        at_most[0] = latency
        answer = self._solve(self._sums[:, 0], at_most)
        return None if answer.status else self._worth(answer)

    def _worth(self, answer: Any) -> Floats:
        return np.asarray(np.maximum(0.0, -answer.ineqlin.marginals) / self._scale)

    def _solve(self, objective: Floats, at_most: Floats) -> Any:
        return linprog(
            objective,
            A_ub=(self._sums[:, 1:] / self._scale).T,
            b_ub=at_most / self._scale,
            A_eq=self._stage,
            b_eq=np.ones(len(self._stage)),
            method="highs",
        )
