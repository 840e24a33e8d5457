"""Repairs end inside the limits, or say by how much they do not."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.records.candidates import Limits
from pipeline.search.cost_tables import CostTables
from pipeline.search.repair import repair
from tests.search.toys import CPU, GPU, make_toy

TOY = make_toy()


@given(
    st.integers(0, 2**32 - 1),
    st.floats(0, 1),
    st.floats(0, 1),
    st.sampled_from([0.5, 0.9]),
    st.sampled_from([(64,), (64, 96)]),
)
@settings(max_examples=40)
def test_what_is_left_is_the_violation_and_inside_stays_as_it_is(
    toy, seed, macs, latency, confidence, sizes
):
    its, rng = toy(3, 3, sizes=sizes), np.random.default_rng(seed)
    problem = its.problem(its.shares(macs=macs, cpu=latency, confidence=confidence))
    rows = problem.variation.random(6, rng)
    before, as_given = problem.violation(rows), rows.copy()
    repaired, left = repair(rows, problem, rng)
    assert (rows == as_given).all()
    assert left.tolist() == problem.violation(repaired).tolist()
    assert (left <= before).all()
    assert (repaired[before == 0] == rows[before == 0]).all()


@pytest.mark.parametrize(
    "limits",
    [
        Limits(macs=20e6),
        Limits(macs=60e6, macs_min=59e6),
        Limits(latency_ms={CPU: 3.0, GPU: 0.5}),
        Limits(latency_ms={CPU: 3.5, GPU: 0.55}, confidence=0.95),
        Limits(params=4e6, latency_ms={GPU: 0.6}),
        Limits(macs_min=60e6),
    ],
)
def test_repairs_succeed_from_both_sides(limits):
    problem, rng = TOY.problem(limits), np.random.default_rng(1)
    ends = problem.variation.uniform()[[0, 5, -6, -1]]
    rows = ends.repeat(5, axis=0)
    assert (problem.violation(rows) > 0).any()
    repaired, left = repair(rows, problem, rng)
    assert (left == 0).all()
    assert len(np.unique(repaired, axis=0)) > 4


def test_a_repair_may_change_the_input_size(toy):
    its, rng = toy(2, 2, sizes=(64, 224)), np.random.default_rng(1)
    smallest_large = its.tables.reachable[224]["macs"][0]
    problem = its.problem(Limits(macs=smallest_large / 2))
    rows = problem.variation.uniform()[-4:]
    assert (rows[:, 0] == 224).all()
    repaired, left = repair(rows, problem, rng)
    assert (left == 0).all()
    assert (repaired[:, 0] == 64).all()


def test_a_repair_from_above_ends_close_under_the_limit():
    limit, rng = TOY.at("macs", 0.4), np.random.default_rng(2)
    problem = TOY.problem(Limits(macs=limit))
    rows = problem.variation.uniform()[-1:].repeat(50, axis=0)
    repaired, left = repair(rows, problem, rng)
    assert (left == 0).all()
    assert problem.costs(repaired)["macs"].mean() > 0.85 * limit


@pytest.mark.parametrize("key", ["macs", "params"])
def test_a_repair_reaches_the_very_smallest(key):
    smallest, rng = TOY.reachable[key][0], np.random.default_rng(3)
    problem = TOY.problem(Limits(**{key: smallest}))
    found, left = repair(problem.variation.random(8, rng), problem, rng)
    assert (left == 0).sum() >= 6
    assert (problem.costs(found[left == 0])[key] == smallest).all()


def test_what_cannot_be_repaired_ends_with_what_is_missing(toy):
    its, rng = toy(2, 2), np.random.default_rng(4)
    smallest = its.reachable["macs"][0]
    problem = its.problem(Limits(macs=smallest / 2))
    found, left = repair(problem.variation.random(4, rng), problem, rng)
    assert (left == 1.0).all()
    assert (problem.costs(found)["macs"] == smallest).all()


def test_costs_of_a_step_come_in_one_call():
    calls, rng = [], np.random.default_rng(5)

    class Counted(CostTables):
        def __call__(self, rows):
            calls.append(len(rows))
            return super().__call__(rows)

    problem = replace(TOY.problem(Limits(macs=30e6)), tables=Counted(TOY.tables.sums))
    rows = problem.variation.uniform()[-1:].repeat(20, axis=0)
    repair(rows, problem, rng)
    assert calls[0] == 20
    assert calls[1] >= 20 * 8
    assert len(calls) < 1 + 6 * problem.variation.slots + 1
