"""The study of ranking: its statistics, and the networks it takes."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import kendalltau

from benchmarks.ranking import statistics
from benchmarks.ranking.design import SIZES, draw_design, read_design
from benchmarks.ranking.statistics import (
    agreement,
    compared,
    pairs_where,
    regret,
    reliability,
)
from tests.checkout import ROOT

DESIGN = ROOT / "benchmarks" / "ranking" / "results" / "design.json"


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "_RESAMPLES", 100)


ALL = pairs_where(lambda i, j: True, 30)


def test_agreement_over_all_pairs_is_kendalls_tau_with_the_mean_of_the_truth() -> None:
    random = np.random.default_rng(0)
    truth = random.normal(size=(2, 30)).round(1)  # with ties
    runs = np.array([truth.mean(0) * 2, -truth.mean(0), truth[0]])
    found = agreement(truth, runs, ALL)
    expected = [1.0, -1.0, kendalltau(truth.mean(0), truth[0]).statistic]
    assert found.by_run == pytest.approx(expected)
    assert found.tau == pytest.approx(np.mean(expected))
    assert found.pairs == 30 * 29 / 2
    low, high = found.interval
    assert low < found.tau < high


def test_agreement_over_some_pairs_sees_no_others() -> None:
    """Between the halves the score is right, within them it is wrong."""
    truth = np.arange(30.0)[None]
    score = np.where(truth < 15, -truth, 100 - truth)
    within = pairs_where(lambda i, j: (i < 15) == (j < 15), 30)
    assert agreement(truth, score, within).tau == -1
    assert agreement(truth, score, ALL & ~within).tau == 1


def test_a_difference_has_a_paired_interval() -> None:
    """Two methods that err alike differ surely, though each alone is uncertain."""
    random = np.random.default_rng(2)
    truth = random.normal(size=(1, 30))
    noise = random.normal(size=(1, 30))
    better, worse = truth + noise, truth + 1.6 * noise
    surely = compared(truth, better, worse, ALL)
    assert 0 < surely.interval[0] < surely.tau < surely.interval[1]
    same = compared(truth, better, better, ALL)
    assert same.tau == 0
    assert same.interval == (0, 0)


@pytest.mark.parametrize(("signal", "seeds"), [(1.0, 2), (0.3, 2), (0.3, 5)])
def test_reliability_finds_what_was_planted(signal: float, seeds: int) -> None:
    random = np.random.default_rng(3)
    of_network = random.normal(scale=signal, size=4000)
    truth = of_network + random.normal(scale=0.5, size=(seeds, 4000))
    found = reliability(truth, [0] * 4000)
    assert found.signal_std == pytest.approx(signal, rel=0.1)
    assert found.seed_std == pytest.approx(0.5, rel=0.05)
    assert found.reliability == pytest.approx(signal**2 / (signal**2 + 0.25 / seeds), abs=0.03)
    perfect = kendalltau(of_network, truth.mean(0)).statistic
    assert found.ceiling_tau == pytest.approx(perfect, abs=0.03)


def test_reliability_within_groups_leaves_out_what_tells_the_groups_apart() -> None:
    random = np.random.default_rng(4)
    groups = np.repeat([0, 1], 1000)
    truth = 50.0 * groups + random.normal(scale=0.5, size=(2, 2000))
    assert reliability(truth, groups.tolist()).signal_std < 0.15
    assert reliability(truth, [0] * 2000).reliability > 0.99


def test_seeds_that_differ_as_networks_do_leave_no_signal() -> None:
    truth = np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
    found = reliability(truth, [0, 0, 0])
    assert (found.signal_std, found.reliability, found.ceiling_tau) == (0, 0, 0)


def test_regret_is_measured_by_the_other_seed() -> None:
    """The best by one seed may only be lucky: what it is worth the other seed says."""
    truth = np.array([[3.0, 1.0, 0.0, 9.0, 5.0], [1.0, 2.0, 0.0, 5.0, 9.0]])
    windows = [0, 0, 0, 1, 1]
    found = regret(truth, {"second": np.array([[0.0, 1.0, 0.0, 0.0, 1.0]])}, windows)
    # Window 0: by seed 0 the best is network 0, worth 1 by seed 1, where the chosen is worth 2.
    # By seed 1 the best is network 1, the chosen. Window 1: 5 - 9, and nothing.
    assert found["second"].percent == pytest.approx((1 - 2 + 0 + 5 - 9 + 0) / 4)
    assert found["at random"].percent == pytest.approx(((1 - 1) + (1 - 4 / 3) + (5 - 7) * 2) / 4)


def test_what_always_chooses_the_best_has_no_regret() -> None:
    truth = np.random.default_rng(5).normal(size=24) + np.zeros((2, 1))
    found = regret(truth, {"truth": truth[:1], "against": -truth[:1]}, [0] * 8 + [1] * 8 + [2] * 8)
    assert found["truth"].percent == 0 < found["at random"].percent < found["against"].percent


@pytest.mark.slow
def test_the_same_networks_are_drawn_everywhere() -> None:
    assert draw_design(10) == read_design(DESIGN, 10)


def test_windows_are_of_equal_latency_and_of_both_sizes() -> None:
    design = read_design(DESIGN, 10)
    assert len(design.architectures) == len(set(design.architectures)) >= 20
    by_window: dict[int, list[float]] = {}
    sizes: dict[int, list[int]] = {}
    for it in design.networks:
        by_window.setdefault(it.window, []).append(it.latency_ms)
        sizes.setdefault(it.window, []).append(it.architecture.resolution)
    for window, latencies_ms in by_window.items():
        assert len(latencies_ms) >= 8
        assert max(latencies_ms) / min(latencies_ms) < 1.21
        assert sorted(sizes[window]) == sorted(SIZES * (len(latencies_ms) // 2))
    means = [math.fsum(some) / len(some) for some in by_window.values()]
    assert all(later > 1.2 * first for first, later in itertools.pairwise(means))
