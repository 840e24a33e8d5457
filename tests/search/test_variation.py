"""Whatever is sampled, mutated or crossed is an architecture of the space."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

SHAPES = st.sampled_from([(1, 1), (1, 3), (2, 2), (3, 1), (6, 6)])
SIZES = st.sampled_from([(64,), (64, 96), (32, 64, 224)])
SEEDS = st.integers(0, 2**32 - 1)


def assert_architectures(problem, rows):
    assert rows.dtype == np.int16
    assert rows.shape[1] == 1 + problem.space.num_slots
    assert set(rows[:, 0].tolist()) <= set(problem.sizes)
    for row in rows:
        architecture = problem.decode(row)
        again = np.concatenate(
            [[architecture.resolution]]
            + [
                [problem.space.operators.index(name) + 1 for name in stage]
                + [0] * (problem.space.max_depth - len(stage))
                for stage in architecture.stages
            ]
        )
        assert row.tolist() == again.tolist()


@given(SHAPES, SIZES, SEEDS)
def test_all_that_comes_out_is_an_architecture(toy, shape, sizes, seed):
    problem, rng = toy(*shape, sizes=sizes), np.random.default_rng(seed)
    variation = problem.variation
    rows = variation.random(4, rng)
    for found in (
        rows,
        variation.uniform(),
        variation.mutate(rows, rng.random(), rng),
        variation.cross(rows, variation.random(4, rng), rng),
        variation.nearby(rows, 3, rng),
    ):
        assert_architectures(problem, found)


def test_sampling_reaches_the_whole_space(toy):
    problem = toy(2, 2)
    rows = problem.variation.random(40_000, np.random.default_rng(0))
    assert len(np.unique(rows[:, :5], axis=0)) == 6 * 6
    assert {tuple(row) for row in problem.everything[:200]} <= {tuple(row) for row in rows}


@pytest.mark.parametrize(("shape", "count"), [((1, 1), 1), ((2, 3), 6), ((6, 6), 36)])
def test_uniform_networks_have_one_operator_and_one_depth(toy, shape, count):
    problem = toy(*shape)
    rows = problem.variation.uniform()
    assert len(np.unique(rows, axis=0)) == len(rows) == count
    for row in rows:
        stages = problem.decode(row).stages
        assert len(set(stages)) == 1
        assert len(set(stages[0])) == 1
    depths = (rows[:, 1:] > 0).sum(axis=1).tolist()
    assert depths == sorted(depths)


@given(SEEDS)
def test_a_child_has_each_stage_from_one_of_its_parents(toy, seed):
    variation, rng = toy(3, 3).variation, np.random.default_rng(seed)
    one, other = variation.random(5, rng), variation.random(5, rng)
    children = variation.cross(one, other, rng)[:, 1:].reshape(5, 5, 3)
    from_one = (children == one[:, 1:].reshape(5, 5, 3)).all(axis=2)
    from_other = (children == other[:, 1:].reshape(5, 5, 3)).all(axis=2)
    assert (from_one | from_other).all()


def test_mutation_changes_as_much_as_it_is_told(toy):
    variation, rng = toy(6, 6).variation, np.random.default_rng(0)
    rows = variation.uniform()[-6:].repeat(300, axis=0)
    changed = [
        (variation.mutate(rows, probability, rng) != rows).sum(axis=1).mean()
        for probability in (0.0, 0.1, 0.5)
    ]
    # Without further chance one slot is drawn anew, now and then as it was.
    assert 0.7 < changed[0] < 1.2 < changed[1] < changed[2]


def test_nearby_rows_are_one_or_two_slots_away_and_grouped(toy):
    variation, rng = toy(1, 6).variation, np.random.default_rng(0)
    rows = variation.random(50, rng)
    near = variation.nearby(rows, 8, rng).reshape(50, 8, -1)
    away = (near != rows[:, None]).sum(axis=2)
    assert away.max() == 2
    assert (away == 1).any()


def test_input_sizes_are_drawn_kept_from_a_parent_and_changed(toy):
    variation, rng = toy(2, 2, sizes=(64, 96, 128)).variation, np.random.default_rng(0)
    rows = variation.random(900, rng)
    assert all(240 < (rows[:, 0] == size).sum() < 360 for size in (64, 96, 128))
    children = variation.cross(rows, rows[::-1], rng)
    assert ((children[:, 0] == rows[:, 0]) | (children[:, 0] == rows[::-1, 0])).all()
    assert 0.3 < (children[:, 0] == rows[:, 0]).mean() < 0.9
    # One of eleven choices is drawn anew; a third of the new sizes is the old one.
    changed = (variation.mutate(rows, 0.0, rng)[:, 0] != rows[:, 0]).mean()
    assert 0.03 < changed < 0.1
    near = variation.nearby(rows, 4, rng)
    assert 0.05 < (near[:, 0] != rows.repeat(4, axis=0)[:, 0]).mean() < 0.15


def test_uniform_networks_come_at_every_input_size(toy):
    rows = toy(2, 3, sizes=(64, 96)).variation.uniform()
    assert rows[:, 0].tolist() == 6 * [64] + 6 * [96]
    assert (rows[:6, 1:] == rows[6:, 1:]).all()
