"""The schedule of visits and when it ends, on a simulated machine whose time is not ours."""

import itertools
import math
import statistics
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.device.burst import BurstPlan, time_burst
from pipeline.device.machine_state import MachineState
from pipeline.measure.bench import CONTROL
from pipeline.measure.protocol import TimingProtocol
from pipeline.measure.schedule import Burst, is_finished, measure, why_stopped
from pipeline.measure.statistics import MIN_SWEEPS, Visit
from tests.measure.simulated import (
    QUICK,
    SUBJECTS,
    TRUTH_MS,
    SimulatedBench,
    Spells,
    a_visit,
    steady,
    visits_of,
)


def a_protocol(**changes: float) -> TimingProtocol:
    return TimingProtocol.model_validate({**QUICK.model_dump(), **changes})


def order(visits: Sequence[Visit], sweep: int) -> list[str]:
    return [visit.key for visit in visits if visit.sweep == sweep]


def places(visits: Sequence[Visit]) -> list[tuple[int, str]]:
    return [(visit.sweep, visit.key) for visit in visits]


def steadily_slowing(at_s: float) -> float:
    """No two bursts are equal."""
    return 1 + at_s


# The schedule.


def test_every_subject_is_visited_once_a_sweep_in_the_order_of_sweeps() -> None:
    visits = visits_of(SimulatedBench())
    assert [visit.sweep for visit in visits] == sorted([0, 1, 2] * len(SUBJECTS))
    assert all(sorted(order(visits, sweep)) == sorted(SUBJECTS) for sweep in range(3))


def test_the_order_is_random_between_sweeps_and_decided_by_the_seed() -> None:
    protocol = a_protocol(sweeps=8, min_sweeps=8)
    one, same, other = (visits_of(SimulatedBench(), protocol, seed=seed) for seed in (3, 3, 4))
    assert len({tuple(order(one, sweep)) for sweep in range(8)}) > 3
    assert places(one) == places(same)
    assert places(one) != places(other)


def test_warm_up_comes_before_all_visits_and_into_none_of_them() -> None:
    bench = SimulatedBench(cold_ms=45)
    visits = visits_of(bench, a_protocol(warmup_ms=50, warm_runs=0))
    calls = [(what, key) for _, what, key in bench.calls]
    warmed = calls[: calls.index(("burst", CONTROL))]
    assert warmed[0] == ("warm", CONTROL)
    assert sorted(warmed) == sorted(("warm", key) for key in TRUTH_MS)
    assert len(bench.called("warm")) == len(warmed)
    for visit in visits:
        assert visit.samples_ms == pytest.approx([TRUTH_MS[visit.key]] * 2)
        assert visit.control_before_ms == pytest.approx([TRUTH_MS[CONTROL]] * 2)


def test_without_warm_up_the_same_machine_gives_wrong_samples() -> None:
    first = visits_of(SimulatedBench(cold_ms=45), a_protocol(warmup_ms=0, warm_runs=0))[0]
    assert first.samples_ms[0] > 5 * TRUTH_MS[first.key]


def test_a_burst_of_the_control_network_stands_between_two_visits_and_belongs_to_both() -> None:
    bench = SimulatedBench(steadily_slowing)
    visits = visits_of(bench)
    keys = bench.called("burst")
    assert keys[0::2] == [CONTROL] * (len(visits) + 1)
    assert keys[1::2] == [visit.key for visit in visits]
    for before, after in itertools.pairwise(visits):
        assert before.control_after_ms == after.control_before_ms
        assert before.control_after_ms != before.control_before_ms
    assert {len(visit.control_before_ms) for visit in visits} == {QUICK.control_runs}


def test_a_visit_says_when_it_was_made_and_in_what_precision() -> None:
    visits = visits_of(SimulatedBench())
    times = [visit.at for visit in visits]
    assert times == sorted(set(times))
    assert all(visit.precision == f"precision of {visit.key}" for visit in visits)


