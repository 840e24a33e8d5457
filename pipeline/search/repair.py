"""Bringing architectures inside the limits.

An architecture over a limit walks through its neighbourhood, each step to less violation, until
it is inside or its steps are used up: it never loops. It stops as soon as it is inside, so what
comes from above ends close under the limits, where the most accurate architectures usually are.
"""

from __future__ import annotations

import numpy as np

from pipeline.search.problem import Problem
from pipeline.search.variation import Random
from pipeline.space.encoding import Floats, Rows

_NEIGHBOURS = 16
"""Neighbours looked at in a step: enough to find a way, few enough that ways differ."""
_STEPS_A_SLOT = 6
"""Steps before a row is given up, for each slot it has."""


def repair(rows: Rows, problem: Problem, rng: Random) -> tuple[Rows, Floats]:
    """Moves rows into the limits along random ways.

    Each step looks at a few random neighbours of every row that is still outside, all in one call
    of `problem.violation`, and moves to the best of them. Different random numbers lead the same
    row to different places.

    Args:
        rows: Shape (n, width); those inside the limits stay as they are.
        problem: The neighbourhood and the limits.
        rng: Random generator.

    Returns:
        The rows and what violation is left of each; 0 where the repair succeeded.
    """
    rows = rows.copy()
    left = problem.violation(rows)
    for _ in range(_STEPS_A_SLOT * problem.variation.slots):
        outside = np.flatnonzero(left > 0)
        if not len(outside):
            break
        around = problem.variation.nearby(rows[outside], _NEIGHBOURS, rng)
        theirs = problem.violation(around).reshape(len(outside), _NEIGHBOURS)
        line, best = np.arange(len(outside)), theirs.argmin(axis=1)
        least = theirs[line, best]
        moves = least < left[outside]
        rows[outside[moves]] = around.reshape(*theirs.shape, -1)[line, best][moves]
        left[outside[moves]] = least[moves]
    return rows, left
