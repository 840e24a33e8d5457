"""Where a search starts: networks inside the limits, or the nearest there is to them."""

from __future__ import annotations

import numpy as np

from pipeline.encoding import Floats, Rows
from pipeline.records import Limits
from pipeline.search.constraints import Costs
from pipeline.search.repair import repair
from pipeline.search.variation import Random, Variation

_MORE = 64
"""Random rows that are tried as well before limits are taken to exclude each other."""


def seed_rows(
    variation: Variation, n: int, *, costs: Costs, limits: Limits, rng: Random
) -> tuple[Rows, Floats]:
    """Looks for architectures inside the limits.

    A third is uniform (one operator, one depth), a third comes down from the deepest networks and
    so ends close under the limits, the rest is random; all are repaired. Only where that leaves
    nothing inside, they go on together with more random rows.

    Args:
        variation: The space's rows.
        n: How many.
        costs: Costs of rows, by name.
        limits: What is to hold.
        rng: Random generator.

    Returns:
        Rows, least violation first, and their violation; 0 inside the limits. Rows may repeat.
    """
    rows, left = repair(_starts(variation, n, rng), variation, costs, limits, rng)
    if (left > 0).all():
        rows = np.concatenate([rows, variation.random(_MORE, rng)])
        rows, left = repair(rows, variation, costs, limits, rng)
    order = np.argsort(left, kind="stable")
    return rows[order], left[order]


def _starts(variation: Variation, n: int, rng: Random) -> Rows:
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
