"""Repairs end inside the limits, or say by how much they do not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.records import Limits
from pipeline.search.constraints import violation
from pipeline.search.repair import repair

CPU, GPU = "cpu/onnxruntime-fp32-b1-t1", "gpu/tensorrt-fp16-b1"


def between(problem, key, share):
    smallest, largest = problem.reachable[key]
    return smallest + share * (largest - smallest)


@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.floats(0, 1))
def test_what_is_left_is_the_violation_and_inside_stays_as_it_is(toy, seed, macs, latency):
    problem, rng = toy(), np.random.default_rng(seed)
    limits = Limits(
        macs=between(problem, "macs", macs),
        latency_ms={CPU: between(problem, f"latency_ms/{CPU}", latency)},
    )
    rows = problem.variation.random(6, rng)
    before = violation(problem.costs(rows), limits)
    repaired, left = repair(rows, problem.variation, problem.costs, limits, rng)
    assert left.tolist() == violation(problem.costs(repaired), limits).tolist()
    assert (left <= before).all()
    assert (repaired[before == 0] == rows[before == 0]).all()


@pytest.mark.parametrize(
    "limits",
    [
        Limits(macs=20e6),
        Limits(macs=60e6, macs_min=59e6),
        Limits(latency_ms={CPU: 3.0, GPU: 0.5}),
        Limits(params=4e6, latency_ms={GPU: 0.6}),
        Limits(macs_min=60e6),
    ],
)
def test_repairs_succeed_from_both_sides(toy, limits):
    problem, rng = toy(), np.random.default_rng(1)
    ends = problem.variation.uniform()[[0, 5, -6, -1]]
    rows = ends.repeat(5, axis=0)
    assert (violation(problem.costs(rows), limits) > 0).any()
    repaired, left = repair(rows, problem.variation, problem.costs, limits, rng)
    assert (left == 0).all()
    assert len(np.unique(repaired, axis=0)) > 4


def test_a_repair_from_above_ends_close_under_the_limit(toy):
    problem, rng = toy(), np.random.default_rng(2)
    limit = between(problem, "macs", 0.4)
    rows = problem.variation.uniform()[-1:].repeat(50, axis=0)
    repaired, left = repair(rows, problem.variation, problem.costs, Limits(macs=limit), rng)
    assert (left == 0).all()
    assert problem.costs(repaired)["macs"].mean() > 0.85 * limit


@pytest.mark.parametrize("key", ["macs", "params"])
def test_a_repair_reaches_the_very_smallest(toy, key):
    problem, rng = toy(), np.random.default_rng(3)
    smallest = problem.reachable[key][0]
    rows = problem.variation.random(8, rng)
    limits = Limits(**{key: smallest})
    found, left = repair(rows, problem.variation, problem.costs, limits, rng)
    assert (left == 0).sum() >= 6
    found = found[left == 0]
    assert (problem.costs(found)[key] == smallest).all()


def test_what_cannot_be_repaired_ends_with_what_is_missing(toy):
    problem, rng = toy(2, 2), np.random.default_rng(4)
    smallest = problem.reachable["macs"][0]
    limits = Limits(macs=smallest / 2)
    rows = problem.variation.random(4, rng)
    found, left = repair(rows, problem.variation, problem.costs, limits, rng)
    assert (left == 1.0).all()
    assert (problem.costs(found)["macs"] == smallest).all()


def test_costs_of_a_step_come_in_one_call(toy):
    problem, rng, calls = toy(), np.random.default_rng(5), []

    def counted(rows):
        calls.append(len(rows))
        return problem.costs(rows)

    rows = problem.variation.uniform()[-1:].repeat(20, axis=0)
    repair(rows, problem.variation, counted, Limits(macs=30e6), rng)
    assert calls[0] == 20
    assert calls[1] >= 20 * 8
    assert len(calls) < 1 + 6 * problem.variation.slots + 1
