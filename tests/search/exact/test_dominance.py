"""Undominated points against the definition, pair by pair."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.search.exact import dominance
from pipeline.search.exact.dominance import undominated


def by_definition(points):
    """Indices of those that no other is as good as in everything; of equal ones the first."""
    kept = []
    for i, point in enumerate(points):
        no_worse = (points <= point).all(axis=1)
        equal = (points == point).all(axis=1)
        if not (no_worse & ~equal).any() and np.flatnonzero(equal)[0] == i:
            kept.append(i)
    return kept


@given(
    st.integers(0, 120),
    st.integers(1, 5),
    st.sampled_from([2, 4, 10**6]),
    st.integers(0, 2**32 - 1),
    st.sampled_from([4, 256]),
)
@settings(max_examples=80)
def test_what_is_left_is_what_the_definition_says(count, dimensions, levels, seed, block):
    """Also across blocks, and with so few levels that most points have equals."""
    points = np.random.default_rng(seed).integers(0, levels, (count, dimensions)).astype(float)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dominance, "_BLOCK", block)
        patch.setattr(dominance, "_KEPT_AT_ONCE", 2 * block)
        found = undominated(points)
    assert sorted(found.tolist()) == by_definition(points)
    assert points[found].tolist() == sorted(points[found].tolist())


def test_a_front_of_thousands_is_kept_whole():
    x = np.random.default_rng(0).permutation(3000).astype(float)
    assert len(undominated(np.column_stack([x, -x]))) == 3000
    assert undominated(np.column_stack([x, x])).tolist() == [x.argmin()]
