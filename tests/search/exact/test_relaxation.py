"""What partial networks can become at best: never below what they truly become."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.search.exact.relaxation import relaxation

STAGES, OPTIONS = 3, 7


def random_options(seed, sums):
    """Loss falls where costs rise; all costs are positive."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(STAGES):
        costs = rng.gamma(2.0, 1.0, (OPTIONS, sums - 1))
        loss = -costs.mean(axis=1, keepdims=True) + rng.normal(0, 0.4, (OPTIONS, 1))
        found.append(np.hstack([loss, costs]))
    return found


def networks(options):
    """Choices and sums of all networks."""
    choices = np.array(list(itertools.product(range(OPTIONS), repeat=STAGES)))
    sums = sum(options[stage][choices[:, stage]] for stage in range(STAGES))
    return choices, sums


def some_limits(rng, sums):
    at_most = np.quantile(sums, rng.uniform(0.3, 0.95), axis=0)
    at_most[:2] = np.inf, sums[:, 1].max()
    return at_most


def known_front(sums, rng):
    """The front of a few networks, among them the fastest: latencies rising, losses falling."""
    some = np.append(rng.choice(len(sums), min(6, len(sums)), replace=False), sums[:, 1].argmin())
    latency, loss = sums[some, 1], sums[some, 0]
    order = np.lexsort((loss, latency))
    latency, loss = latency[order], loss[order]
    before = np.concatenate([[np.inf], np.minimum.accumulate(loss)[:-1]])
    return latency[loss < before], loss[loss < before]


def improvement(latency, loss, sums):
    """By how much each network is better than the known front, by its definition."""
    return np.array([loss[latency <= one[1]].min() - one[0] for one in sums])


@given(st.integers(0, 2**32 - 1), st.integers(2, 5))
@settings(max_examples=12)
def test_no_completion_is_better_than_what_was_promised(seed, width):
    rng = np.random.default_rng(seed)
    options = random_options(seed, width)
    choices, sums = networks(options)
    at_most = some_limits(rng, sums)
    within = (sums <= at_most).all(axis=1)
    relaxed = relaxation(options, at_most)
    if not within.any():
        return
    assert relaxed is not None
    choices, sums = choices[within], sums[within]
    latency, loss = known_front(sums, rng)
    bounds = relaxed.against(latency, loss)
    true = improvement(latency, loss, sums)
    assert bounds.improvement(sums) == pytest.approx(true)

    for stage in range(STAGES - 1):
        partial = sum(options[s][choices[:, s]] for s in range(stage + 1))
        rest = sum(options[s][:, 1].min() for s in range(stage + 1, STAGES))
        promised = bounds.most_improvement(partial, stage, rest)
        # Where coarse intervals show that nothing is gained, the promise is as coarse.
        assert (promised >= true - 1e-9).all()
    for stage in range(STAGES):
        promised = bounds.of_options(options[stage], stage)
        assert (promised[choices[:, stage]] >= true - 1e-9).all()


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=8)
def test_of_one_stage_with_one_limit_the_promise_is_nearly_exact(seed):
    """What is left open is only the relaxation's own gap, so useless partial networks are seen."""
    options = random_options(seed, 2)
    _, sums = networks(options)
    relaxed = relaxation(options, np.array([np.inf, sums[:, 1].max()]))
    assert relaxed is not None
    order = np.lexsort((sums[:, 0], sums[:, 1]))
    latency, loss = sums[order, 1], sums[order, 0]
    front = loss < np.concatenate([[np.inf], np.minimum.accumulate(loss)[:-1]])
    bounds = relaxed.against(latency[front], loss[front])
    # Nothing is better than the whole front; of bad options even the bound says so.
    worst = np.array([[sums[:, 0].max(), sums[:, 1].max()]])
    assert bounds.most_improvement(worst, 0, 0.0)[0] < 0
    useful = bounds.of_options(options[0], 0)
    assert useful.max() >= -1e-9


def test_without_any_fractional_network_there_is_no_relaxation():
    options = random_options(1, 3)
    least = sum(each[:, 2].min() for each in options)
    _, sums = networks(options)
    slowest = sums[:, 1].max()
    assert relaxation(options, np.array([np.inf, slowest, 0.99 * least])) is None
    assert relaxation(options, np.array([np.inf, slowest, 1.01 * least])) is not None


def test_no_partial_networks_promise_nothing():
    options = random_options(2, 3)
    _, sums = networks(options)
    relaxed = relaxation(options, np.array([np.inf, *sums[:, 1:].max(axis=0)]))
    assert relaxed is not None
    fastest = sums[[sums[:, 1].argmin()]]
    bounds = relaxed.against(fastest[:, 1], fastest[:, 0])
    assert bounds.most_improvement(np.empty((0, 3)), 1, 0.0).shape == (0,)
    assert bounds.of_options(np.empty((0, 3)), 1).shape == (0,)
