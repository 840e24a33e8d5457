"""Hypervolume in two dimensions: how much of what could be there a front dominates."""

from __future__ import annotations

import numpy as np

from pipeline.search.front import pareto_front
from pipeline.space.encoding import Floats


def hypervolume(
    quality: Floats, latency_ms: Floats, *, guessing_nats: float, slowest_ms: float
) -> float:
    """The share that candidates dominate of the rectangle between guessing and certainty.

    Source: Zitzler & Thiele, "Multiobjective Evolutionary Algorithms: A Comparative Case Study and
    the Strength Pareto Approach", IEEE Transactions on Evolutionary Computation 3(4), 1999.

    Args:
        quality: Minus the log-loss in nats, shape (n,).
        latency_ms: Shape (n,).
        guessing_nats: Log-loss at which the rectangle begins; it ends at 0.
        slowest_ms: Latency at which it begins; it ends at 0.

    Returns:
        0 to 1; 0 without candidates.
    """
    if not len(quality):
        return 0.0
    front = pareto_front(quality, latency_ms)
    height = 1.0 + quality[front] / guessing_nats
    latency = np.minimum(latency_ms[front], slowest_ms)
    widths = np.diff(np.append(latency, slowest_ms)) / slowest_ms
    return float((np.clip(height, 0.0, 1.0) * widths).sum())
