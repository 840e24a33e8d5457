"""Domination, fronts and survivors against their definitions, one pair at a time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.search.front import crowding, dominates, fronts, pareto_front, survivors

# Few values, so that ties are frequent.
VALUE = st.integers(0, 4).map(float)
VIOLATION = st.sampled_from([0.0, 0.0, 0.0, 0.1, 0.5])
CANDIDATES = st.lists(st.tuples(VALUE, VALUE, VIOLATION), min_size=1, max_size=12)


def arrays(candidates):
    table = np.array(candidates)
    return table[:, :2], table[:, 2]


def beats(one, other):
    """Constrained domination as its rules say, for one pair."""
    (a, b, v), (c, d, w) = one, other
    if v == 0 and w > 0:
        return True
    if v > 0 or w > 0:
        return v < w
    return a <= c and b <= d and (a < c or b < d)


@given(CANDIDATES)
def test_domination_follows_its_rules(candidates):
    found = dominates(*arrays(candidates))
    assert found.tolist() == [[beats(i, j) for j in candidates] for i in candidates]


@given(CANDIDATES)
def test_domination_is_a_strict_partial_order(candidates):
    found = dominates(*arrays(candidates))
    assert not found.diagonal().any()
    assert not (found & found.T).any()
    two_steps = found.astype(int) @ found.astype(int) > 0
    assert (found | ~two_steps).all()


@given(CANDIDATES)
def test_every_front_is_what_nobody_left_dominates(candidates):
    found = [front.tolist() for front in fronts(*arrays(candidates))]
    left = set(range(len(candidates)))
    for front in found:
        expected = {i for i in left if not any(beats(candidates[j], candidates[i]) for j in left)}
        assert set(front) == expected
        assert front == sorted(front)
        left -= expected
    assert not left


@given(st.integers(0, 2**32 - 1), st.sampled_from([8, 60, 10**6]))
@settings(max_examples=25)
def test_the_fronts_of_many_are_those_of_all_pairs(seed, levels):
    """With few levels most candidates are equal to others in an objective or in both."""
    rng = np.random.default_rng(seed)
    objectives = rng.integers(0, levels, (150, 2)).astype(float)
    beyond = np.where(rng.random(150) < 0.3, rng.integers(1, 5, 150) / 10, 0.0)
    beats_it = dominates(objectives, beyond)
    left = np.ones(150, dtype=bool)
    for front in fronts(objectives, beyond):
        expected = left & ~(beats_it & left[:, None]).any(axis=0)
        assert front.tolist() == np.flatnonzero(expected).tolist()
        left &= ~expected
    assert not left.any()


def test_no_candidates_have_no_fronts():
    assert list(fronts(np.empty((0, 2)), np.empty(0))) == []
    assert survivors(np.empty((0, 2)), np.empty(0), 3).tolist() == []
    assert pareto_front(np.empty(0), np.empty(0)) == []


@given(CANDIDATES)
def test_no_infeasible_candidate_is_before_a_feasible_one(candidates):
    _, beyond = arrays(candidates)
    worst = [beyond[front].max() for front in fronts(*arrays(candidates))]
    assert worst == sorted(worst)


@given(CANDIDATES, st.integers(1, 12))
def test_survivors_are_the_best_fronts(candidates, size):
    kept = survivors(*arrays(candidates), size).tolist()
    assert len(kept) == len(set(kept)) == min(size, len(candidates))
    rank = {}
    for number, front in enumerate(fronts(*arrays(candidates))):
        rank |= dict.fromkeys(front.tolist(), number)
    gone = set(range(len(candidates))) - set(kept)
    assert not gone or max(rank[i] for i in kept) <= min(rank[i] for i in gone)


@given(CANDIDATES)
def test_the_most_accurate_feasible_candidate_survives(candidates):
    objectives, beyond = arrays(candidates)
    feasible = np.flatnonzero(beyond == 0)
    kept = set(survivors(objectives, beyond, 2).tolist()) & set(feasible.tolist())
    if len(feasible):
        assert objectives[list(kept), 0].min() == objectives[feasible, 0].min()


def test_the_ends_of_a_front_are_never_crowded():
    objectives = np.array([[0.0, 4.0], [1.0, 2.0], [1.1, 1.9], [4.0, 0.0]])
    distance = crowding(objectives)
    assert np.isinf(distance[[0, 3]]).all()
    assert distance[1] == pytest.approx(1.1 / 4 + 2.1 / 4)
    assert distance[2] == pytest.approx(3 / 4 + 2 / 4)


def test_equal_candidates_have_a_crowding_distance():
    assert not np.isnan(crowding(np.ones((3, 2)))).any()
    assert len(crowding(np.ones((1, 2)))) == 1


@given(st.lists(st.tuples(VALUE, VALUE), max_size=14))
def test_the_front_is_what_nobody_beats_fastest_first(points):
    accuracy = np.array([a for a, _ in points])
    latency = np.array([t for _, t in points])
    front = pareto_front(accuracy, latency)
    expected = {
        i
        for i, (a, t) in enumerate(points)
        if not any(b >= a and u <= t and (b > a or u < t) for b, u in points)
    }
    assert set(front) == expected
    assert len(front) == len(expected)
    assert latency[front].tolist() == sorted(latency[front])
    assert accuracy[front].tolist() == sorted(accuracy[front])
