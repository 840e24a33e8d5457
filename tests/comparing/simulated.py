"""The fastest runs of visits as machines make them: never below a floor, often near it.

Levels move between campaigns by themselves. Above its level a visit is slower by an exponential
part, and on a busy machine some visits are slower by half: the excesses of the committed tables and
of benchmarks on a busy machine look like this (docs/measuring.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.comparing.levels import CAMPAIGN_STD_PERCENT

NOISE = 0.012
DISTURBED_BY = 0.45


def visits_ms(
    rng: np.random.Generator,
    level_ms: float,
    count: int,
    *,
    noise: float = NOISE,
    disturbed: float = 0.0,
    campaign_std: float = CAMPAIGN_STD_PERCENT / 100,
) -> NDArray[np.float64]:
    """The fastest run of each visit of one campaign.

    Args:
        rng: Where randomness comes from.
        level_ms: The latency of the undisturbed machine.
        count: How many visits.
        noise: Mean excess of an undisturbed visit.
        disturbed: Share of visits that something else ran beside.
        campaign_std: By how much the level moves between campaigns.
    """
    moved = level_ms * np.exp(campaign_std * rng.standard_normal())
    excess = noise * rng.standard_exponential(count)
    slow = rng.random(count) < disturbed
    return np.asarray(
        moved * np.exp(excess + slow * DISTURBED_BY * (1 + 0.3 * rng.standard_normal(count)))
    )
