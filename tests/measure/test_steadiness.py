"""Slow spells that were put into a simulated machine are found again, and no others."""

import datetime
import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.measure.protocol import TimingProtocol
from pipeline.measure.statistics import Visit, by_key, reduce_visits
from pipeline.measure.steadiness import Spell, find_spells, steadiness
from tests.measure.simulated import (
    SUBJECTS,
    TRUTH_MS,
    SimulatedBench,
    a_visit,
    steady,
    time_of,
    visits_of,
)

TWELVE = TimingProtocol(sweeps=12, min_sweeps=12, warmup_ms=5, sweep_interval_s=0)


def slow_between(*spells_s: tuple[float, float]) -> Callable[[float], float]:
    """A machine that is half as fast in these spells."""
    return lambda at_s: 2.0 if any(start <= at_s < end for start, end in spells_s) else 1.0


def with_controls(*controls_ms: tuple[float, float]) -> list[Visit]:
    """A visit a second, whose control network took this long before and after."""
    return [
        a_visit([1.0], [9.0, before], [after, 9.0], at_s=float(second))
        for second, (before, after) in enumerate(controls_ms)
    ]


def seconds_of(visit: Visit) -> float:
    start = datetime.datetime.fromisoformat(time_of(0))
    return (datetime.datetime.fromisoformat(visit.at) - start).total_seconds()


def places(visits: list[Visit]) -> set[tuple[int, str]]:
    return {(visit.sweep, visit.key) for visit in visits}


FAST, SLOW = (1.0, 1.0), (1.2, 1.3)


# Finding spells.


def test_a_spell_reaches_from_its_first_visit_to_its_last() -> None:
    visits = with_controls(FAST, SLOW, SLOW, SLOW, FAST, FAST, SLOW)
    assert find_spells(visits) == [Spell(1, 3, 2.0), Spell(6, 6, 0.0)]


def test_a_visit_is_disturbed_where_the_control_network_was_slow_on_both_sides() -> None:
    visits = with_controls(FAST, (1.0, 1.5), (1.5, 1.5), (1.5, 1.0), FAST)
    assert find_spells(visits) == [Spell(2, 2, 0.0)]


def test_ten_percent_is_the_limit() -> None:
    assert find_spells(with_controls(FAST, (1.0999, 1.0999), FAST)) == []
    assert find_spells(with_controls(FAST, (1.1001, 1.1001), FAST)) == [Spell(1, 1, 0.0)]


def test_a_campaign_that_is_slow_throughout_has_no_spell() -> None:
    """There is nothing to tell by; another campaign would tell."""
    assert find_spells(with_controls(SLOW, SLOW, SLOW)) == []
    assert find_spells([]) == []


@given(st.lists(st.booleans(), max_size=30))
def test_spells_are_the_unbroken_runs_of_disturbed_visits(slow: list[bool]) -> None:
    visits = with_controls(FAST, *(SLOW if disturbed else FAST for disturbed in slow))
    expected, index = [], 1
    for disturbed, run in itertools.groupby(slow):
        length = len(list(run))
        if disturbed:
            expected.append(Spell(index, index + length - 1, length - 1.0))
        index += length
    assert find_spells(visits) == expected


@given(st.floats(0.2, 0.6), st.floats(0.4, 0.7))
def test_a_spell_of_the_machine_is_found_where_it_was(start_s: float, length_s: float) -> None:
    end_s = start_s + length_s
    visits = visits_of(SimulatedBench(slow_between((start_s, end_s))), TWELVE)
    assert seconds_of(visits[-1]) > end_s
    (found,) = find_spells(visits)
    # The longest visit takes 0.13 s, and those at the edges are partly outside.
    assert start_s < seconds_of(visits[found.first]) < start_s + 0.4
    assert end_s - 0.4 < seconds_of(visits[found.last]) < end_s + 0.2
    first, last = visits[found.first], visits[found.last]
    assert found.duration_s == pytest.approx(seconds_of(last) - seconds_of(first))
    within = visits[found.first : found.last + 1]
    for visit in within[1:]:  # the first may have begun before
        assert min(visit.control_before_ms) > 1.5
    assert all(
        min(*v.control_before_ms, *v.control_after_ms) < 1.0 for v in visits if v not in within
    )


def test_two_spells_of_the_machine_are_two() -> None:
    visits = visits_of(SimulatedBench(slow_between((0.2, 0.5), (1.0, 1.3))), TWELVE)
    first, second = find_spells(visits)
    assert first.last + 1 < second.first


@pytest.mark.parametrize("jitter", [0.0, 0.03])
def test_a_steady_machine_has_no_spells(jitter: float) -> None:
    random = np.random.default_rng(0)
    machine = SimulatedBench(lambda at_s: 1 + jitter * float(random.random()))
    assert find_spells(visits_of(machine, TWELVE)) == []


def test_a_spell_over_whole_sweeps_does_not_move_typical() -> None:
    undisturbed = visits_of(SimulatedBench(steady), TWELVE)
    visits = visits_of(SimulatedBench(slow_between((0.1, 0.9))), TWELVE)
    (found,) = find_spells(visits)
    slow = places(visits[found.first : found.last + 1])
    whole = [n for n in range(12) if {(n, key) for key in SUBJECTS} <= slow]
    assert len(whole) >= 2
    for key in SUBJECTS:
        stats = reduce_visits(by_key(visits)[key])
        assert stats.typical == pytest.approx(reduce_visits(by_key(undisturbed)[key]).typical)
        assert stats.typical == pytest.approx(TRUTH_MS[key])
        assert stats.mean > 1.2 * stats.typical


# Summing up a campaign.


def test_a_campaign_is_summed_up() -> None:
    visits = with_controls(FAST, SLOW, SLOW, FAST, SLOW, FAST, FAST, FAST)
    samples = [1.0, 2.0, 2.0, 1.1, 2.0, 1.2, 1.3, 1.2]
    visits = [
        visit.model_copy(update={"samples_ms": (ms,), "sweep": sweep})
        for sweep, (visit, ms) in enumerate(zip(visits, samples, strict=True))
    ]
    found = steadiness(visits, {"subject": visits}, "budget")
    assert (found.stopped, found.sweeps) == ("budget", 8)
    assert (found.spells, found.longest_spell_s) == (2, 1.0)
    assert found.disturbed_percent == pytest.approx(100 * 3 / 8)
    # Three of eight visits came within 1.2.
    assert found.disagreement_percent == pytest.approx(20)
    assert found.interrupted_percent is None


def test_the_subject_with_the_fewest_visits_tells_how_many_sweeps_were_made() -> None:
    visits = visits_of(SimulatedBench(), TWELVE)[:-2]
    found = steadiness(visits, by_key(visits), "budget")
    assert found.sweeps == 11
    assert (found.spells, found.disturbed_percent, found.longest_spell_s) == (0, 0.0, 0.0)
    assert found.disagreement_percent == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("counts", "percent"),
    [
        ([0, 0, 0, 0], 0.0),
        ([0, 3, 0, 1], 50.0),
        ([None, None, 2, 0], 50.0),
        ([None, None, None, 1], 100.0),
        ([None, None, None, None], None),
    ],
)
def test_visits_that_something_else_ran_in_are_counted_among_those_that_tell(
    counts: list[int | None], percent: float | None
) -> None:
    visits = [a_visit([1.0], sweep=n, interruptions=count) for n, count in enumerate(counts)]
    assert steadiness(visits, {"subject": visits}, "agreed").interrupted_percent == percent
