"""Bringing architectures inside the limits.

An architecture over a limit walks through its neighbourhood, each step to less violation, until
it is inside or its steps are used up: it never loops. It stops as soon as it is inside, so what
comes from above ends close under the limits, where the most accurate architectures usually are.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pipeline.encoding import Floats, Rows
from pipeline.records import Limits
from pipeline.search.constraints import Costs, violation
from pipeline.search.variation import Random, Variation

_NEIGHBOURS = 16
"""Neighbours looked at in a step: enough to find a way down, few enough that ways differ."""


def repair(
    rows: Rows, variation: Variation, costs: Costs, limits: Limits, rng: Random
) -> tuple[Rows, Floats]:
    """Moves rows into the limits along random ways.

    Each step looks at a few random neighbours of every row that is still outside, all in one call
    of `costs`, and moves to the best of them. Different random numbers lead the same row to
    different places.

    Args:
        rows: Shape (n, width); those inside the limits stay as they are.
        variation: The space's neighbourhood.
        costs: Costs of rows, by name.
        limits: What is to hold.
        rng: Random generator.

    Returns:
        The rows and what violation is left of each; 0 where the repair succeeded.
    """

    def some(outside: Rows) -> Rows:
        return variation.nearby(outside, _NEIGHBOURS, rng)

    return _walk(rows, some, costs, limits, steps=6 * variation.slots, patient=True)


def descend(rows: Rows, variation: Variation, costs: Costs, limits: Limits) -> tuple[Rows, Floats]:
    """Moves rows as near to the limits as steps of one slot lead; slower and more thorough.

    With a single limit on an additive cost that is as near as the space comes. Arguments and
    result as in `repair`.
    """
    steps = 2 * variation.slots
    return _walk(rows, variation.neighbours, costs, limits, steps=steps, patient=False)


def _walk(
    rows: Rows,
    neighbours: Callable[[Rows], Rows],
    costs: Costs,
    limits: Limits,
    *,
    steps: int,
    patient: bool,
) -> tuple[Rows, Floats]:
    """Walks while a row is outside and steps are left; impatiently, only while rows move."""
    rows = rows.copy()
    left = violation(costs(rows), limits)
    for _ in range(steps):
        outside = np.flatnonzero(left > 0)
        if not len(outside):
            break
        around = neighbours(rows[outside])
        theirs = violation(costs(around), limits).reshape(len(outside), -1)
        best = theirs.argmin(axis=1)
        least = theirs[np.arange(len(outside)), best]
        moves = least < left[outside]
        if not (patient or moves.any()):
            break
        chosen = around.reshape(*theirs.shape, -1)[np.arange(len(outside)), best]
        rows[outside[moves]] = chosen[moves]
        left[outside[moves]] = least[moves]
    return rows, left
