"""Every network of a space, for tests that check draws against an enumeration."""

from collections import Counter

from scipy.stats import chisquare

from pipeline.space.encoding import Floats, Rows
from pipeline.space.search_space import get_space

CREAM = get_space("cream")


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
