"""Rows of integers, and sums over many of them at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ArchitectureError
from pipeline.space.architecture_file import published
from pipeline.space.cost import operator_macs
from pipeline.space.encoding import SlotTable, decode, encode, totals
from pipeline.space.search_space import get_space, space_names
from tests.space.every_row import every_row

CREAM = get_space("cream")


def made_up(spec):
    """A value that tells every operator from every other."""
    return float(len(spec.key)) + spec.kernel / 7 + spec.expansion / 11 + spec.in_channels / 13


@settings(max_examples=40)
@given(st.data())
def test_rows_decode_to_what_was_encoded(architectures, data):
    space = get_space(data.draw(st.sampled_from(space_names())))
    several = data.draw(st.lists(architectures(space.name), min_size=1, max_size=4))
    rows = encode(space, several)
    assert rows.shape == (len(several), 1 + space.num_slots)
    there = [
        decode(space, row, architecture.num_classes)
        for row, architecture in zip(rows, several, strict=True)
    ]
    assert there == several


def test_no_architectures_are_no_rows():
    assert encode(CREAM, []).shape == (0, 31)
    assert totals(CREAM, encode(CREAM, []), 1000, operator_macs).shape == (0,)


def test_gaps_close_up():
    row = encode(CREAM, [published("cream-481")])[0]
    gaps = row.copy()
    gaps[1:7] = [0, row[1], 0, row[2], row[3], row[4]]
    assert decode(CREAM, gaps, 1000) == published("cream-481")


def test_an_empty_stage_is_no_architecture():
    row = encode(CREAM, [published("cream-14")])[0]
    row[1:7] = 0
    with pytest.raises(ArchitectureError, match="stage 1 has 0 blocks"):
        decode(CREAM, row, 1000)


def test_rows_of_another_space_are_refused():
    with pytest.raises(ArchitectureError, match="of space cream given where cream-table1"):
        encode(get_space("cream-table1"), [published("cream-14")])


@pytest.mark.parametrize(
    "narrowed",
    [CREAM.narrowed(max_depth=3), CREAM.narrowed(operators=["mb4_3x3", "mb6_5x5"])],
)
def test_what_a_narrowed_space_leaves_out_is_refused(narrowed):
    with pytest.raises(ArchitectureError, match="outside the narrowed space cream"):
        encode(narrowed, [published("cream-481")])


@pytest.mark.parametrize("space", space_names())
@settings(max_examples=15)
@given(data=st.data())
def test_totals_are_the_sums_over_the_walk(architectures, space, data):
    architecture = data.draw(architectures(space))
    rows = encode(get_space(space), [architecture])
    walk = sum(made_up(placed.spec) for placed in architecture.operators())
    many = totals(get_space(space), rows, architecture.num_classes, made_up)
    assert many[0] == pytest.approx(walk, rel=1e-12)


def test_rows_may_mix_resolutions_but_a_table_may_not():
    models = [published("cream-14"), published("cream-287"), published("cream-43")]
    rows = encode(CREAM, models)
    each = [totals(CREAM, row[None], 1000, made_up)[0] for row in rows]
    assert totals(CREAM, rows, 1000, made_up).tolist() == each
    with pytest.raises(ArchitectureError, match="another resolution than 64"):
        SlotTable.of(CREAM, 64, 1000, made_up).totals(rows)


@settings(max_examples=40)
@given(
    st.sampled_from([(1, 3), (2, 2), (3, 1)]),
    st.integers(0, 2**32 - 1),
    st.floats(-5, 5),
    st.booleans(),
)
def test_the_extreme_is_that_of_an_enumeration(shape, seed, shift, largest):
    """Also where blocks have negative values, so that the extreme is neither end of the depths."""
    depth, operators = shape
    space = CREAM.narrowed(max_depth=depth, operators=CREAM.operators[:operators])
    table = SlotTable.of(space, 64, 10, made_up)
    values = np.random.default_rng(seed).normal(shift, 3, table.values.shape)
    # Slots after the first of a stage are alike, as they are in every real table.
    values = values.reshape(5, depth, -1)
    values[:, 1:] = values[:, 1:2]
    values[:, :, 0] = 0
    table = SlotTable(64, 1.5, values.reshape(5 * depth, -1), depth)
    value, row = table.extreme(largest=largest)
    everything = table.totals(every_row(space, 64))
    assert value == pytest.approx(everything.max() if largest else everything.min())
    assert table.totals(row[None])[0] == value
    assert decode(space, row, 10).space == "cream"


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 10), st.permutations(range(6)))
def test_on_the_grid_sums_do_not_depend_on_their_order(seed, factor, order):
    """Real totals do, in their last bits; a limit that is a network's own cost then has no answer.

    Rounding moves a value by half a step at most, far less than anything is measured to.
    """
    values = np.random.default_rng(seed).gamma(1.0, 3.0, (6, 4))
    values[:, 0] = 0
    table = SlotTable(64, 1.1, values, 6)
    exact = table.on_grid(factor)
    assert np.abs(exact.values - factor * values).max() <= 2.0**-37 * (1 + 1e-9)
    assert abs(exact.fixed - factor * 1.1) <= 2.0**-37 * (1 + 1e-9)
    row = np.array([[64, 1, 2, 3, 1, 2, 3]], dtype=np.int16)
    total = exact.totals(row)[0]
    added = exact.fixed
    for slot in order:
        added += exact.values[slot, row[0, 1 + slot]]
    assert added == total
    assert exact.on_grid().totals(row)[0] == total


def test_whole_numbers_are_on_the_grid():
    """As MACs and parameters are, however many."""
    table = SlotTable.of(CREAM, 224, 1000, operator_macs)
    exact = table.on_grid()
    assert exact.fixed == table.fixed
    assert (exact.values == table.values).all()
