"""The fit against a naive one, on data that are made up."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.cost import architecture_cost, macs_range
from pipeline.errors import MeasurementError
from pipeline.latency.calibration import (
    MIN_NETWORKS,
    Observation,
    apply_calibration,
    calibrate,
    choose_networks,
    observe,
)
from pipeline.space import SearchSpace, get_space, space_names
from tests.latency.synthetic import OFFSET_MS, PER_BLOCK_MS, SCALE, observations, operator_sum_ms

CREAM = get_space("cream")
RESOLUTION, CLASSES = 64, 10


def noisy(seed: int, count: int, relative: float = 0.03) -> list[Observation]:
    random = np.random.default_rng(seed)
    return [
        Observation(
            o.architecture,
            o.macs,
            o.operator_sum_ms,
            o.measured_ms * (1 + relative * random.standard_normal()),
        )
        for o in observations(CREAM, RESOLUTION, CLASSES, count)
    ]


def naive_errors(columns: list[list[float]], truth: list[float]) -> NDArray[np.float64]:
    """Relative leave-one-out errors, by the normal equations of relative least squares."""
    errors = []
    for left in range(len(truth)):
        rows = [i for i in range(len(truth)) if i != left]
        a = np.array([[column[i] / truth[i] for column in columns] for i in rows])
        fitted = np.linalg.solve(a.T @ a, a.T @ np.ones(len(rows)))
        guess = sum(f * column[left] for f, column in zip(fitted, columns, strict=True))
        errors.append(guess / truth[left] - 1)
    return np.array(errors)


@given(st.floats(0.5, 2), st.floats(-0.01, 1), st.floats(-0.005, 0.2))
@settings(max_examples=30)
def test_data_that_follow_the_model_are_fitted_exactly(
    scale: float, offset_ms: float, per_block_ms: float
) -> None:
    observed = [
        Observation(
            o.architecture,
            o.macs,
            o.operator_sum_ms,
            scale * o.operator_sum_ms + offset_ms + per_block_ms * o.architecture.depth,
        )
        for o in observations(CREAM, RESOLUTION, CLASSES)
    ]
    fit = calibrate(CREAM, RESOLUTION, CLASSES, observed)
    assert fit.scale == pytest.approx(scale, rel=1e-6)
    assert fit.offset_ms == pytest.approx(offset_ms, abs=1e-6)
    assert fit.per_block_ms == pytest.approx(per_block_ms, abs=1e-6)
    assert fit.max_error_percent < 1e-5
    for network in fit.networks:
        assert network.predicted_ms == pytest.approx(network.measured_ms)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [MIN_NETWORKS, 10, 25])
def test_errors_are_of_networks_that_were_left_out(seed: int, count: int) -> None:
    observed = noisy(seed, count)
    fit = calibrate(CREAM, RESOLUTION, CLASSES, observed)
    truth = [o.measured_ms for o in observed]
    ones = [1.0] * count
    errors = naive_errors(
        [
            [o.operator_sum_ms for o in observed],
            ones,
            [float(o.architecture.depth) for o in observed],
        ],
        truth,
    )
    assert fit.mape_percent == pytest.approx(100 * np.abs(errors).mean(), rel=1e-6)
    assert fit.max_error_percent == pytest.approx(100 * np.abs(errors).max(), rel=1e-6)
    assert fit.relative_std == pytest.approx(np.sqrt((errors**2).mean()), rel=1e-6)
    by_macs = naive_errors([[o.macs / 1e6 for o in observed], ones], truth)
    assert fit.flops_mape_percent == pytest.approx(100 * np.abs(by_macs).mean(), rel=1e-4)


def test_errors_left_out_are_larger_than_those_of_the_fit() -> None:
    fit = calibrate(CREAM, RESOLUTION, CLASSES, noisy(0, 8))
    of_the_fit = [abs(n.predicted_ms / n.measured_ms - 1) for n in fit.networks]
    assert fit.mape_percent > 100 * sum(of_the_fit) / len(of_the_fit)


def test_no_other_coefficients_have_smaller_relative_errors() -> None:
    observed = noisy(1, 12)
    fit = calibrate(CREAM, RESOLUTION, CLASSES, observed)
    sums = np.array([o.operator_sum_ms for o in observed])
    depths = np.array([o.architecture.depth for o in observed], dtype=float)
    truth = np.array([o.measured_ms for o in observed])

    def loss(change: tuple[float, float, float]) -> float:
        changed = fit.model_copy(
            update={
                "scale": fit.scale + change[0],
                "offset_ms": fit.offset_ms + change[1],
                "per_block_ms": fit.per_block_ms + change[2],
            }
        )
        return float(((apply_calibration(changed, sums, depths) / truth - 1) ** 2).sum())

    best = loss((0, 0, 0))
    for change in itertools.product((-1e-3, 0, 1e-3), repeat=3):
        assert loss(change) >= best


def test_the_calibration_says_what_it_rests_on() -> None:
    observed = noisy(0, 10)
    fit = calibrate(CREAM, RESOLUTION, CLASSES, observed)
    assert (fit.space, fit.resolution, fit.num_classes) == ("cream", RESOLUTION, CLASSES)
    assert fit.max_depth == max(len(s) for o in observed for s in o.architecture.stages)
    assert [n.architecture for n in fit.networks] == [o.architecture for o in observed]
    sums = np.array([o.operator_sum_ms for o in observed])
    depths = np.array([o.architecture.depth for o in observed], dtype=float)
    for network, given_, predicted in zip(
        fit.networks, observed, apply_calibration(fit, sums, depths), strict=True
    ):
        assert network.macs == architecture_cost(given_.architecture).macs
        assert network.operator_sum_ms == given_.operator_sum_ms
        assert network.measured_ms == given_.measured_ms
        assert network.predicted_ms == pytest.approx(predicted)


def test_the_made_up_truth_is_found() -> None:
    fit = calibrate(CREAM, RESOLUTION, CLASSES, observations(CREAM, RESOLUTION, CLASSES))
    found = (fit.scale, fit.offset_ms, fit.per_block_ms)
    assert found == pytest.approx((SCALE, OFFSET_MS, PER_BLOCK_MS))
    # A line on MACs misses what kernels cost beyond their MACs.
    assert fit.flops_mape_percent > 1


@pytest.mark.parametrize("count", [0, MIN_NETWORKS - 1])
def test_too_few_networks_are_refused(count: int) -> None:
    observed = observations(CREAM, RESOLUTION, CLASSES)[:count]
    with pytest.raises(MeasurementError, match=f"{count} calibration networks are too few") as e:
        calibrate(CREAM, RESOLUTION, CLASSES, observed)
    assert "--calibration-networks" in (e.value.hint or "")


def test_an_observation_knows_its_macs() -> None:
    (network,) = choose_networks(CREAM, RESOLUTION, CLASSES, 1, seed=0)
    observed = observe(network, CREAM, operator_sum_ms(network), 3.0)
    assert observed.macs == architecture_cost(network).macs
    assert observed.measured_ms == 3.0


# Which networks.

SPACES = {
    **{name: get_space(name) for name in space_names()},
    "narrow": CREAM.narrowed(max_depth=2, operators=["mb4_3x3", "mb6_7x7"]),
    "flat": CREAM.narrowed(max_depth=1),
}


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("count", [2, 10, 20])
def test_networks_span_the_space_from_end_to_end(space: SearchSpace, count: int) -> None:
    networks = choose_networks(space, 96, CLASSES, count, seed=0)
    assert len(set(networks)) == len(networks) == count
    macs = [architecture_cost(network).macs for network in networks]
    assert (min(macs), max(macs)) == macs_range(space, 96, CLASSES)
    depths = [network.depth for network in networks]
    stages = len(space.stages)
    assert (min(depths), max(depths)) == (stages, stages * space.max_depth)
    assert {(n.space, n.resolution, n.num_classes) for n in networks} == {(space.name, 96, CLASSES)}
    assert {name for n in networks for s in n.stages for name in s} <= set(space.operators)


def test_networks_lie_farther_apart_than_random_ones() -> None:
    networks = choose_networks(CREAM, 96, CLASSES, 10, seed=0)
    depths = sorted(network.depth for network in networks)
    macs = sorted(architecture_cost(network).macs for network in networks)
    assert len(set(depths)) >= 5
    for values in (np.array(depths, dtype=float), np.log(macs)):
        gaps = np.diff(values) / np.ptp(values)
        assert gaps.max() < 0.4


def test_the_seed_decides_the_networks() -> None:
    one, same, other = (choose_networks(CREAM, 96, CLASSES, 10, seed=seed) for seed in (0, 0, 1))
    assert one == same
    assert one != other


@pytest.mark.parametrize(("depth", "operators", "total"), [(1, 1, 1), (1, 2, 32), (2, 1, 32)])
def test_a_small_space_gives_all_it_has_once(depth: int, operators: int, total: int) -> None:
    space = CREAM.narrowed(max_depth=depth, operators=CREAM.operators[:operators])
    networks = choose_networks(space, 32, CLASSES, 100, seed=0)
    assert len(networks) == len(set(networks)) == total == space.count()
