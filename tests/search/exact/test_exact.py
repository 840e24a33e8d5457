"""What is said to be proved, against enumerations of random small spaces.

The limits of these are the very costs of networks, so that whether one is within them is as close
a call as there is.
"""

from functools import lru_cache

import numpy as np
import pytest

from pipeline.search.exact import exact_front as exact_front_module
from pipeline.search.exact import front_refinement
from pipeline.search.exact.exact_front import exact_front
from pipeline.search.exact.integer_program import best_within, nearest
from pipeline.search.exact.linear import Cuts, linear_limits
from pipeline.search.exact.surrogate_front import ExactFront, joined_fronts
from pipeline.space.encoding import SlotTable
from tests.search.random_problems import Enumerated, enumerated
from tests.search.toys import CPU

SEEDS, WITH_MARGIN = range(9, 29), range(100, 110)
CASES = [(seed, 0.5) for seed in SEEDS] + [(seed, 0.9) for seed in WITH_MARGIN]
ALL = pytest.mark.parametrize(("seed", "confidence"), CASES)


@lru_cache(maxsize=len(CASES))
def case(seed: int, confidence: float) -> Enumerated:
    return enumerated(seed, confidence=confidence)


def front_within(its):
    tables = its.surrogates.values()
    return joined_fronts([exact_front(its.problem, table, Cuts()) for table in tables])


@lru_cache(maxsize=len(CASES))
def front_of_case(seed: int, confidence: float) -> ExactFront:
    return front_within(case(seed, confidence))


def test_the_cases_are_of_all_kinds():
    kinds = [case(seed, confidence) for seed, confidence in CASES]
    limits = [its.problem.limits for its in kinds]
    feasible = [bool(its.inside.any()) for its in kinds]
    assert 4 <= feasible.count(False) < len(CASES) / 2
    assert sum(len(its.surrogates) > 1 for its in kinds) >= 10
    assert sum(one.macs_min is not None for one in limits) >= 10
    assert sum(one.params is not None for one in limits) >= 10
    assert sum(len(one.latency_ms) == 2 for one in limits) >= 10
    assert sum(its.inside.mean() < 0.05 for its in kinds) >= 10
    # Margins exclude networks that a prediction alone admits.
    for its in kinds[len(SEEDS) :]:
        alone = its.problem.within(its.problem.limits.model_copy(update={"confidence": 0.5}), CPU)
        assert (alone.violation(its.rows) <= 0).sum() >= its.inside.sum()


@ALL
def test_the_best_is_the_best_of_all(seed, confidence):
    its = case(seed, confidence)
    found = best_within(its.problem, its.surrogates, Cuts())
    if not its.inside.any():
        assert found is None
        return
    best = its.values[its.inside].max()
    assert found is not None
    assert found.value == pytest.approx(best, abs=1e-6)
    assert found.bound >= max(best, found.value)
    assert found.bound - found.value < 1e-4
    (place,) = np.flatnonzero((its.rows == found.row).all(axis=1))
    assert its.inside[place]
    assert its.values[place] == pytest.approx(found.value, abs=1e-9)


@ALL
def test_the_nearest_has_the_smallest_violation(seed, confidence):
    its = case(seed, confidence)
    found = nearest(its.problem, Cuts())
    least = its.violation.min()
    assert found.value == pytest.approx(least, abs=1e-6)
    assert (found.value == 0) == (least == 0)
    assert found.bound <= least + 1e-9
    assert found.value - found.bound < 1e-5
    (place,) = np.flatnonzero((its.rows == found.row).all(axis=1))
    assert its.violation[place] == found.value


@ALL
def test_the_front_is_that_of_all_networks(seed, confidence):
    its, front = case(seed, confidence), front_of_case(seed, confidence)
    latency, value = its.front
    if not len(latency):
        assert len(front.rows) == 0
        return
    # What is told is there: networks within the limits, with these values, fastest first.
    places = [int(np.flatnonzero((its.rows == row).all(axis=1))[0]) for row in front.rows]
    assert its.inside[places].all()
    assert its.values[places] == pytest.approx(front.surrogate, abs=1e-9)
    assert its.latency_ms[places].tolist() == front.latency_ms.tolist()
    assert (np.diff(front.latency_ms) > 0).all()
    assert (np.diff(front.surrogate) > 0).all()
    # Nothing is above it by more than is told; and nothing is missing where it is proved.
    missed = value - front.at(latency * (1 + 1e-5))
    assert missed.max() <= front.gap_nats + 1e-6
    if front.gap_nats == 0:
        assert front.latency_ms == pytest.approx(latency, rel=1e-5)
        assert front.surrogate == pytest.approx(value, abs=1e-6)