def test_a_visit_keeps_what_the_machine_did_in_its_own_burst_not_in_the_controls() -> None:
    bench = SimulatedBench()
    visits = visits_of(bench)
    # The bench counts its calls as interruptions, and tells the end of a burst as the load.
    own = [number for number, call in enumerate(bench.calls, start=1) if call[2] in SUBJECTS]
    assert [visit.interruptions for visit in visits] == own[-len(visits) :]
    for visit in visits:
        assert visit.interruptions is not None
        assert visit.state is not None
        (end_s, what, key) = bench.calls[visit.interruptions]
        assert (what, key) == ("burst", CONTROL)
        assert visit.state == MachineState(load_1min=end_s)


def test_visits_that_were_made_are_not_made_again_and_the_others_keep_their_order() -> None:
    whole = visits_of(SimulatedBench(), seed=5)
    known = whole[1:8:2]
    rest = visits_of(SimulatedBench(), seed=5, known=known)
    assert places(rest) == [place for place in places(whole) if place not in places(known)]


def test_only_what_is_still_to_be_visited_is_warmed() -> None:
    known = [visit for visit in visits_of(SimulatedBench()) if visit.key != "small"]
    bench = SimulatedBench()
    visits_of(bench, known=known)
    assert bench.called("warm") == [CONTROL, "small"]


def test_where_all_was_visited_nothing_runs() -> None:
    bench = SimulatedBench()
    assert visits_of(bench, known=visits_of(SimulatedBench())) == []
    assert bench.calls == []


def test_where_sweeps_agree_already_nothing_runs() -> None:
    protocol = a_protocol(sweeps=24, min_sweeps=5)
    known = visits_of(SimulatedBench(), protocol)
    assert {visit.sweep for visit in known} == set(range(5))
    bench = SimulatedBench()
    assert visits_of(bench, protocol, known=known) == []
    assert bench.calls == []


def test_visits_come_as_they_are_made() -> None:
    bench = SimulatedBench()
    campaign = measure(bench, SUBJECTS, QUICK, seed=0, now=bench.now)
    assert bench.calls == []
    first = next(campaign)
    assert bench.called("burst") == [CONTROL, first.key, CONTROL]


# Sweeps are apart in time.


def starts_of_sweeps(bench: SimulatedBench) -> list[float]:
    """When the first subject of each sweep began to run, warm runs included."""
    starts = [at_s for at_s, what, key in bench.calls if what == "burst" and key != CONTROL]
    return starts[:: len(SUBJECTS)]


def test_a_sweep_waits_until_the_one_before_is_long_enough_ago() -> None:
    bench = SimulatedBench(steadily_slowing)
    visits_of(bench, a_protocol(sweeps=6, min_sweeps=6, sweep_interval_s=1.5))
    sleeps = [(at_s, seconds) for at_s, what, seconds in bench.calls if what == "sleep"]
    starts = starts_of_sweeps(bench)
    assert len(sleeps) == len(starts) - 1 == 5  # none before the first
    for start_s, (at_s, seconds) in zip(starts[:-1], sleeps, strict=True):
        assert at_s + float(seconds) - start_s == pytest.approx(1.5)
        assert 0 < float(seconds) < 1.5


def test_a_sweep_that_takes_longer_is_not_waited_for() -> None:
    bench = SimulatedBench()
    visits_of(bench, a_protocol(sweeps=6, min_sweeps=6, sweep_interval_s=1e-4))
    took_s = [after - before for before, after in itertools.pairwise(starts_of_sweeps(bench))]
    assert min(took_s) > 1e-4
    assert bench.called("sleep") == []


def test_after_waiting_the_control_network_runs_anew() -> None:
    bench = SimulatedBench(steadily_slowing)
    visits = visits_of(bench, a_protocol(sweep_interval_s=1))
    for before, after in itertools.pairwise(visits):
        same_sweep = before.sweep == after.sweep
        assert (before.control_after_ms == after.control_before_ms) == same_sweep
    for at_s, what, seconds in bench.calls:
        if what == "sleep":
            following = next(c for c in bench.calls if c[0] > at_s)
            assert following == (at_s + float(seconds), "burst", CONTROL)


