"""The honesty block, figure by figure, on vectors small enough to be judged by hand."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.latency.honesty import Judged, judge, left_out_line, line_on_macs, pair_percent
from pipeline.records.calibration import Honesty

MEASURED = [1.0, 2.0, 4.0, 5.0]


def judged(
    predicted: list[float],
    measured: list[float] = MEASURED,
    *,
    std: float | list[float] = 0.1,
    macs: list[float] | None = None,
    flops: list[float] | None = None,
) -> Honesty:
    truth = np.array(measured)
    return judge(
        Judged(
            np.array(predicted),
            np.broadcast_to(std, truth.shape),
            truth,
            np.array(measured if macs is None else macs),
        ),
        np.array(measured if flops is None else flops),
        split_half_percent=0.7,
        date="2026-01-02",
        cost_s=33.0,
    )


def pairs(predicted: list[float], measured: list[float]) -> float | None:
    return pair_percent(np.array(predicted), np.array(measured))


def test_perfect_predictions_have_perfect_figures() -> None:
    found = judged([10.0, 10.5, 20.0], [10.0, 10.5, 20.0])
    assert (found.networks, found.mape_percent, found.max_percent, found.bias_percent) == (
        3, 0, 0, 0,
    )  # fmt: skip
    assert (found.within_5_percent, found.within_10_percent) == (100, 100)
    assert (found.kendall_tau, found.pair10_percent) == (1, 100)
    assert (found.coverage_percent, found.flops_mape_percent, found.flops_kendall_tau) == (
        100, 0, 1,
    )  # fmt: skip


def test_what_was_told_is_told_again() -> None:
    found = judged(MEASURED)
    assert (found.split_half_percent, found.date, found.cost_s) == (0.7, "2026-01-02", 33.0)


def test_errors_are_relative_to_what_was_measured() -> None:
    found = judged([1.02, 1.92, 4.0, 5.75])  # +2 %, -4 %, 0, +15 %
    assert found.mape_percent == pytest.approx(21 / 4)
    assert found.max_percent == pytest.approx(15)
    assert found.bias_percent == pytest.approx(13 / 4)
    assert (found.within_5_percent, found.within_10_percent) == (75, 75)


def test_the_largest_error_may_be_of_a_network_predicted_too_fast() -> None:
    found = judged([1.0, 2.0, 3.0, 5.0])
    assert found.max_percent == pytest.approx(25)
    assert found.bias_percent == pytest.approx(-25 / 4)


def test_shares_count_each_limit_by_itself() -> None:
    found = judged([1.04, 1.88, 4.32, 5.55])  # 4, 6, 8, 11 %
    assert (found.within_5_percent, found.within_10_percent) == (25, 75)


def test_the_order_of_all_pairs() -> None:
    # Of six pairs one is the wrong way round: (5 - 1) / 6.
    assert judged([1.0, 2.0, 5.0, 4.9]).kendall_tau == pytest.approx(4 / 6)
    assert judged([4.0, 3.0, 2.0, 1.0]).kendall_tau == -1


def test_a_tie_in_the_predictions_is_no_order() -> None:
    # Tau-b: five pairs in order, one tied: 5 / sqrt(6 · 5).
    assert judged([1.0, 2.0, 4.5, 4.5]).kendall_tau == pytest.approx(5 / math.sqrt(30))


def test_intervals_reach_1_28_standard_deviations_to_both_sides() -> None:
    std = [0.1, 0.1, 0.1, 0.1]
    inside, outside = 1.28 * 0.1, 1.29 * 0.1
    assert judged([1 + inside, 2 - inside, 4.0, 5.0], std=std).coverage_percent == 100
    assert judged([1 + inside, 2 - outside, 4.0, 5.0], std=std).coverage_percent == 75
    assert judged([1 + outside, 2 - outside, 4.0, 5.2], std=std).coverage_percent == 25


def test_each_network_has_its_own_interval() -> None:
    assert judged([1.1, 2.1, 4.1, 5.1], std=[0.05, 0.1, 0.05, 0.1]).coverage_percent == 50


def test_the_baseline_is_judged_by_its_own_predictions_and_macs() -> None:
    found = judged(MEASURED, macs=[10.0, 30.0, 20.0, 40.0], flops=[1.1, 2.0, 3.6, 5.0])
    assert found.flops_mape_percent == pytest.approx(20 / 4)
    assert found.flops_kendall_tau == pytest.approx(4 / 6)
    assert (found.mape_percent, found.kendall_tau) == (0, 1)


# Pairs that are nearly equal.


@pytest.mark.parametrize(
    ("predicted", "measured", "percent"),
    [
        ([1.0, 1.05], [1.0, 1.05], 100),  # one pair, ordered
        ([1.05, 1.0], [1.0, 1.05], 0),  # one pair, the wrong way round
        ([1.0, 1.0], [1.0, 1.05], 0),  # one pair, not told apart
        ([1.0, 2.0], [1.0, 1.11], None),  # more than 10 % apart
        ([1.0, 2.0], [1.0, 1.0], None),  # without an order to find
        ([1.0], [1.0], None),
        ([3.0, 2.0, 1.0], [1.0, 2.0, 4.0], None),
        # 10.0, 10.5 and 11.0 are three pairs, 20 and 21 a fourth; the one predicted wrongly is
        # 10.5 and 11.0.
        ([10.0, 11.0, 10.5, 19.0, 22.0], [10.0, 10.5, 11.0, 20.0, 21.0], 75),
    ],
)
def test_pairs_within_ten_percent(
    predicted: list[float], measured: list[float], percent: float | None
) -> None:
    assert pairs(predicted, measured) == percent
    assert pairs(predicted[::-1], measured[::-1]) == percent


def test_without_near_pairs_the_block_says_so() -> None:
    assert judged(MEASURED, MEASURED).pair10_percent is None
    one_pair = judged([1.0, 2.0, 4.0, 4.2], [1.0, 2.0, 4.0, 4.3])
    assert one_pair.pair10_percent == 100


latencies = st.lists(st.integers(100, 200).map(float), min_size=2, max_size=12)


@given(measured=latencies, random=st.randoms(use_true_random=False))
def test_pairs_are_those_a_loop_finds(measured: list[float], random: Any) -> None:
    predicted = [float(random.randint(100, 200)) for _ in measured]
    right = near = 0
    for i, one in enumerate(measured):
        for j, other in enumerate(measured[:i]):
            if one != other and max(one, other) <= 1.1 * min(one, other):
                near += 1
                right += (one < other) == (predicted[i] < predicted[j]) and (
                    predicted[i] != predicted[j]
                )
    found = pairs(predicted, measured)
    assert found == (pytest.approx(100 * right / near) if near else None)


# The baseline: a line on MACs.


def test_a_line_is_found_and_leaves_nothing_over() -> None:
    macs = np.array([1.0, 2.0, 5.0, 9.0])
    assert line_on_macs(macs, 3 * macs + 0.5) == pytest.approx([3, 0.5])
    assert left_out_line(macs, 3 * macs + 0.5) == pytest.approx(3 * macs + 0.5)


def test_the_line_has_the_least_relative_errors() -> None:
    macs, measured = np.array([1.0, 2.0, 5.0, 9.0]), np.array([1.1, 1.9, 5.6, 8.5])
    line = line_on_macs(macs, measured)

    def loss(slope: float, intercept: float) -> float:
        return float((((slope * macs + intercept) / measured - 1) ** 2).sum())

    best = loss(*line)
    for change in (-1e-3, 1e-3):
        assert loss(line[0] + change, line[1]) > best
        assert loss(line[0], line[1] + change) > best


def test_the_baseline_has_not_seen_the_network_it_predicts() -> None:
    macs, measured = np.array([1.0, 2.0, 5.0, 9.0, 12.0]), np.array([1.1, 1.9, 5.6, 8.5, 13.0])
    predicted = left_out_line(macs, measured)
    for left in range(len(macs)):
        rest = np.arange(len(macs)) != left
        # numpy squares its weights: 1 / measured gives relative errors.
        fitted = np.polynomial.Polynomial.fit(macs[rest], measured[rest], 1, w=1 / measured[rest])
        assert predicted[left] == pytest.approx(fitted(macs[left]))
        changed = measured.copy()
        changed[left] *= 3
        assert left_out_line(macs, changed)[left] == pytest.approx(predicted[left])
