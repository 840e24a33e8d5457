"""Hypervolume against areas counted in small cells."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.search.hypervolume import hypervolume

CELLS = 40
POINTS = st.lists(st.tuples(st.integers(-5, 100), st.integers(1, CELLS + 5)), max_size=8)


def measured(points, *, guessing=0.0):
    """Of points as (height, latency): at 100 the log-loss is 0, guessing is at a lower one."""
    quality = np.array([float(height) - 100 for height, _ in points])
    latency = np.array([float(t) for _, t in points])
    return hypervolume(quality, latency, guessing_nats=100 - guessing, slowest_ms=float(CELLS))


@given(POINTS, st.sampled_from([0, 10]))
@settings(max_examples=60)
def test_the_share_is_that_of_the_dominated_cells(points, chance):
    cells = sum(
        any(accuracy >= level and latency <= begin for accuracy, latency in points)
        for begin in range(CELLS)
        for level in range(chance + 1, 101)
    )
    expected = cells / (CELLS * (100 - chance))
    assert measured(points, guessing=float(chance)) == pytest.approx(expected)


@given(POINTS, st.tuples(st.integers(0, 100), st.integers(1, CELLS)))
def test_a_further_candidate_never_takes_anything_away(points, one):
    before, after = measured(points), measured([*points, one])
    assert after >= before - 1e-12
    if points and all(a < one[0] or t > one[1] for a, t in points) and one[0] and one[1] < CELLS:
        assert after > before


def test_its_ends():
    assert measured([]) == 0
    assert measured([(100, 0)]) == 1
    assert measured([(5, 1)], guessing=10.0) == 0
    assert measured([(100, CELLS)]) == 0
