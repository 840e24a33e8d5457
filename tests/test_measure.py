"""The schedule and the statistics, on a simulated machine whose true latencies are known."""

import itertools
import statistics
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.errors import MeasurementError
from pipeline.measure import (
    TimingProtocol,
    Visit,
    by_key,
    control_stats,
    measure,
    reduce_visits,
    time_burst,
)

TRUTH_MS = {"control": 0.8, "small": 0.05, "middle": 0.4, "large": 1.5, "huge": 5.0}
SUBJECTS = [key for key in TRUTH_MS if key != "control"]
QUICK = TimingProtocol(sweeps=3, warm_runs=1, runs=2, burst_ms=0, warmup_ms=1, control_runs=2)


class SimulatedBench:
    """A machine on which time passes only while a subject runs.

    Args:
        slowness: How many times longer a run takes that starts at a time in seconds.
        cold_ms: How long a subject runs before it reaches its latency; ten times longer till then.
    """

    def __init__(
        self, slowness: Callable[[float], float] = lambda at_s: 1.0, cold_ms: float = 0.0
    ) -> None:
        self.at_s = 0.0
        self.calls: list[tuple[str, str]] = []
        self._slowness = slowness
        self._cold_ms = dict.fromkeys(TRUTH_MS, cold_ms)

    def clock(self) -> float:
        return self.at_s

    def precision(self, key: str) -> str:
        return f"precision of {key}"

    def warm(self, key: str, duration_ms: float) -> None:
        self.calls.append(("warm", key))
        end_s = self.at_s + duration_ms / 1e3
        while self.at_s < end_s:
            self._run(key)

    def burst(
        self, key: str, *, warm_runs: int, runs: int, burst_ms: float, max_runs: int
    ) -> list[float]:
        self.calls.append(("burst", key))
        return time_burst(
            lambda: self._run(key),
            self.clock,
            warm_runs=warm_runs,
            runs=runs,
            burst_ms=burst_ms,
            max_runs=max_runs,
        )

    def _run(self, key: str) -> None:
        took_ms = TRUTH_MS[key] * self._slowness(self.at_s)
        if self._cold_ms[key] > 0:
            took_ms *= 10
            self._cold_ms[key] -= took_ms
        self.at_s += took_ms / 1e3


def visits_of(
    bench: SimulatedBench,
    protocol: TimingProtocol = QUICK,
    *,
    seed: int = 0,
    done: frozenset[tuple[int, str]] = frozenset(),
) -> list[Visit]:
    return list(
        measure(
            bench,
            SUBJECTS,
            "control",
            protocol,
            seed=seed,
            done=done,
            now=lambda: f"{bench.at_s:.6f}",
        )
    )


def a_visit(
    samples_ms: list[float],
    before_ms: list[float] | None = None,
    after_ms: list[float] | None = None,
    *,
    key: str = "subject",
    sweep: int = 0,
) -> Visit:
    return Visit(
        sweep=sweep,
        key=key,
        samples_ms=tuple(samples_ms),
        control_before_ms=tuple(before_ms or [1.0]),
        control_after_ms=tuple(after_ms or [1.0]),
        at="2026-01-01T00:00:00.000+00:00",
        precision="fp32",
    )


def order(visits: list[Visit], sweep: int) -> list[str]:
    return [visit.key for visit in visits if visit.sweep == sweep]


# The schedule.


def test_every_subject_is_visited_once_a_sweep_in_the_order_of_sweeps() -> None:
    visits = visits_of(SimulatedBench())
    assert [visit.sweep for visit in visits] == sorted([0, 1, 2] * len(SUBJECTS))
    assert all(sorted(order(visits, sweep)) == sorted(SUBJECTS) for sweep in range(3))


def test_the_order_is_random_between_sweeps_and_decided_by_the_seed() -> None:
    protocol = QUICK.model_copy(update={"sweeps": 8})
    one, same, other = (visits_of(SimulatedBench(), protocol, seed=seed) for seed in (3, 3, 4))
    assert len({tuple(order(one, sweep)) for sweep in range(8)}) > 3
    assert [visit.key for visit in one] == [visit.key for visit in same]
    assert [visit.key for visit in one] != [visit.key for visit in other]


def test_warm_up_comes_before_all_visits_and_into_none_of_them() -> None:
    bench = SimulatedBench(cold_ms=45)
    protocol = QUICK.model_copy(update={"warmup_ms": 50.0, "warm_runs": 0})
    visits = visits_of(bench, protocol)
    first_burst = bench.calls.index(("burst", "control"))
    warmed = bench.calls[:first_burst]
    assert warmed[0] == ("warm", "control")
    assert sorted(warmed) == sorted(("warm", key) for key in TRUTH_MS)
    assert all(what == "burst" for what, _ in bench.calls[first_burst:])
    for visit in visits:
        assert visit.samples_ms == pytest.approx([TRUTH_MS[visit.key]] * 2)
        assert visit.control_before_ms == pytest.approx([TRUTH_MS["control"]] * 2)