def test_a_campaign_that_goes_on_begins_at_once() -> None:
    known = visits_of(SimulatedBench())[:6]
    bench = SimulatedBench()
    visits_of(bench, a_protocol(sweep_interval_s=1), known=known)
    kinds = [what for _, what, _ in bench.calls]
    assert kinds[: kinds.index("sleep")].count("burst") == 1 + 2 * (len(SUBJECTS) - 2)


# When it ends.


class ScriptedBench(SimulatedBench):
    """A bench whose n-th burst of a subject takes what the script says, whenever it is made.

    Args:
        levels: By subject, the latency of each visit in multiples of the true one.
        known: Visits that were made before this bench began.
    """

    def __init__(self, levels: dict[str, list[float]], known: Sequence[Visit] = ()) -> None:
        super().__init__()
        self._levels = levels
        self._made = Counter(visit.key for visit in known)
        self._current = 1.0

    def burst(self, key: str, plan: BurstPlan) -> Burst:
        self._slowness = steady
        if key != CONTROL:
            level = self._levels[key][self._made[key]]
            self._slowness = lambda at_s: level
            self._made[key] += 1
        return super().burst(key, plan)


LEVELS = st.fixed_dictionaries(
    {key: st.lists(st.floats(1, 1.1), min_size=12, max_size=12) for key in SUBJECTS}
)


