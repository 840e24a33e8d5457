"""What the solver's tolerance, its failures and its time may not change."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.errors import SolverError
from pipeline.records.candidates import Limits
from pipeline.search.cost_tables import CostTables
from pipeline.search.exact import integer_program
from pipeline.search.exact.integer_program import best_within, least_within, nearest
from pipeline.search.exact.linear import Cuts
from pipeline.space.encoding import SlotTable
from tests.search.random_problems import enumerated
from tests.search.toys import make_toy


def test_one_multiply_accumulate_decides():
    """The better network is over the limit by less than a solver's tolerance, the other is at it.

    Both are of the smallest that there are, so no tighter limit leaves any network.
    """
    its = enumerated(0)
    space, size = its.problem.space, 64
    values = np.full((space.num_slots, 1 + len(space.operators)), 9e6)
    values[:, 0] = 0
    values[:, 1], values[0, 2] = 4e6, 4e6 + 1
    macs = SlotTable(size, 2e7, values, space.max_depth)
    tables = CostTables({size: {**its.problem.tables.sums[size], "macs": macs}})
    worth = np.zeros(values.shape)
    worth[0, 2] = 1.0
    surrogates = {size: SlotTable(size, 50.0, worth, space.max_depth)}
    smallest = tables.reachable_over_all["macs"][0]

    def within(limit):
        problem = replace(its.problem, tables=tables, limits=Limits(macs=limit))
        return nearest(problem, Cuts()).value, best_within(problem, surrogates, Cuts())

    misses, best = within(smallest + 1)
    assert (misses, best.value) == (0, 51)
    misses, best = within(smallest)
    assert (misses, best.value) == (0, 50)
    assert 50 <= best.bound <= 51
    misses, best = within(smallest - 1)
    assert misses == pytest.approx(1 / smallest, rel=1e-3)
    assert best is None


def test_limits_that_only_rounding_decides_about_are_an_error(monkeypatch):
    """Thousands of networks within a solver's tolerance of an empty window: said, not guessed."""
    monkeypatch.setattr(integer_program, "_ROUNDS", 5)
    its = enumerated(1)
    rng, size = np.random.default_rng(0), 64
    like = its.problem.tables.sums[size]["macs"]
    values = 4e6 * rng.integers(1, 3, like.values.shape) + rng.integers(0, 2, like.values.shape)
    values[:, 0] = 0
    macs = SlotTable(size, 2e7, values, like.max_depth)
    tables = CostTables({size: {**its.problem.tables.sums[size], "macs": macs}})
    some = np.median(tables(its.rows)["macs"]) + 20.0
    problem = replace(its.problem, tables=tables, limits=Limits(macs=some, macs_min=some))
    beyond = problem.violation(its.rows)
    assert 0 < beyond.min() < (beyond < 1e-6).sum()
    with pytest.raises(SolverError, match="no network within all limits was found at 64") as caught:
        least_within(problem, like, Cuts())
    assert "loosen" in caught.value.hint


def test_a_program_that_presolving_breaks_is_solved_without(monkeypatch):
    """As HiGHS does now and then with unbounded continuous variables."""
    its, tried = enumerated(16), []
    true = integer_program.milp

    def breaking(*arguments, options, **more):
        tried.append(options["presolve"])
        if options["presolve"]:
            return SimpleNamespace(status=4, x=None, message="Solve error")
        return true(*arguments, options=options, **more)

    monkeypatch.setattr(integer_program, "milp", breaking)
    assert nearest(its.problem, Cuts()).value == 0
    assert tried == [True, False]
    monkeypatch.setattr(
        integer_program,
        "milp",
        lambda *arguments, **more: SimpleNamespace(status=4, x=None, message="Solve error"),
    )
    with pytest.raises(SolverError, match="Solve error"):
        nearest(its.problem, Cuts())


def test_a_program_stopped_early_still_has_a_bound(monkeypatch):
    """Its network may not be the best, but no network is above its bound."""
    toy = make_toy(6, 6)
    limits = toy.shares(macs=0.4, cpu=0.4, gpu=0.35, params=0.5)
    surrogate = SlotTable(64, 40.0, np.where(toy.effects > 0, toy.effects, 0.0), 6)
    whole = best_within(toy.problem(limits), {64: surrogate}, Cuts())
    assert whole is not None
    true = integer_program.milp

    def stopped(*arguments, options, **more):
        return true(*arguments, options={**options, "node_limit": 1}, **more)

    monkeypatch.setattr(integer_program, "milp", stopped)
    early = best_within(toy.problem(limits), {64: surrogate}, Cuts())
    assert early is not None
    assert early.value <= whole.value + 1e-6
    assert early.bound >= whole.value - 1e-6