def test_without_warm_up_the_same_machine_gives_wrong_samples() -> None:
    protocol = QUICK.model_copy(update={"warmup_ms": 0.0, "warm_runs": 0})
    first = visits_of(SimulatedBench(cold_ms=45), protocol)[0]
    assert first.samples_ms[0] > 5 * TRUTH_MS[first.key]


def test_a_burst_of_the_control_network_stands_between_two_visits_and_belongs_to_both() -> None:
    # A machine that slows down steadily: no two bursts are equal.
    bench = SimulatedBench(slowness=lambda at_s: 1 + at_s)
    visits = visits_of(bench)
    keys = [key for what, key in bench.calls if what == "burst"]
    assert keys[0::2] == ["control"] * (len(visits) + 1)
    assert keys[1::2] == [visit.key for visit in visits]
    for before, after in itertools.pairwise(visits):
        assert before.control_after_ms == after.control_before_ms
        assert before.control_after_ms != before.control_before_ms
    assert {len(visit.control_before_ms) for visit in visits} == {QUICK.control_runs}


def test_a_visit_says_when_it_was_made_and_in_what_precision() -> None:
    visits = visits_of(SimulatedBench())
    times = [float(visit.at) for visit in visits]
    assert times == sorted(times)
    assert len(set(times)) == len(times)
    assert all(visit.precision == f"precision of {visit.key}" for visit in visits)


def test_visits_that_were_made_are_not_made_again_and_the_others_keep_their_order() -> None:
    whole = visits_of(SimulatedBench(), seed=5)
    done = frozenset((visit.sweep, visit.key) for visit in whole[1:8:2])
    rest = visits_of(SimulatedBench(), seed=5, done=done)
    assert [(v.sweep, v.key) for v in rest] == [
        (v.sweep, v.key) for v in whole if (v.sweep, v.key) not in done
    ]


def test_only_what_is_still_to_be_visited_is_warmed() -> None:
    done = frozenset((sweep, key) for sweep in range(3) for key in SUBJECTS if key != "small")
    bench = SimulatedBench()
    visits_of(bench, done=done)
    assert [key for what, key in bench.calls if what == "warm"] == ["control", "small"]


def test_where_all_was_visited_nothing_runs() -> None:
    bench = SimulatedBench()
    done = frozenset((sweep, key) for sweep in range(3) for key in SUBJECTS)
    assert visits_of(bench, done=done) == []
    assert bench.calls == []


def test_visits_come_as_they_are_made() -> None:
    bench = SimulatedBench()
    campaign = measure(bench, SUBJECTS, "control", QUICK, seed=0, now=lambda: "now")
    assert bench.calls == []
    first = next(campaign)
    bursts = [key for what, key in bench.calls if what == "burst"]
    assert bursts == ["control", first.key, "control"]


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

    samples_ms = time_burst(
        run, lambda: at_s, warm_runs=3, runs=runs, burst_ms=burst_ms, max_runs=max_runs
    )
    assert samples_ms == pytest.approx([run_ms] * expected)
    assert started == expected + 3


def test_warm_runs_are_no_samples_and_do_not_fill_the_burst() -> None:
    took_ms = iter([100.0, 100.0, 1.0, 1.25, 1.5])
    at_s = 0.0

    def run() -> None:
        nonlocal at_s
        at_s += next(took_ms) / 1e3

    samples_ms = time_burst(run, lambda: at_s, warm_runs=2, runs=1, burst_ms=3.5, max_runs=9)
    assert samples_ms == pytest.approx([1.0, 1.25, 1.5])


# Statistics.


class Spells:
    """Slow spells: twice as slow for a random third of the time, and now and then a hiccup.

    Args:
        seed: Decides when.
        mean_slow_s: Mean length of a slow spell in seconds; fast ones are twice as long.
    """

    def __init__(self, seed: int, mean_slow_s: float) -> None:
        self._random = np.random.default_rng(seed)
        self._mean_s = {False: 2 * mean_slow_s, True: mean_slow_s}
        self._slow = False
        self._until_s = self._length_s()

    def __call__(self, at_s: float) -> float:
        while at_s >= self._until_s:
            self._slow = not self._slow
            self._until_s += self._length_s()
        hiccup = 3.0 if self._random.random() < 0.02 else 1.0
        jitter = 1 + abs(self._random.normal(0, 0.005))
        return float((2.0 if self._slow else 1.0) * hiccup * jitter)

    def _length_s(self) -> float:
        return float(self._random.exponential(self._mean_s[self._slow]))


def simulated(seed: int, mean_slow_s: float) -> dict[str, list[Visit]]:
    bench = SimulatedBench(Spells(seed, mean_slow_s))
    return by_key(visits_of(bench, TimingProtocol(warmup_ms=5), seed=seed))


@given(st.integers(0, 2**32), st.floats(0.01, 0.3))
@settings(max_examples=25)
def test_slow_spells_do_not_count(seed: int, mean_slow_s: float) -> None:
    """Spells of any length that leave some visit of each subject alone; the campaign takes 1 s."""
    groups = simulated(seed, mean_slow_s)
    errors = [abs(reduce_visits(groups[key]).typical / TRUTH_MS[key] - 1) for key in SUBJECTS]
    assert max(errors) < 0.02


