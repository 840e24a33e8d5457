"""Where a search starts: networks inside the limits, wherever there are any."""

from __future__ import annotations

import numpy as np

from pipeline.errors import InfeasibleError
from pipeline.search.exact.integer_program import least_within
from pipeline.search.exact.linear import Cuts
from pipeline.search.problem import Problem
from pipeline.search.repair import repair
from pipeline.search.variation import Random
from pipeline.space.encoding import Rows

_ROUNDS = 5
"""Times random networks are repaired before few seeds are accepted."""


def seed_rows(problem: Problem, n: int, rng: Random) -> Rows:
    """Distinct architectures inside the limits, of all depths.

    A third is uniform (one operator, one depth), a third comes down from the deepest networks and
    so ends close under the limits, the rest is random; all are repaired. Only where that leads
    nowhere, an integer program finds an architecture, or proves that there is none.

    Args:
        problem: The request.
        n: How many.
        rng: Random generator.

    Returns:
        At most n rows, at least one.

    Raises:
        InfeasibleError: There is no architecture inside the limits.
    """
    found: dict[bytes, Rows] = {}
    for attempt in range(_ROUNDS):
        if len(found) >= n:
            break
        starts = problem.variation.random(n, rng) if attempt else _starts(problem, n, rng)
        rows, left = repair(starts, problem, rng)
        for row in rows[left <= 0]:
            found.setdefault(row.tobytes(), row)
    if not found:
        row = _fastest(problem)
        if row is None:
            raise InfeasibleError("no architecture is inside all limits")
        found[row.tobytes()] = row
    return np.array(list(found.values())[:n])


def _fastest(problem: Problem) -> Rows | None:
    """A network inside the limits; None where it is proved that there is none."""
    for tables in problem.tables.sums.values():
        if within := least_within(problem, tables[problem.latency], Cuts()):
            return within.row
    return None


def _starts(problem: Problem, n: int, rng: Random) -> Rows:
    variation = problem.variation
    uniform = variation.uniform()
    third = -(-n // 3)
    spread = np.linspace(0, len(uniform) - 1, min(third, len(uniform))).round().astype(int)
    deepest = uniform[-variation.operators :]
    return np.concatenate(
        [
            uniform[spread],
            deepest[np.arange(third) % len(deepest)],
            variation.random(max(1, n - 2 * third), rng),
        ]
    )
