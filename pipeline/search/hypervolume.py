"""Hypervolume in two dimensions: how much of what could be there a front dominates."""

from __future__ import annotations

import numpy as np

from pipeline.search.front import pareto_front
from pipeline.space.encoding import Floats


def hypervolume(
    accuracy_percent: Floats, latency_ms: Floats, *, chance_percent: float, slowest_ms: float
) -> float:
    """The share that candidates dominate of the rectangle between chance and perfection.

    Source: Zitzler & Thiele, "Multiobjective Evolutionary Algorithms: A Comparative Case Study and
    the Strength Pareto Approach", IEEE Transactions on Evolutionary Computation 3(4), 1999.

    Args:
        accuracy_percent: Shape (n,).
        latency_ms: Shape (n,).
        chance_percent: Accuracy at which the rectangle begins; it ends at 100 %.
        slowest_ms: Latency at which it begins; it ends at 0.

    Returns:
        0 to 1; 0 without candidates.
    """
    if not len(accuracy_percent):
        return 0.0
    front = pareto_front(accuracy_percent, latency_ms)
    height = (accuracy_percent[front] - chance_percent) / (100.0 - chance_percent)
    latency = np.minimum(latency_ms[front], slowest_ms)
    widths = np.diff(np.append(latency, slowest_ms)) / slowest_ms
    return float((np.clip(height, 0.0, 1.0) * widths).sum())
