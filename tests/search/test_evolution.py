"""Ask and tell: what is asked is feasible and new, and the fittest survive."""

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.records import Limits
from pipeline.search.constraints import violation
from pipeline.search.evolution import Evolution, SearchSettings
from pipeline.search.seeds import seed_rows

CPU = "cpu/onnxruntime-fp32-b1-t1"
LIMITS = Limits(macs=40e6, macs_min=15e6, latency_ms={CPU: 8.0})


def evolution(problem, *, seed=0, population=10, limits=LIMITS):
    rng = np.random.default_rng(seed)
    settings = SearchSettings(population=population)
    seeds, left = seed_rows(
        problem.variation, population, costs=problem.costs, limits=limits, rng=rng
    )
    assert left[0] == 0
    return Evolution(
        problem.variation,
        seeds[left == 0],
        costs=problem.costs,
        limits=limits,
        target=CPU,
        settings=settings,
        rng=rng,
    )


def test_everything_asked_is_inside_the_limits_and_new(toy):
    problem = toy()
    evolving, asked = evolution(problem), []
    for _ in range(12):
        rows = evolving.ask()
        assert len(rows) == 10
        assert (violation(problem.costs(rows), LIMITS) == 0).all()
        asked += [row.tobytes() for row in rows]
        evolving.tell(rows, problem.accuracies(rows))
    assert len(set(asked)) == len(asked)


def test_a_random_generator_decides_everything(toy):
    problem = toy()
    one, same, other = (evolution(problem, seed=seed) for seed in (1, 1, 2))
    for _ in range(3):
        rows, same_rows, other_rows = one.ask(), same.ask(), other.ask()
        assert rows.tolist() == same_rows.tolist()
        assert rows.tolist() != other_rows.tolist()
        one.tell(rows, problem.accuracies(rows))
        same.tell(same_rows, problem.accuracies(same_rows))
        other.tell(other_rows, problem.accuracies(other_rows))


def test_a_small_space_runs_out_and_none_is_left_behind(toy):
    problem = toy(1, 2)
    everything = problem.every_row()
    limits = Limits(macs=float(np.median(problem.costs(everything)["macs"])))
    feasible = everything[violation(problem.costs(everything), limits) == 0]
    assert 4 < len(feasible) < 32
    evolving, asked = evolution(problem, limits=limits), []
    for _ in range(20):
        rows = evolving.ask()
        if not len(rows):
            break
        asked += rows.tolist()
        evolving.tell(rows, problem.accuracies(rows))
    assert sorted(asked) == sorted(feasible.tolist())


def test_seeds_are_near_the_limits_and_far_from_them(toy):
    problem = toy()
    rows, left = seed_rows(
        problem.variation,
        30,
        costs=problem.costs,
        limits=Limits(macs=40e6),
        rng=np.random.default_rng(0),
    )
    macs = problem.costs(rows)["macs"][left == 0]
    assert (left == 0).all()
    assert (macs > 0.85 * 40e6).sum() >= 10
    assert macs.min() < 0.5 * 40e6


def test_the_nearest_comes_first_where_nothing_is_inside(toy):
    problem = toy(2, 2)
    smallest = problem.reachable["macs"][0]
    rows, left = seed_rows(
        problem.variation,
        10,
        costs=problem.costs,
        limits=Limits(macs=smallest * 0.8),
        rng=np.random.default_rng(0),
    )
    assert left[0] == left.min() == pytest.approx(0.25)
    assert problem.costs(rows[:1])["macs"][0] == smallest


def test_the_budget_is_population_times_generations():
    assert SearchSettings(population=7, generations=3).budget == 21


@pytest.mark.parametrize(
    "changes",
    [
        {"population": 1},
        {"generations": 0},
        {"mutation_probability": 1.5},
        {"mutation_probability": -0.1},
        {"populaton": 10},
    ],
)
def test_settings_that_make_no_sense_are_refused(changes):
    with pytest.raises(ValidationError):
        SearchSettings(**changes)


@pytest.mark.parametrize("seed", range(6))
def test_a_narrow_window_is_found_from_few_seeds(toy, seed):
    problem = toy()
    _, left = seed_rows(
        problem.variation,
        2,
        costs=problem.costs,
        limits=Limits(macs=30.001e6, macs_min=30e6, params=3.5e6, latency_ms={CPU: 6.9}),
        rng=np.random.default_rng(seed),
    )
    assert left[0] == 0
