"""The true front where the relaxed one is outside the limits: integer programs at latencies.

At a latency the best network within all limits is found with a proof. That gives a point of the
true front, closes what lies between the point and that latency, and bounds what is faster. The
stretch of latency with the largest gap between what is known and what is possible comes next,
until there is none, or the programs are used up; then the largest gap left is told.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from pipeline.search.exact.integer_program import Proved, least_within
from pipeline.search.exact.linear import Cuts, LinearLimit, times
from pipeline.search.exact.surrogate_front import SAME, ExactFront, front_of
from pipeline.search.problem import Problem
from pipeline.space.encoding import SlotTable

_PROGRAMS = 16
"""Most that are solved at one input size."""
_SHORT = 1 / 32
"""Of all latencies with a gap: longer stretches are halved, shorter ones cut from their end, which
finds every network of the front where there are few."""
_APART = 3e-6
"""Relative difference of latencies below which two count as one: solvers are not more exact."""


@dataclass(order=True)
class _Stretch:
    """Latencies between two networks of the front, where better ones may be unknown.

    Attributes:
        negative_gap: Minus the nats between what is known and what is possible.
        after_ms: Latency of the faster network.
        known: Its surrogate.
        before_ms: End of the stretch, exclusive.
        possible: No network within the limits and before the end has more.
        is_long: Whether it is to be halved.
    """

    negative_gap: float
    after_ms: float
    known: float
    before_ms: float
    possible: float
    is_long: bool

    @property
    def next_ms(self) -> float:
        """The latency to look at next: in the middle, or just before the end."""
        if self.is_long:
            return 0.5 * (self.after_ms + self.before_ms)
        return self.before_ms * (1 - _APART)

    @property
    def is_open(self) -> bool:
        """Whether a better network may lie in it."""
        return self.negative_gap < -SAME and self.after_ms < self.before_ms * (1 - 2 * _APART)


def refined(
    problem: Problem, surrogate: SlotTable, cuts: Cuts, outer: ExactFront, inner: ExactFront
) -> ExactFront:
    """Completes a front.

    Args:
        problem: The request.
        surrogate: Quality in nats as a sum over slots.
        cuts: Grows by the tangents that were needed.
        outer: The front of a relaxation of the limits: nothing within them is above it.
        inner: The front of what is known to be within them.

    Returns:
        The inner front with what was found; the gap to all that is possible.
    """
    latency = problem.tables.sums[surrogate.resolution][problem.latency]
    fastest = least_within(problem, latency, cuts)
    if fastest is None:
        return inner
    rows = [inner.rows, fastest.row[None]]
    known = front_of(problem, surrogate, np.concatenate(rows))
    stretches, long_ms = _stretches(problem, known, outer)
    for _ in range(_PROGRAMS):
        if not stretches:
            break
        stretch = heapq.heappop(stretches)
        also = LinearLimit(latency, stretch.next_ms, 0.0)
        found = least_within(problem, times(surrogate, -1.0), cuts, [also])
        if found is not None:
            rows.append(found.row[None])
        for part in _parts(stretch, found, latency, long_ms):
            if part.is_open:
                heapq.heappush(stretches, part)
    found_front = front_of(problem, surrogate, np.concatenate(rows))
    gap = -stretches[0].negative_gap if stretches else 0.0
    return ExactFront(found_front.rows, found_front.surrogate, found_front.latency_ms, gap)


def _stretches(
    problem: Problem, known: ExactFront, outer: ExactFront
) -> tuple[list[_Stretch], float]:
    """Where the relaxed front is above the known one; and how long a stretch is called long."""
    ends = np.append(known.latency_ms[1:], np.nextafter(problem.slowest_ms, np.inf))
    possible = outer.at(np.nextafter(ends, 0.0))
    open_ = possible > known.surrogate + SAME
    long_ms = _SHORT * float((ends - known.latency_ms)[open_].sum())
    columns = (known.latency_ms, known.surrogate, ends, possible)
    found = [
        _stretch(after, value, end, most, long_ms)
        for after, value, end, most in zip(*(each.tolist() for each in columns), strict=True)
    ]
    found = [stretch for stretch in found if stretch.is_open]
    heapq.heapify(found)
    return found, long_ms


def _stretch(
    after_ms: float, known: float, before_ms: float, possible: float, long_ms: float
) -> _Stretch:
    is_long = before_ms - after_ms > long_ms
    return _Stretch(known - possible, after_ms, known, before_ms, possible, is_long)


def _parts(
    stretch: _Stretch, found: Proved | None, latency: SlotTable, long_ms: float
) -> list[_Stretch]:
    """What is still open of a stretch after the best network up to a latency was found."""
    looked_ms, end_ms = stretch.next_ms, stretch.before_ms
    if found is None or -found.value <= stretch.known + SAME:
        slower = (looked_ms, stretch.known, end_ms, stretch.possible)
        return [_stretch(*slower, long_ms)] if stretch.is_long else []
    value, found_ms = -found.value, float(latency.totals(found.row[None])[0])
    slower = (looked_ms, value, end_ms, stretch.possible)
    faster = (stretch.after_ms, stretch.known, found_ms, -found.bound)
    parts = [faster, slower] if stretch.is_long else [faster]
    return [_stretch(*part, long_ms) for part in parts]
