"""Counts of networks within limits on a sum, against enumerations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.space import path_counts
from pipeline.space.cost import operator_macs
from pipeline.space.encoding import Floats, Rows, SlotTable
from pipeline.space.path_counts import PathCounts
from pipeline.space.search_space import get_space, space_names
from tests.space.every_row import every_row
from tests.training.hypernetwork.enumerated import CREAM, agreement

SPACE = CREAM.narrowed(max_depth=2, operators=["mb4_3x3", "mb6_5x5"])
ROWS = every_row(SPACE, 32)
MACS = SlotTable.of(SPACE, 32, 10, operator_macs)


def counted(counts: PathCounts, rows: Rows) -> Floats:
    """1 for each row that the counts hold, 0 for each that they do not."""
    ends = []
    for row in rows.tolist():
        slot = total = 0
        while slot < len(counts.bins):
            code = row[1 + slot]
            total += counts.bins[slot, code]
            slot = counts.following[slot, code]
        ends.append(counts.completions[slot, min(total, counts.completions.shape[1] - 1)])
    return np.array(ends)


@pytest.mark.parametrize("name", space_names())
def test_without_a_window_all_networks_are_counted(name: str):
    space = get_space(name)
    macs = SlotTable.of(space, 224, 1000, operator_macs)
    counts = PathCounts.of(macs, (1.0,) * len(space.operators), None, None)
    assert counts.total == pytest.approx(space.count(), rel=1e-12)


@given(
    st.integers(0, 2**32 - 1),
    st.floats(0, 1),
    st.floats(0, 1),
    st.sampled_from([1e2, 1e6]),
    st.sampled_from([-1, 0, 1]),
)
def test_every_network_of_the_window_is_counted(seed, one, other, scale, sign):
    """On a fine grid and on a coarse one, and whatever the signs of what is summed."""
    values = np.random.default_rng(seed).normal(sign * 2 * scale, scale, MACS.values.shape)
    values[:, 0] = 0
    table = SlotTable(32, 7.0, np.rint(values), 2)
    totals = table.totals(ROWS)
    low, high = np.quantile(totals, sorted([one, other]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(path_counts, "_BINS", 500)
        counts = PathCounts.of(table, (1.0, 1.0), low, high)
    some = np.random.default_rng(seed).choice(len(ROWS), 500, replace=False)
    inside = (totals >= low) & (totals <= high)
    held = counted(counts, ROWS[some])
    assert held[inside[some]].all()
    assert inside.sum() <= counts.total
    if scale < 1e3 and high - totals.min() <= 500:
        assert inside.sum() == counts.total


def enumerated_window(seed, shares, scale, sign):
    """Random sums, a window that ends at networks, and which networks are in it."""
    values = np.random.default_rng(seed).normal(sign * 2 * scale, scale, MACS.values.shape)
    values[:, 0] = 0
    table = SlotTable(32, 7.0, np.rint(values), 2)
    totals = table.totals(ROWS)
    low, high = np.quantile(totals, sorted(shares), method="nearest")
    return table, float(low), float(high), (totals >= low) & (totals <= high)


@given(
    st.integers(0, 2**32 - 1),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
    st.sampled_from([10, 1e2, 1e6]),
    st.sampled_from([-1, 0, 1]),
    st.sampled_from(["low", "high", "both"]),
    st.sampled_from([50, 500]),
)
@settings(max_examples=60)
def test_a_window_is_never_counted_above_itself_nor_widened_below(
    seed, shares, scale, sign, ends, bins
):
    """Where only one end has a limit, nothing is lost at the other."""
    table, low, high, _ = enumerated_window(seed, shares, scale, sign)
    totals = table.totals(ROWS)
    at_least, at_most = (low if ends != "high" else None), (high if ends != "low" else None)
    inside = np.ones(len(ROWS), dtype=bool)
    if at_least is not None:
        inside &= totals >= at_least
    if at_most is not None:
        inside &= totals <= at_most
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(path_counts, "_BINS", bins)
        narrow, wide = (
            PathCounts.of(table, (1.0, 1.0), at_least, at_most, widened=widened)
            for widened in (False, True)
        )
    assert narrow.total <= inside.sum() <= wide.total
    some = np.random.default_rng(seed).choice(len(ROWS), 300, replace=False)
    assert not (counted(narrow, ROWS[some]) > inside[some]).any()
    assert not (counted(wide, ROWS[some]) < inside[some]).any()


@given(st.integers(0, 2**32 - 1), st.tuples(st.floats(0, 1), st.floats(0, 1)))
@settings(max_examples=25)
def test_on_a_fine_grid_both_counts_are_exact(seed, shares):
    table, low, high, inside = enumerated_window(seed, shares, 100, 1)
    for widened in (False, True):
        counts = PathCounts.of(table, (1.0, 1.0), low, high, widened=widened)
        assert counts.total == inside.sum()


def test_everything_is_counted_without_limits_also_from_within():
    assert PathCounts.of(MACS, (1.0, 1.0), None, None, widened=False).total == len(ROWS)


@pytest.mark.parametrize("bins", [20, 8192])
@pytest.mark.parametrize("window", [(0.0, 0.02), (0.5, 0.52), (0.98, 1.0)])
def test_draws_follow_the_weights(monkeypatch: pytest.MonkeyPatch, bins: int, window):
    monkeypatch.setattr(path_counts, "_BINS", bins)
    low, high = np.quantile(MACS.totals(ROWS), window)
    counts = PathCounts.of(MACS, (0.5, 1.5), low, high)
    inside = ROWS[counted(counts, ROWS) > 0]
    weights = (0.5 ** (inside == 1).sum(1)) * (1.5 ** (inside == 2).sum(1))
    assert counts.total == pytest.approx(weights.sum())
    drawn = counts.draw(np.random.default_rng(0), 30_000)
    assert agreement(drawn, inside, weights) > 1e-3
    assert agreement(drawn, inside, np.ones(len(inside))) < 1e-6


def test_windows_beside_the_space_hold_nothing():
    totals = MACS.totals(ROWS)
    smallest, largest = float(totals.min()), float(totals.max())
    for window in ((None, smallest - 1), (largest + 1, None), (smallest + 0.2, smallest + 0.8)):
        assert PathCounts.of(MACS, (1.0, 1.0), *window).total == 0
    for window in ((None, smallest), (largest, None)):
        assert PathCounts.of(MACS, (1.0, 1.0), *window).total == 1


def test_operators_of_weight_zero_are_not_drawn():
    counts = PathCounts.of(MACS, (0.0, 1.0), None, None)
    assert counts.total == 2**5
    assert set(np.unique(counts.draw(np.random.default_rng(0), 200)[:, 1:])) == {0, 2}