def test_most_fronts_are_proved_and_all_without_lower_limits_and_margins():
    feasible = [each for each in CASES if case(*each).inside.any()]
    gaps = [front_of_case(*each).gap_nats for each in feasible]
    assert np.mean([gap == 0 for gap in gaps]) > 0.7
    assert max(gaps) > 0
    for each, gap in zip(feasible, gaps, strict=True):
        limits = case(*each).problem.limits
        assert gap == 0 or limits.macs_min is not None or limits.confidence > 0.5


@lru_cache
def front_of_few_kept(seed: int, pairs: int) -> ExactFront:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(exact_front_module, "_BEAM_PAIRS", (10, 20))
        patched.setattr(exact_front_module, "_FROM_BEAM", 1)
        patched.setattr(exact_front_module, "_MOST_PAIRS", pairs)
        return front_within(case(seed, 0.5))


DROPPED = [1, 3, 10, 26, 28]


@pytest.mark.parametrize("seed", DROPPED)
def test_a_gap_is_honest_where_partial_networks_were_dropped(seed):
    """However little is kept: then more is missing, and said to be."""
    latency, value = case(seed, 0.5).front
    gaps, missing = [], []
    for pairs in (30, 150, 8_000_000):
        front = front_of_few_kept(seed, pairs)
        missed = (value - front.at(latency * (1 + 1e-5))).max()
        assert missed <= front.gap_nats + 1e-6
        gaps.append(front.gap_nats)
        missing.append(missed)
    assert gaps[0] >= gaps[-1]
    assert missing[0] >= missing[-1] - 1e-9


def test_few_kept_do_leave_gaps():
    """Else the test before would say nothing."""
    assert sum(front_of_few_kept(seed, 30).gap_nats > 0 for seed in DROPPED) >= 2


def test_with_more_programs_a_refined_front_is_complete(monkeypatch):
    """The programs' number is all that keeps it from being."""
    its = case(*next(each for each in CASES if front_of_case(*each).gap_nats > 0))
    monkeypatch.setattr(front_refinement, "_PROGRAMS", 500)
    front = front_within(its)
    assert front.gap_nats == 0
    assert front.latency_ms == pytest.approx(its.front[0], rel=1e-5)
    assert front.surrogate == pytest.approx(its.front[1], abs=1e-6)


@pytest.mark.parametrize("seed", [0, 3, 4, 10, 103])
def test_where_all_networks_are_alike_the_front_is_the_fastest(seed):
    its = case(seed, 0.5 if seed < 100 else 0.9)
    assert its.inside.any()
    flat = {
        size: SlotTable(size, 50.0, np.zeros_like(table.values), table.max_depth)
        for size, table in its.surrogates.items()
    }
    front = joined_fronts([exact_front(its.problem, table, Cuts()) for table in flat.values()])
    assert front.surrogate.tolist() == [50.0]
    assert front.latency_ms == pytest.approx([its.latency_ms[its.inside].min()], rel=1e-6)
    assert front.gap_nats == 0
    assert best_within(its.problem, flat, Cuts()).value == 50


@pytest.mark.parametrize("seed", [101, 103, 106, 110])
def test_tangents_cut_off_only_what_is_outside(seed):
    """Limits made of tangents admit every network that the true limits admit."""
    its = case(seed, 0.9)
    cuts, rng = Cuts(), np.random.default_rng(seed)
    for row in its.rows[rng.choice(len(its.rows), 6)]:
        cuts.add(its.problem, row)
    for size in its.problem.tables.resolutions:
        here = its.rows[:, 0] == size
        rows, inside = its.rows[here], its.inside[here]
        for limit in linear_limits(its.problem, size, cuts):
            assert (limit.table.totals(rows[inside]) <= limit.at_most * (1 + 1e-12) + 1e-9).all()
