"""Ask and tell: what is asked is feasible and new, and the fittest survive."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.errors import InfeasibleError
from pipeline.records.candidates import Limits
from pipeline.search import seeds
from pipeline.search.evolution import Evolution
from pipeline.search.exact.integer_program import least_within
from pipeline.search.repair import repair
from pipeline.search.seeds import seed_rows
from pipeline.search.settings import SearchSettings
from tests.search.toys import CPU, GPU, make_toy

TOY = make_toy()
LIMITS = Limits(macs=40e6, macs_min=15e6, latency_ms={CPU: 8.0})


def evolution(problem, *, seed=0, population=10, mutation_probability=0.02):
    return Evolution(
        problem,
        population=population,
        mutation_probability=mutation_probability,
        rng=np.random.default_rng(seed),
    )


def lived(its, problem, generations, **arguments):
    """Everything asked, generation by generation."""
    evolving, asked = evolution(problem, **arguments), []
    for _ in range(generations):
        rows = evolving.ask()
        evolving.tell(rows, its.accuracies(rows))
        asked.append(rows)
    return evolving, asked


@pytest.mark.parametrize("sizes", [(64,), (64, 96)])
def test_everything_asked_is_inside_the_limits_and_new(toy, sizes):
    its = toy(sizes=sizes)
    problem = its.problem(LIMITS)
    _, generations = lived(its, problem, 12)
    assert [len(rows) for rows in generations] == 12 * [10]
    asked = np.concatenate(generations)
    assert (problem.violation(asked) == 0).all()
    assert len(np.unique(asked, axis=0)) == len(asked)


def test_a_random_generator_decides_everything():
    problem = TOY.problem(LIMITS)
    one, same, other = (lived(TOY, problem, 3, seed=seed)[1] for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_small_space_runs_out_and_none_is_left_behind(toy):
    its = toy(1, 2)
    limits = Limits(macs=float(np.median(its.costs(its.everything)["macs"])))
    inside = its.inside(limits)
    assert 4 < len(inside) < 32
    _, generations = lived(its, its.problem(limits), 10)
    assert sorted(np.concatenate(generations).tolist()) == sorted(inside.tolist())
    assert len(generations[-1]) == 0


def test_children_come_from_the_accurate_and_the_fast():
    """Most of the later ones are better than nearly all that random sampling brings."""
    problem, rng = TOY.problem(LIMITS), np.random.default_rng(3)
    _, generations = lived(TOY, problem, 16)
    last = TOY.accuracies(np.concatenate(generations[-4:]))
    sampled, left = repair(problem.variation.random(400, rng), problem, rng)
    assert np.median(last) > np.quantile(TOY.accuracies(sampled[left == 0]), 0.95)


# A guide.


def test_of_several_children_the_most_promising_are_asked_about():
    """Whatever the guide believes: here that few MACs are accurate."""
    problem, rng = TOY.problem(LIMITS), np.random.default_rng(4)
    known = seed_rows(problem, 20, rng)
    unguided, guided = evolution(problem), evolution(problem)
    shown = []

    def few_macs(rows):
        shown.append(rows)
        return -problem.costs(rows)["macs"]

    guided.guide = few_macs
    for evolving in (unguided, guided):
        evolving.learn(known, TOY.accuracies(known))
    without, rows = unguided.ask(), guided.ask()
    (children,) = shown
    assert len(rows) == 10 < len(children)
    assert (problem.violation(rows) == 0).all()
    best = np.argsort(problem.costs(children)["macs"], kind="stable")[:10]
    assert rows.tolist() == children[best].tolist()
    assert problem.costs(rows)["macs"].mean() < problem.costs(without)["macs"].mean()
    # Those that were not chosen may still be asked about.
    left = {row.tobytes() for row in children} - {row.tobytes() for row in rows}
    guided.guide = None
    assert guided.plant(np.array([np.frombuffer(row, np.int16) for row in left])) == len(left)


def test_a_guide_does_not_choose_among_planted_rows():
    problem, rng = TOY.problem(LIMITS), np.random.default_rng(5)
    planted = seed_rows(problem, 13, rng)
    guided = evolution(problem)
    guided.guide = lambda rows: -problem.costs(rows)["macs"]
    guided.plant(planted)
    assert guided.ask().tolist() == planted[:10].tolist()
    second = guided.ask()
    assert second[:3].tolist() == planted[10:].tolist()
    assert len(second) == 10


# Planted and learnt rows.


def test_planted_rows_come_first_in_their_order_and_only_inside_the_limits():
    problem, rng = TOY.problem(LIMITS), np.random.default_rng(7)
    inside = seed_rows(problem, 12, rng)
    outside = problem.variation.uniform()[-2:]
    assert (problem.violation(outside) > 0).all()
    evolving = evolution(problem)
    planted = np.concatenate([inside[:5], outside, inside[3:]])
    assert evolving.plant(planted) == 12
    first, second = evolving.ask(), evolving.ask()
    assert np.concatenate([first, second])[:12].tolist() == inside.tolist()
    assert len(second) == 10
    assert evolving.plant(inside) == 0


def test_what_is_learnt_is_not_asked_and_has_children():
    problem, rng = TOY.problem(LIMITS), np.random.default_rng(8)
    known = seed_rows(problem, 20, rng)
    evolving = evolution(problem, mutation_probability=0.0)
    evolving.learn(known, TOY.accuracies(known))
    asked = np.concatenate([evolving.ask() for _ in range(3)])
    assert not {row.tobytes() for row in asked} & {row.tobytes() for row in known}
    # Every stage but the one mutated, and what repair changed, is of a known network.
    stages = asked[:, 1:].reshape(len(asked), 5, 6)
    of_known = known[:, 1:].reshape(len(known), 1, 5, 6)
    inherited = (stages == of_known).all(axis=3).any(axis=0)
    assert inherited.mean() > 0.6


def test_fewer_are_asked_at_the_end_of_a_budget():
    evolving = evolution(TOY.problem(LIMITS))
    assert len(evolving.ask(3)) == 3
    assert len(evolving.ask(30)) == 10


def test_the_survivors_hold_the_front_of_everything_told():
    """Even where a later generation is worse: parents then come from the earlier one."""
    problem, rng = TOY.problem(LIMITS), np.random.default_rng(9)
    good = seed_rows(problem, 10, rng)
    evolving = evolution(problem, mutation_probability=0.0)
    evolving.learn(good, np.full(10, 90.0) + np.arange(10))
    bad = evolving.ask()
    evolving.tell(bad, np.full(len(bad), 10.0))
    children = evolving.ask()[:, 1:].reshape(-1, 5, 6)
    of_good = (children == good[:, 1:].reshape(10, 1, 5, 6)).all(axis=3).any(axis=0)
    assert of_good.mean() > 0.6


# Seeds.


def test_seeds_are_near_the_limits_and_far_from_them():
    problem = TOY.problem(Limits(macs=40e6))
    rows = seed_rows(problem, 30, np.random.default_rng(0))
    macs = problem.costs(rows)["macs"]
    assert (problem.violation(rows) == 0).all()
    assert len(np.unique(rows, axis=0)) == len(rows) == 30
    assert (macs > 0.85 * 40e6).sum() >= 10
    assert macs.min() < 0.5 * 40e6


def test_seeds_are_of_all_input_sizes(toy):
    problem = toy(3, 3, sizes=(64, 96)).problem(LIMITS)
    rows = seed_rows(problem, 30, np.random.default_rng(0))
    assert min((rows[:, 0] == size).sum() for size in (64, 96)) >= 5


@given(st.floats(0.05, 0.99), st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_where_nothing_is_inside_there_are_no_seeds(toy, share, seed):
    its = toy(1, 3)
    problem = its.problem(Limits(macs=share * its.reachable["macs"][0]))
    with pytest.raises(InfeasibleError):
        seed_rows(problem, 4, np.random.default_rng(seed))


def test_the_only_network_inside_is_found_where_repairs_lead_nowhere(toy, monkeypatch):
    """The integer program does: each limit is the very cost of that one network."""
    its, rng = toy(2, 4), np.random.default_rng(11)
    row = its.variation.random(1, rng)
    costs = {key: float(value[0]) for key, value in its.costs(row).items()}
    limits = Limits(
        macs=costs["macs"],
        macs_min=costs["macs"],
        params=costs["params"],
        latency_ms={CPU: costs[f"latency_ms/{CPU}"], GPU: costs[f"latency_ms/{GPU}"]},
    )
    problem, proofs = its.problem(limits), []

    def counted(*arguments):
        proofs.append(arguments)
        return least_within(*arguments)

    monkeypatch.setattr(seeds, "least_within", counted)
    rows = seed_rows(problem, 5, rng)
    assert len(proofs) == 1
    assert (problem.violation(rows) == 0).all()
    assert (problem.costs(rows)["macs"] == costs["macs"]).all()


@pytest.mark.parametrize("seed", range(3))
def test_a_narrow_window_is_found_from_few_seeds(seed):
    limits = Limits(macs=30.001e6, macs_min=30e6, params=3.5e6, latency_ms={CPU: 6.9})
    problem = TOY.problem(limits)
    rows = seed_rows(problem, 2, np.random.default_rng(seed))
    assert (problem.violation(rows) == 0).all()


@pytest.mark.parametrize(
    "changes",
    [
        {"population": 1},
        {"candidates": 1},
        {"seconds": 0},
        {"surrogate_share": 0.95},
        {"surrogate_share": -0.1},
        {"patience": 0},
        {"strategy": "random"},
        {"mutation_probability": 1.5},
        {"mutation_probability": -0.1},
        {"populaton": 10},
    ],
)
def test_settings_that_make_no_sense_are_refused(changes):
    with pytest.raises(ValidationError):
        SearchSettings(**changes)