def test_the_median_of_all_runs_would_not_do() -> None:
    typical, median = [], []
    for seed in range(20):
        groups = simulated(seed, 0.4)
        for key in SUBJECTS:
            stats = reduce_visits(groups[key])
            typical.append(abs(stats.typical / TRUTH_MS[key] - 1))
            median.append(abs(stats.median / TRUTH_MS[key] - 1))
    assert max(typical) < 0.02
    assert max(median) > 0.5


def test_typical_is_the_fastest_run_and_its_uncertainty_that_of_thirds() -> None:
    visits = [a_visit([3.0, 2.0]), a_visit([8.0, 2.5]), a_visit([2.2]), a_visit([2.4, 50.0])]
    stats = reduce_visits(visits)
    assert stats.typical == stats.min == 2.0
    assert stats.std == pytest.approx(statistics.stdev([2.0, 2.5, 2.2]))


def test_the_uncertainty_comes_from_visits_apart_in_time() -> None:
    """Scatter inside a burst says nothing of it."""
    scattered = [a_visit([1.0, 1.5, 4.0 + sweep]) for sweep in range(5)]
    assert reduce_visits(scattered).std == 0
    drifting = [a_visit([1.0 + 0.1 * sweep]) for sweep in range(5)]
    assert reduce_visits(drifting).std > 0


def test_the_uncertainty_is_no_smaller_than_the_error_really_made() -> None:
    random = np.random.default_rng(0)
    found = [
        reduce_visits([a_visit([1 + abs(0.02 * random.normal())]) for _ in range(24)])
        for _ in range(300)
    ]
    really = float(np.sqrt(np.mean([(stats.typical - 1) ** 2 for stats in found])))
    told = float(np.sqrt(np.mean([stats.std**2 for stats in found])))
    assert really < told < 4 * really


def test_what_is_told_of_all_runs() -> None:
    visits = [a_visit([1.0, 2.0]), a_visit([3.0]), a_visit([4.0, 10.0])]
    stats = reduce_visits(visits)
    runs = np.array([1.0, 2.0, 3.0, 4.0, 10.0])
    assert (stats.n, stats.min, stats.median, stats.mean) == (5, 1.0, 3.0, 4.0)
    assert stats.cov == pytest.approx(float(runs.std()) / 4)


@pytest.mark.parametrize(
    ("n", "has_p90", "has_p99"),
    [(63, False, False), (64, True, False), (661, True, False), (662, True, True)],
)
def test_a_percentile_needs_enough_runs(n: int, has_p90: bool, has_p99: bool) -> None:
    runs = [float(run) for run in np.random.default_rng(n).permutation(n) + 1]
    visits = [a_visit(runs[third::3]) for third in range(3)]
    for stats in (
        reduce_visits(visits),
        control_stats([a_visit([1.0], [1.0], runs[third::3]) for third in range(3)]),
    ):
        assert stats.n == n
        assert (stats.p90 is not None, stats.p99 is not None) == (has_p90, has_p99)


def test_a_percentile_is_a_run_that_was_made() -> None:
    """Not a value between two; and never one that more than a tenth of the runs exceed."""
    random = np.random.default_rng(1)
    for n in (64, 65, 70, 99, 662, 700):
        runs = sorted(map(float, random.gamma(2.0, 1.0, n)))
        stats = reduce_visits([a_visit(runs[third::3]) for third in range(3)])
        for percentile, share in ((stats.p90, 0.1), (stats.p99, 0.01)):
            if percentile is not None:
                assert percentile in runs
                assert sum(run > percentile for run in runs) <= share * n
                smaller = runs[runs.index(percentile) - 1]
                assert sum(run > smaller for run in runs) >= share * (n - 1)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_visits_are_refused(count: int) -> None:
    with pytest.raises(MeasurementError, match=f"{count} visits are too few; 3 are the least"):
        reduce_visits([a_visit([1.0])] * count)


def test_the_control_network_is_reduced_like_a_subject() -> None:
    after = [[2.5], [4.0, 1.5], [3.0]]
    visits = [a_visit([9.0], [1.0], runs) for runs in after]
    assert control_stats(visits) == reduce_visits([a_visit(runs) for runs in after])


def test_without_visits_there_are_no_statistics_of_the_control_network() -> None:
    with pytest.raises(MeasurementError, match="0 visits are too few"):
        control_stats([])


def test_visits_are_grouped_by_subject_in_order() -> None:
    visits = [a_visit([1.0], key=key, sweep=sweep) for sweep in range(2) for key in ("b", "a")]
    groups = by_key(visits)
    assert list(groups) == ["b", "a"]
    assert [visit.sweep for visit in groups["a"]] == [0, 1]


@pytest.mark.parametrize(
    "wrong", [{"sweeps": 2}, {"runs": 0}, {"control_runs": 0}, {"burst_ms": -1}, {"burst_us": 1}]
)
def test_a_protocol_that_cannot_measure_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        TimingProtocol.model_validate(wrong)
