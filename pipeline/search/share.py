"""How many of a space's architectures are inside limits.

One limit on one sum is counted. For several at once there is no count without listing sums in as
many dimensions; so the limit that leaves fewest is counted, networks are drawn uniformly from
what it leaves, and the share of these that keeps to all limits comes with its interval. Rare
shares are thus found where drawing from the whole space would find nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from pipeline.search.constraints import bounds, has_margin
from pipeline.search.explanation import Share
from pipeline.search.problem import Problem
from pipeline.space.encoding import SlotTable
from pipeline.space.path_counts import PathCounts

_SAMPLES = 20_000
_NS_PER_MS = 1e6


@dataclass(frozen=True)
class _Counted:
    """The networks within one limit at one input size: fewest, most, and draws from the latter."""

    fewest: float
    most: float
    counts: PathCounts


def share_within(problem: Problem) -> Share:
    """The share of all architectures, of all input sizes together, that is inside all limits."""
    everything = problem.space.count() * len(problem.tables.resolutions)
    keys = problem.limited_keys
    if not keys:
        return Share(low=1.0, high=1.0, how="counted")
    counted = {
        key: [_count(problem, size, key) for size in problem.tables.resolutions] for key in keys
    }
    key = min(keys, key=lambda one: sum(each.most for each in counted[one]))
    fewest, most = (
        sum(getattr(each, end) for each in counted[key]) / everything for end in ("fewest", "most")
    )
    if most == 0 or (len(keys) == 1 and not has_margin(problem.limits)):
        return Share(low=min(1.0, fewest), high=min(1.0, most), how="counted")
    hits = _hits(problem, counted[key])
    interval = binomtest(hits, _SAMPLES).proportion_ci(0.95, method="exact")
    return Share(
        low=most * float(interval.low),
        high=min(1.0, most * float(interval.high)),
        how="sampled",
        samples=_SAMPLES,
    )


def _count(problem: Problem, size: int, key: str) -> _Counted:
    at_least, at_most = _window(problem, key)
    table, slack = _in_whole_numbers(problem.tables.sums[size][key], key)
    weights = (1.0,) * len(problem.space.operators)

    def count(sign: float, *, widened: bool) -> PathCounts:
        low = None if at_least is None else at_least - sign * slack
        high = None if at_most is None else at_most + sign * slack
        return PathCounts.of(table, weights, low, high, widened=widened)

    outer = count(1.0, widened=True)
    return _Counted(count(-1.0, widened=False).total, outer.total, outer)


def _window(problem: Problem, key: str) -> tuple[float | None, float | None]:
    """Lower and upper limit of a cost; of a latency without its margin, in nanoseconds."""
    unit = _NS_PER_MS if key.startswith("latency") else 1.0
    own = [bound for bound in bounds(problem.limits) if bound.key == key]
    low = next((unit * bound.value for bound in own if bound.at_least), None)
    high = next((unit * bound.value for bound in own if not bound.at_least), None)
    return low, high


def _in_whole_numbers(table: SlotTable, key: str) -> tuple[SlotTable, float]:
    """A table to count with, and how far its sums are off: latencies go by whole nanoseconds."""
    if not key.startswith("latency"):
        return table, 0.0
    rounded = SlotTable(
        table.resolution,
        round(_NS_PER_MS * table.fixed),
        np.rint(_NS_PER_MS * table.values),
        table.max_depth,
    )
    return rounded, 0.5 * (1 + len(table.values))


def _hits(problem: Problem, counted: list[_Counted]) -> int:
    """How many of the samples, drawn uniformly from what was counted, are inside all limits."""
    rng = np.random.default_rng(0)
    weights = np.array([each.most for each in counted])
    sizes = rng.multinomial(_SAMPLES, weights / weights.sum())
    rows = [each.counts.draw(rng, int(n)) for each, n in zip(counted, sizes, strict=True) if n]
    return int((problem.violation(np.concatenate(rows)) <= 0).sum())
