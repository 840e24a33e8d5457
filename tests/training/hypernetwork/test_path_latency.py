"""Whether predicted latency is a sum over slots, and of what."""

import numpy as np
import pytest

from pipeline.space.cost import macs_batch
from pipeline.space.encoding import Rows
from pipeline.space.search_space import SearchSpace
from pipeline.training.hypernetwork.path_latency import NS_PER_MS, latency_table_ns
from tests.space.every_row import every_row
from tests.training.hypernetwork.enumerated import CREAM


def summed_ms(space: SearchSpace, rows: Rows, num_classes: int):
    """Blocks cost MACs, and save something for being there."""
    return 3 + macs_batch(space, rows, num_classes) / 3e8 - 0.01 * (rows[:, 1:] > 0).sum(axis=1)


def bent_ms(space: SearchSpace, rows: Rows, num_classes: int):
    return summed_ms(space, rows, num_classes) ** 2


def unknown_ms(space: SearchSpace, rows: Rows, num_classes: int):
    return np.where(rows[:, 1] > 1, np.nan, summed_ms(space, rows, num_classes))


@pytest.mark.parametrize(("depth", "operators"), [(1, 3), (2, 2)])
def test_sums_are_found(depth: int, operators: int):
    space = CREAM.narrowed(max_depth=depth, operators=CREAM.operators[:operators])
    table = latency_table_ns(space, 64, 10, summed_ms)
    rows = every_row(space, 64)
    assert table is not None
    off_ns = np.abs(table.totals(rows) - NS_PER_MS * summed_ms(space, rows, 10))
    assert off_ns.max() <= (1 + space.num_slots) / 2
    assert (table.values == np.rint(table.values)).all()


@pytest.mark.parametrize("predict_ms", [bent_ms, unknown_ms])
def test_what_is_no_sum_is_told_from_one(predict_ms):
    assert latency_table_ns(CREAM.narrowed(max_depth=2), 64, 10, predict_ms) is None
