"""What is made of visits: one number, its uncertainty, percentiles, and how far sweeps agree."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import MeasurementError
from pipeline.measure.protocol import TimingProtocol
from pipeline.measure.statistics import (
    LatencyStats,
    Visit,
    by_key,
    control_stats,
    disagreement_percent,
    percentile,
    reduce_all,
    reduce_visits,
    runs_needed,
    split_half_percent,
)
from tests.measure.simulated import SUBJECTS, TRUTH_MS, SimulatedBench, Spells, a_visit, visits_of

PERCENTS = {"median": 50, "p90": 90, "p95": 95, "p99": 99}


def visits_with(minima_ms: list[float], key: str = "subject") -> list[Visit]:
    """A visit a sweep, with these fastest runs and slower ones around them."""
    return [
        a_visit([3 * fastest, fastest, 2 * fastest], key=key, sweep=sweep)
        for sweep, fastest in enumerate(minima_ms)
    ]


def stats_of(runs: list[float]) -> LatencyStats:
    """Of runs dealt to three visits."""
    return reduce_visits([a_visit(runs[third::3]) for third in range(3)])


def simulated(seed: int, mean_slow_s: float) -> dict[str, list[Visit]]:
    bench = SimulatedBench(Spells(seed, mean_slow_s))
    protocol = TimingProtocol(warmup_ms=5, sweeps=12, min_sweeps=12, sweep_interval_s=0)
    return by_key(visits_of(bench, protocol, seed=seed))


# The one number and its uncertainty.


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
            assert stats.median is not None
            typical.append(abs(stats.typical / TRUTH_MS[key] - 1))
            median.append(abs(stats.median / TRUTH_MS[key] - 1))
    assert max(typical) < 0.02
    assert max(median) > 0.5


def test_typical_is_the_fastest_run_and_its_uncertainty_how_near_a_third_came() -> None:
    visits = [a_visit([3.0, 2.0]), a_visit([8.0, 2.5]), a_visit([2.2]), a_visit([2.4, 50.0])]
    stats = reduce_visits(visits)
    assert stats.typical == stats.min == 2.0
    assert stats.std == pytest.approx(0.2)  # two of four visits are at least a third
    assert stats.sweep_minima_ms == (2.0, 2.5, 2.2, 2.4)


def test_the_uncertainty_comes_from_visits_apart_in_time() -> None:
    """Scatter inside a burst says nothing of it."""
    scattered = [a_visit([1.0, 1.5, 4.0 + sweep]) for sweep in range(5)]
    assert reduce_visits(scattered).std == 0
    drifting = [a_visit([1.0 + 0.1 * sweep]) for sweep in range(5)]
    assert reduce_visits(drifting).std == pytest.approx(0.1)


def test_two_thirds_in_a_slow_spell_do_no_harm_but_a_level_reached_once_does() -> None:
    mostly_slow = visits_with([1.0, 2.0, 2.0, 2.0, 1.01, 2.0])
    assert reduce_visits(mostly_slow).std == pytest.approx(0.01)
    lucky = visits_with([2.0, 2.0, 1.0, 2.0, 1.5, 2.0])
    assert reduce_visits(lucky).std == pytest.approx(0.5)


def test_the_uncertainty_is_no_smaller_than_the_error_really_made() -> None:
    random = np.random.default_rng(0)
    found = [
        reduce_visits([a_visit([1 + abs(0.02 * random.normal())]) for _ in range(24)])
        for _ in range(300)
    ]
    really = float(np.sqrt(np.mean([(stats.typical - 1) ** 2 for stats in found])))
    told = float(np.sqrt(np.mean([stats.std**2 for stats in found])))
    assert really < told < 8 * really


def test_what_is_told_of_all_runs() -> None:
    visits = [a_visit([1.0, 2.0]), a_visit([3.0]), a_visit([4.0, 10.0])]
    stats = reduce_visits(visits)
    runs = np.array([1.0, 2.0, 3.0, 4.0, 10.0])
    assert (stats.n, stats.min, stats.mean) == (5, 1.0, 4.0)
    assert stats.cov == pytest.approx(float(runs.std()) / 4)
    assert stats.median is None  # five runs bound no median


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


# Percentiles.


def smallest_rank(n: int, percent: int) -> int:
    """The bound's rank from the binomial formula, in whole numbers: no rounding, no library.

    The smallest k for which fewer than k of n runs lie below the true quantile with at least 99 %
    probability.
    """
    below, rank = 0, 0
    while below * 100 < 99 * 100**n:
        below += math.comb(n, rank) * percent**rank * (100 - percent) ** (n - rank)
        rank += 1
    return rank


@pytest.mark.parametrize(("percent", "needed"), [(50, 11), (90, 64), (95, 130), (99, 662)])
def test_a_percentile_needs_enough_runs(percent: int, needed: int) -> None:
    assert runs_needed(percent) == needed
    name = next(name for name, value in PERCENTS.items() if value == percent)
    for n in (needed - 1, needed):
        runs = [float(run) for run in np.random.default_rng(n).permutation(n) + 1]
        control = control_stats([a_visit([1.0], [1.0], runs[third::3]) for third in range(3)])
        for stats in (stats_of(runs), control):
            assert stats.n == n
            told = getattr(stats, name), getattr(stats, f"{name}_bound")
            assert [value is not None for value in told] == [n >= needed] * 2


@given(st.integers(1, 250), st.integers(1, 99))
@settings(max_examples=200)
def test_the_bound_is_the_smallest_run_that_is_one_in_99_cases_of_100(n: int, percent: int) -> None:
    value, bound = percentile(np.arange(1, n + 1, dtype=np.float64), percent)
    rank = smallest_rank(n, percent)
    if rank >= n:
        # It would be the slowest run, which says nothing of how slow a run can be.
        assert (value, bound) == (None, None)
    else:
        assert value is not None
        assert bound == rank
        assert value <= bound


@pytest.mark.parametrize(("n", "percent"), [(11, 50), (100, 50), (64, 90), (300, 95), (662, 99)])
def test_the_true_percentile_is_below_the_bound_in_99_cases_of_100(n: int, percent: int) -> None:
    samples = np.sort(np.random.default_rng(n).random((4000, n)))
    # Of uniform runs the true percentile is known: the percentage itself.
    bounds = [percentile(runs, percent)[1] for runs in samples]
    covered = np.mean([bound is not None and bound >= percent / 100 for bound in bounds])
    assert covered > 0.99 - 3 * math.sqrt(0.99 * 0.01 / 4000)
    a_run_faster = samples[:, smallest_rank(n, percent) - 2]
    assert np.mean(a_run_faster >= percent / 100) < 0.99


def test_percentiles_and_bounds_are_runs_that_were_made() -> None:
    """Not values between two; and never one that more than its share of the runs exceed."""
    random = np.random.default_rng(1)
    for n in (11, 64, 65, 70, 99, 130, 662, 700):
        runs = sorted(map(float, random.gamma(2.0, 1.0, n)))
        stats = stats_of(runs)
        told = 0
        for name, percent in PERCENTS.items():
            value, bound = getattr(stats, name), getattr(stats, f"{name}_bound")
            if value is None:
                continue
            told += 1
            share = 1 - percent / 100
            assert {value, bound} <= set(runs)
            assert value <= bound < max(runs)
            assert sum(run > value for run in runs) <= share * n
            smaller = runs[runs.index(value) - 1]
            assert sum(run > smaller for run in runs) >= share * (n - 1)
        assert told == sum(n >= needed for needed in (11, 64, 130, 662))


# Many subjects.


def test_no_subject_is_surer_than_its_campaign() -> None:
    """Values that are equal by luck do not make a subject certain."""
    groups = {
        "lucky": visits_with([10.0, 10.0, 10.0, 10.0], "lucky"),
        "shaken": visits_with([1.0, 1.2, 1.1, 1.2], "shaken"),
    }
    reduced = reduce_all(groups)
    alone = {key: reduce_visits(group) for key, group in groups.items()}
    assert alone["lucky"].std == 0
    common = math.sqrt((0 + (alone["shaken"].std / 1.0) ** 2) / 2)
    assert reduced["lucky"].std == pytest.approx(common * 10)
    assert reduced["shaken"].std == alone["shaken"].std
    for key, stats in reduced.items():
        assert stats == alone[key].model_copy(update={"std": stats.std})


MINIMA = st.lists(st.floats(0.5, 2.0), min_size=3, max_size=9)


@given(st.dictionaries(st.text(max_size=3), MINIMA, min_size=1, max_size=5))
def test_the_least_uncertainty_is_what_all_subjects_disagree_by(
    minima_ms: dict[str, list[float]],
) -> None:
    groups = {key: visits_with(values, key) for key, values in minima_ms.items()}
    apart = disagreement_percent(groups)
    assert apart is not None
    for key, stats in reduce_all(groups).items():
        own = reduce_visits(groups[key]).std
        assert stats.std == pytest.approx(max(own, apart / 100 * stats.typical))


def test_without_subjects_nothing_is_reduced() -> None:
    assert reduce_all({}) == {}


def test_sweeps_disagree_by_the_root_mean_square_over_subjects() -> None:
    groups = {
        "still": visits_with([2.0, 2.0, 2.0, 2.0], "still"),
        "moving": visits_with([1.0, 1.3, 1.2, 1.1], "moving"),
    }
    assert disagreement_percent(groups) == pytest.approx(100 * 0.1 / math.sqrt(2))
    assert disagreement_percent({"still": groups["still"]}) == 0


def test_no_disagreement_is_told_of_too_few_visits() -> None:
    enough, few = visits_with([1.0, 1.0, 1.0]), visits_with([1.0, 1.0])
    assert disagreement_percent({}) is None
    assert disagreement_percent({"few": few}) is None
    assert disagreement_percent({"enough": enough, "few": few}) is None
    assert disagreement_percent({"enough": enough, "none": []}) is None
    assert disagreement_percent({"enough": enough}) == 0


def test_two_halves_are_even_and_odd_visits() -> None:
    groups = {
        "a": visits_with([1.0, 1.3, 1.2, 1.1]),  # 1.0 against 1.1
        "b": visits_with([2.0, 2.0, 3.0]),  # the same
    }
    apart = 0.1 / 1.05
    assert split_half_percent(groups) == pytest.approx(100 * (apart + 0) / 2)
    backwards = {"a": visits_with([1.1, 1.2, 1.3, 1.0])}
    assert split_half_percent(backwards) == pytest.approx(100 * apart)


@pytest.mark.parametrize("count", [0, 1])
def test_one_visit_has_no_halves(count: int) -> None:
    groups = {"a": visits_with([1.0, 1.0]), "b": visits_with([1.0] * count)}
    with pytest.raises(MeasurementError, match=f"b: two halves need two visits, given {count}"):
        split_half_percent(groups)