def agree(levels: dict[str, list[float]], made: int, percent: float) -> bool:
    """The rule in its own words: a third of the sweeps come near to the fastest."""
    squares = []
    for of_subject in levels.values():
        seen = sorted(of_subject[:made])
        squares.append((seen[max(-(-made // 3), 2) - 1] / seen[0] - 1) ** 2)
    return 100 * math.sqrt(statistics.mean(squares)) <= percent


@given(LEVELS, st.integers(3, 12), st.sampled_from([0.5, 1.0, 2.0, 4.0]))
@settings(max_examples=60)
def test_it_ends_after_the_first_sweep_with_which_sweeps_agree(
    levels: dict[str, list[float]], min_sweeps: int, percent: float
) -> None:
    protocol = a_protocol(sweeps=12, min_sweeps=min_sweeps, agree_percent=percent)
    visits = visits_of(ScriptedBench(levels), protocol)
    counts = set(Counter(visit.key for visit in visits).values())
    expected = next((n for n in range(min_sweeps, 13) if agree(levels, n, percent)), 12)
    assert counts == {expected}
    reason = "agreed" if agree(levels, expected, percent) else "sweeps"
    assert why_stopped(visits, SUBJECTS, protocol) == reason


def test_sweeps_that_agree_end_it_no_sooner_than_the_least() -> None:
    for min_sweeps in (3, 5, 9):
        protocol = a_protocol(sweeps=24, min_sweeps=min_sweeps)
        visits = visits_of(SimulatedBench(), protocol)
        assert len(visits) == min_sweeps * len(SUBJECTS)
        assert why_stopped(visits, SUBJECTS, protocol) == "agreed"


def test_sweeps_that_never_agree_are_all_made() -> None:
    protocol = a_protocol(sweeps=11, min_sweeps=3, agree_percent=0.0)
    visits = visits_of(SimulatedBench(Spells(0, 0.02)), protocol)
    assert len(visits) == 11 * len(SUBJECTS)
    assert why_stopped(visits, SUBJECTS, protocol) == "sweeps"
    assert is_finished(visits, SUBJECTS, protocol)


def test_fewer_sweeps_than_the_least_can_be_asked_for() -> None:
    protocol = TimingProtocol(sweeps=4)
    assert (protocol.min_sweeps, protocol.least_sweeps) == (9, 4)
    visits = visits_of(SimulatedBench(Spells(0, 0.02)), protocol)
    assert {visit.sweep for visit in visits} == set(range(4))
    assert is_finished(visits, SUBJECTS, protocol)
    assert TimingProtocol(sweeps=20, min_sweeps=7).least_sweeps == 7


@given(st.floats(1e-6, 1.0), st.sampled_from([0, 0.05, 0.3]))
@settings(max_examples=60)
def test_no_visit_begins_after_the_budget_but_three_sweeps_are_always_made(
    budget_s: float, sweep_interval_s: float
) -> None:
    protocol = a_protocol(
        sweeps=40,
        min_sweeps=40,
        budget_s=budget_s,
        sweep_interval_s=sweep_interval_s,
        agree_percent=0,
    )
    bench = SimulatedBench(Spells(1, 0.02))
    visits = visits_of(bench, protocol)
    bursts = [at_s for at_s, what, key in bench.calls if what == "burst" and key != CONTROL]
    for visit, start_s in zip(visits, bursts, strict=True):
        assert visit.sweep < MIN_SWEEPS or start_s <= budget_s
    assert len(visits) >= MIN_SWEEPS * len(SUBJECTS)
    if len(visits) > MIN_SWEEPS * len(SUBJECTS):
        # Nor is anything waited for that will not be made; only a visit that was begun is ended.
        assert bench.at_s <= budget_s + 0.1
    if len(visits) < 40 * len(SUBJECTS):
        assert why_stopped(visits, SUBJECTS, protocol) == "budget"
        assert not is_finished(visits, SUBJECTS, protocol)
        assert bench.at_s + sweep_interval_s > budget_s  # it did not give up too soon


def test_the_time_is_not_slept_away_where_no_sweep_will_follow() -> None:
    protocol = a_protocol(sweeps=9, min_sweeps=9, budget_s=25, sweep_interval_s=10)
    bench = SimulatedBench()
    visits = visits_of(bench, protocol)
    assert {visit.sweep for visit in visits} == {0, 1, 2}
    assert bench.at_s == pytest.approx(20, abs=0.5)
    assert why_stopped(visits, SUBJECTS, protocol) == "budget"


def test_three_sweeps_that_happen_to_agree_when_the_time_is_up_ended_by_the_budget() -> None:
    """Agreement counts from the least number of sweeps on; before, it is luck."""
    protocol = a_protocol(sweeps=24, min_sweeps=9, budget_s=1e-3)
    visits = visits_of(SimulatedBench(), protocol)
    assert {visit.sweep for visit in visits} == {0, 1, 2}
    assert why_stopped(visits, SUBJECTS, protocol) == "budget"
    assert not is_finished(visits, SUBJECTS, protocol)


def test_each_call_has_the_budget_anew() -> None:
    protocol = a_protocol(sweeps=12, min_sweeps=12, budget_s=0.3)
    known: list[Visit] = []
    for _ in range(20):
        known += visits_of(SimulatedBench(), protocol, known=known)
    assert sorted(places(known)) == sorted(itertools.product(range(12), SUBJECTS))
    assert is_finished(known, SUBJECTS, protocol)


@given(LEVELS, st.data(), st.sampled_from([0.0, 0.5, 1.0, 2.0]))
@settings(max_examples=60)
def test_an_interrupted_campaign_goes_on_as_if_nothing_had_been(
    levels: dict[str, list[float]], data: st.DataObject, percent: float
) -> None:
    protocol = a_protocol(sweeps=12, min_sweeps=4, agree_percent=percent)
    whole = visits_of(ScriptedBench(levels), protocol, seed=7)
    made: list[Visit] = []
    while len(made) < len(whole):
        assert not is_finished(made, SUBJECTS, protocol)
        rest = visits_of(ScriptedBench(levels, made), protocol, seed=7, known=made)
        made += rest[: data.draw(st.integers(1, len(rest)))]
    assert places(made) == places(whole)
    for one, other in zip(made, whole, strict=True):
        assert one.samples_ms == pytest.approx(other.samples_ms)
    assert is_finished(made, SUBJECTS, protocol)
    assert visits_of(ScriptedBench(levels, made), protocol, seed=7, known=made) == []


def test_the_sweep_being_made_does_not_decide_whether_to_go_on() -> None:
    """One visit more, and sweeps agree; an undisturbed campaign would not have looked then."""
    levels = [1.1, 1.1, 1.0, 1.1]
    keys = ["a", "b"]
    visits = [a_visit([level], key="a", sweep=n) for n, level in enumerate([*levels, 1.0, 1.0])]
    visits += [a_visit([1.0], key="b", sweep=n) for n in range(4)]
    protocol = a_protocol(sweeps=12, min_sweeps=4, agree_percent=0.5)
    assert not is_finished(visits, keys, protocol)
    visits += [a_visit([1.0], key="b", sweep=n) for n in (4, 5)]
    assert is_finished(visits, keys, protocol)


def test_a_subject_without_visits_is_not_finished() -> None:
    visits = visits_of(SimulatedBench())
    assert is_finished(visits, SUBJECTS, QUICK)
    assert not is_finished(visits, [*SUBJECTS, "new"], QUICK)
    assert not is_finished([], SUBJECTS, QUICK)


def test_others_visits_in_the_journal_decide_nothing() -> None:
    visits = visits_of(SimulatedBench())
    wild = [a_visit([float(n + 1)], key="other", sweep=n) for n in range(3)]
    assert why_stopped([*wild, *visits], SUBJECTS, QUICK) == "agreed"
    assert why_stopped([*wild, *visits], ["other"], QUICK) == "sweeps"


# One burst.


@pytest.mark.parametrize(
    ("run_ms", "runs", "burst_ms", "max_runs", "expected"),
    [
        pytest.param(1.0, 8, 2.0, 40, 8, id="long enough: the least number of runs"),
        pytest.param(0.125, 8, 2.0, 40, 16, id="short: until the burst is filled"),
        pytest.param(0.015625, 8, 2.0, 40, 40, id="very short: until the most runs"),
        pytest.param(0.125, 8, 0.0, 40, 8, id="no length asked"),
        pytest.param(0.125, 50, 2.0, 40, 50, id="the least wins over the most"),
        pytest.param(0.0, 3, 2.0, 7, 7, id="a clock too coarse to see a run"),
    ],
)
def test_how_many_runs_a_burst_has(
    run_ms: float, runs: int, burst_ms: float, max_runs: int, expected: int
) -> None:
    at_s, started = 0.0, 0

    def run() -> None:
        nonlocal at_s, started
        at_s += run_ms / 1e3
        started += 1

    samples_ms = time_burst(run, lambda: at_s, BurstPlan(3, runs, burst_ms, max_runs))
    assert samples_ms == pytest.approx([run_ms] * expected)
    assert started == expected + 3


def test_warm_runs_are_no_samples_and_do_not_fill_the_burst() -> None:
    took_ms = iter([100.0, 100.0, 1.0, 1.25, 1.5])
    at_s = 0.0

    def run() -> None:
        nonlocal at_s
        at_s += next(took_ms) / 1e3

    samples_ms = time_burst(run, lambda: at_s, BurstPlan(2, 1, 3.5, 9))
    assert samples_ms == pytest.approx([1.0, 1.25, 1.5])


# The protocol.


@pytest.mark.parametrize(
    "wrong",
    [
        {"sweeps": 2},
        {"min_sweeps": 2},
        {"runs": 0},
        {"control_runs": 0},
        {"burst_ms": -1},
        {"burst_us": 1},
        {"budget_s": 0},
        {"sweep_interval_s": -1},
        {"agree_percent": -1},
        {"unsteady_percent": 0},
    ],
)
def test_a_protocol_that_cannot_measure_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        TimingProtocol.model_validate(wrong)


def test_only_what_a_visit_is_made_by_ties_visits_together() -> None:
    when = {
        "sweeps": 5,
        "min_sweeps": 4,
        "agree_percent": 9,
        "unsteady_percent": 9,
        "budget_s": 9,
        "sweep_interval_s": 9,
    }
    how = {
        "warm_runs": 9,
        "runs": 9,
        "burst_ms": 9,
        "max_runs": 9,
        "warmup_ms": 9,
        "control_runs": 9,
    }
    assert set(when) | set(how) == set(TimingProtocol.model_fields)
    usual = TimingProtocol()
    assert TimingProtocol.model_validate(when).of_a_visit() == usual.of_a_visit()
    for name, value in how.items():
        assert TimingProtocol.model_validate({name: value}).of_a_visit() != usual.of_a_visit()
