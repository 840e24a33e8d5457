"""Costs of many rows at once, against a sum over slots and the walk through each network."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ArchitectureError
from pipeline.search import cost_tables
from pipeline.search.cost_tables import CostTables
from pipeline.space.cost import architecture_cost
from pipeline.space.encoding import SlotTable
from tests.search.toys import make_toy

SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 6))
SIZES = st.sampled_from([(64,), (96, 64), (32, 224, 128)])
SEEDS = st.integers(0, 2**32 - 1)


@given(SHAPES, SIZES, SEEDS, st.integers(0, 9))
@settings(max_examples=60)
def test_costs_are_to_the_bit_those_of_each_table(shape, sizes, seed, count):
    toy, rng = make_toy(*shape, sizes=sizes), np.random.default_rng(seed)
    rows = toy.variation.random(count, rng)
    found = toy.tables(rows)
    assert tuple(found) == toy.tables.keys
    for key, values in found.items():
        each = [toy.tables.sums[int(row[0])][key].totals(row[None])[0] for row in rows]
        assert values.tolist() == each


@given(SHAPES, SIZES, SEEDS)
@settings(max_examples=40)
def test_costs_are_those_of_the_walk_through_each_network(shape, sizes, seed):
    toy, rng = make_toy(*shape, sizes=sizes), np.random.default_rng(seed)
    rows = toy.variation.random(3, rng)
    costs = [architecture_cost(toy.decode(row)) for row in rows]
    assert toy.tables(rows)["macs"].tolist() == [cost.macs for cost in costs]
    assert toy.tables(rows)["params"].tolist() == [cost.params for cost in costs]


@given(st.integers(1, 4), st.integers(1, 7), st.integers(1, 10), SEEDS)
@settings(max_examples=60)
def test_random_sums_of_any_shape_are_to_the_bit_those_of_each_table(stages, depth, codes, seed):
    """However the slots are grouped, and for values of any sign that are on the grid."""
    rng = np.random.default_rng(seed)
    tables = {
        key: SlotTable(64, rng.normal(), rng.normal(0, 3, (stages * depth, codes)), depth).on_grid()
        for key in ("one", "other")
    }
    rows = rng.integers(0, codes, (5, 1 + stages * depth)).astype(np.int16)
    rows[:, 0] = 64
    found = CostTables({64: tables})(rows)
    for key, table in tables.items():
        assert found[key].tolist() == table.totals(rows).tolist()


def test_rows_go_through_in_pieces(monkeypatch):
    monkeypatch.setattr(cost_tables, "_PIECE", 7)
    toy = make_toy(3, 3, sizes=(64, 96))
    rows = toy.variation.random(50, np.random.default_rng(0))
    found = toy.tables(rows)
    one_by_one = [toy.tables(row[None])["macs"][0] for row in rows]
    assert found["macs"].tolist() == one_by_one


def test_blocks_in_another_order_have_the_same_costs_to_the_bit():
    toy, rng = make_toy(6, 6), np.random.default_rng(1)
    row = toy.variation.uniform()[-1:].repeat(200, axis=0)
    row[:, 1:] = rng.integers(1, 7, (1, 30))
    shuffled = row.copy().reshape(200, -1)
    for stage in range(5):
        first = 1 + 6 * stage
        later = shuffled[:, first + 1 : first + 6]
        shuffled[:, first + 1 : first + 6] = rng.permuted(later, axis=1)
    assert len(np.unique(shuffled, axis=0)) > 100
    for values in toy.tables(shuffled).values():
        assert len(set(values.tolist())) == 1


def test_no_rows_have_no_costs():
    toy = make_toy(2, 2, sizes=(64, 96))
    assert {len(values) for values in toy.tables(toy.everything[:0]).values()} == {0}


@pytest.mark.parametrize("others", [1, 3])
def test_a_size_without_costs_is_an_error_that_names_it(others):
    toy = make_toy(2, 2, sizes=(64, 96))
    rows = toy.variation.random(3, np.random.default_rng(0))
    rows[:others, 0] = 128
    with pytest.raises(ArchitectureError, match="rows at 128 pixels; costs are known for 64, 96"):
        toy.tables(rows)


def test_what_is_reached_is_that_of_all_networks():
    toy = make_toy(2, 2, sizes=(64, 96))
    costs = toy.tables(toy.everything)
    for size in toy.sizes:
        here = toy.everything[:, 0] == size
        for key, (smallest, largest) in toy.tables.reachable[size].items():
            assert (smallest, largest) == (costs[key][here].min(), costs[key][here].max())
    assert toy.reachable == {key: (v.min(), v.max()) for key, v in costs.items()}
