"""Every network of a space, for tests that check draws against an enumeration."""

import itertools
from collections import Counter

import numpy as np
from scipy.stats import chisquare

from pipeline.space.encoding import Floats, Rows
from pipeline.space.search_space import SearchSpace, get_space

CREAM = get_space("cream")


def every_row(space: SearchSpace, resolution: int) -> Rows:
    """Shape (networks, 1 + slots)."""
    codes = range(1, len(space.operators) + 1)
    stages = [
        (*stage, *(0,) * (space.max_depth - depth))
        for depth in range(1, space.max_depth + 1)
        for stage in itertools.product(codes, repeat=depth)
    ]
    everything = itertools.product(stages, repeat=len(space.stages))
    rows = [[resolution, *itertools.chain(*stages)] for stages in everything]
    return np.array(rows, dtype=np.int16)


def agreement(drawn: Rows, expected: Rows, weights: Floats) -> float:
    """How likely draws would differ so much from the weights of all networks (a p-value).

    Args:
        drawn: Shape (n, 1 + slots).
        expected: Every network that may be drawn, once; others fail the test.
        weights: Relative probability of each, shape (len(expected),).
    """
    counts = Counter(map(bytes, drawn))
    observed = [counts.pop(bytes(row), 0) for row in expected]
    assert not counts, "drawn though it is outside"
    return float(chisquare(observed, len(drawn) * weights / weights.sum()).pvalue)
