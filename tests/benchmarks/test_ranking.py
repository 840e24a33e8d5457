"""The study of ranking: its statistics, and the networks it takes."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from benchmarks.ranking import statistics
from benchmarks.ranking.__main__ import DESIGN, STRIDE
from benchmarks.ranking.statistics import agreement, compared, seeds_agreement
from benchmarks.ranking.truth import spread_over_macs
from pipeline.space.cost import architecture_cost


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "_RESAMPLES", 100)


def test_agreement_is_with_the_mean_of_the_truth() -> None:
    random = np.random.default_rng(0)
    truth = random.normal(size=(2, 30))
    runs = [truth.mean(0) * 2 + 1, -truth.mean(0), truth[0]]
    found = agreement(truth, runs)
    expected = [1.0, -1.0, kendalltau(truth.mean(0), truth[0]).statistic]
    assert found.tau_by_run == pytest.approx(expected)
    assert found.tau == pytest.approx(np.mean(expected))
    low, high = found.tau_interval
    assert low < found.tau < high


def test_seeds_agree_as_pairs() -> None:
    random = np.random.default_rng(1)
    one, other = random.normal(size=(2, 30))
    found = seeds_agreement([one, other])
    assert found.tau == pytest.approx(kendalltau(one, other).statistic)
    assert seeds_agreement([one, one + 5]).tau == pytest.approx(1.0)


def test_a_difference_has_a_paired_interval() -> None:
    """Two methods that err alike differ surely, though each alone is uncertain."""
    random = np.random.default_rng(2)
    truth = random.normal(size=30)
    noise = random.normal(size=30)
    better, worse = truth + noise, truth + 1.6 * noise
    surely = compared([truth], [better], [worse])
    assert 0 < surely.interval[0] < surely.tau < surely.interval[1]
    same = compared([truth], [better], [better])
    assert same.tau == 0
    assert same.interval == (0, 0)


def test_any_first_part_of_the_design_spans_the_macs() -> None:
    design = spread_over_macs(DESIGN, seed=0)
    costs = [architecture_cost(network).macs for network in design]
    assert len(set(design)) == DESIGN
    assert costs == sorted(costs)
    places = [i * STRIDE % DESIGN for i in range(DESIGN)]
    assert sorted(places) == list(range(DESIGN))
    first = sorted(costs[place] for place in places[:12])
    assert max(np.diff(first)) < 0.2 * (costs[-1] - costs[0])
