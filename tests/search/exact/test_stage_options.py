"""Options of a stage against all its sequences of blocks."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.search.exact.stage_options import stage_options
from pipeline.space.encoding import SlotTable


def random_tables(depth, operators, sums, seed, *, levels):
    """Few levels make many sequences equal."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(sums):
        values = rng.integers(-levels // 2, levels, (2 * depth, 1 + operators)).astype(float)
        values[:, 0] = 0
        found.append(SlotTable(64, 7.0, values, depth))
    return found


@given(
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(0, 2**32 - 1),
    st.sampled_from([3, 1000]),
)
@settings(max_examples=60)
def test_options_are_the_sequences_that_no_other_beats(depth, operators, sums, seed, levels):
    tables = random_tables(depth, operators, sums, seed, levels=levels)
    both = stage_options(tables)
    assert len(both) == 2
    for stage, options in enumerate(both):
        values = np.stack([table.values for table in tables], axis=-1)
        values = values[stage * depth : (stage + 1) * depth]
        every = {
            sequence: values[np.arange(length), sequence].sum(axis=0)
            for length in range(1, depth + 1)
            for sequence in itertools.product(range(1, 1 + operators), repeat=length)
        }
        points = np.array(list(every.values()))
        best = {
            tuple(point)
            for point in points
            if not ((points <= point).all(axis=1) & (points < point).any(axis=1)).any()
        }
        assert {tuple(each) for each in options.sums} == best
        assert len(options) == len(best), "equal ones are kept once"
        for each, codes in zip(options.sums, options.codes.tolist(), strict=True):
            used = tuple(code for code in codes if code)
            assert codes == [*used, *(0,) * (depth - len(used))]
            assert every[used] == pytest.approx(each)


def test_with_nothing_that_grows_a_stage_has_one_option():
    tables = random_tables(3, 2, 1, 0, levels=1000)
    assert [len(options) for options in stage_options(tables)] == [1, 1]
