"""How many networks complete a partial path within limits on a sum, and draws from these counts.

MACs, for example, are a sum over slots. So the completions of a partial path that end in a window
of MACs depend only on the slot it has come to and on its MACs so far. Tabulated for every slot and
every sum, from the last slot to the first, they tell how likely each next block is in a draw that
is uniform over the networks in the window, however few these are.

Sums are kept on a grid. What rounding adds up to at most is known, and the window is widened by
it: every network of the true window is in the counted one. Those that are only in the counted one
are for the caller to reject, after which the draw is exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.space.encoding import Floats, Rows, SlotTable

# More of them reject fewer draws of a narrow window and take longer to count.
_BINS = 8192

_Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PathCounts:
    """Weights of the completions of partial paths; a network weighs the product of its operators'.

    Attributes:
        resolution: Input side in pixels.
        bins: What each code adds to a path's sum, in bins; shape (slots, 1 + operators). Code 0
            adds what all slots do that the stage then leaves empty.
        following: The slot that is decided after each code; shape (slots, 1 + operators).
        weights: Of each code, shape (slots, 1 + operators); 0 for code 0 in the first slot of a
            stage, which is never empty.
        completions: Summed weight of the completions, by the slot decided next and the sum so far;
            shape (slots + 1, sums), 0 in the last column, which stands for all larger sums.
    """

    resolution: int
    bins: _Integers
    following: _Integers
    weights: Floats
    completions: Floats

    @classmethod
    def of(
        cls,
        table: SlotTable,
        operator_weights: tuple[float, ...],
        at_least: float | None,
        at_most: float | None,
        *,
        widened: bool = True,
    ) -> PathCounts:
        """Counts the networks in a window.

        Args:
            table: What is summed, in whole numbers (MACs, parameters, nanoseconds).
            operator_weights: Of each operator of the space.
            at_least: Lower end of the window; None where there is no limit.
            at_most: Upper end of the window; None where there is no limit.
            widened: Whether every network of the window is to be among the counted ones; else
                every counted one is in the window.
        """
        excess, first, last = _nearer_end(table, at_least, at_most)
        width = max(1, -(-last // _BINS))
        bins = (excess + width // 2) // width
        offered = _offered(table)
        rounding = np.where(offered, excess - bins * width, 0)
        least, most = int(rounding.min(axis=1).sum()), int(rounding.max(axis=1).sum())
        start, stop = max(0, -(-(first - most) // width)), max(0, (last - least) // width + 1)
        if not widened:
            # Rounding takes nothing out of a window at an end where there is no limit.
            farthest = int(np.where(offered, excess, 0).max(axis=1).sum())
            start = start if first <= 0 else max(0, -(-(first - least) // width))
            stop = stop if last >= farthest else max(0, (last - most) // width + 1)
        window = slice(start, stop) if first <= last and start < stop else slice(0, 0)
        weights = np.where(offered, (1.0, *operator_weights), 0.0)
        following = _following(table)
        bins = np.where(offered, bins, 0)
        bins[:, 0] = [
            int(bins[slot:end, 0].sum()) for slot, end in enumerate(following[:, 0].tolist())
        ]
        completions = _completions(bins, following, weights, window)
        return cls(table.resolution, bins, following, weights, completions)

    @property
    def total(self) -> float:
        """Summed weight of the networks in the counted window; 0 only where the true one is empty.

        Without weights it is their number, which is never below that of the true window.
        """
        return float(self.completions[0, 0])

    def draw(self, rng: np.random.Generator, count: int) -> Rows:
        """Draws networks of the counted window, each with a probability like its weight.

        Args:
            rng: Random generator.
            count: How many; there must be a network to draw.

        Returns:
            Shape (count, 1 + slots); they may repeat, and may lie beside the true window by what
            rounding adds up to.
        """
        slots = len(self.bins)
        rows = np.zeros((count, 1 + slots), dtype=np.int16)
        rows[:, 0] = self.resolution
        slot_of, sum_of = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
        largest = self.completions.shape[1] - 1
        for slot in range(slots):
            here = np.flatnonzero(slot_of == slot)
            sums = np.minimum(sum_of[here, None] + self.bins[slot], largest)
            worth = self.weights[slot] * self.completions[self.following[slot], sums]
            codes = _pick(worth, rng.random(len(here)))
            rows[here, 1 + slot] = codes
            slot_of[here] = self.following[slot, codes]
            sum_of[here] += self.bins[slot, codes]
        return rows


def _nearer_end(
    table: SlotTable, at_least: float | None, at_most: float | None
) -> tuple[_Integers, int, int]:
    """The sums counted from the smallest network's up or from the largest one's down.

    It is done from the end that the window reaches less far from, as the grid is finer there.

    Returns:
        What each code of each slot adds, not negative where it is offered, shape (slots,
        1 + operators); and the least and most that a network in the window has of it.
    """
    values = table.values.astype(np.int64)
    offered = _offered(table)
    lowest = np.where(offered, values, values.max()).min(axis=1)
    highest = np.where(offered, values, values.min()).max(axis=1)
    smallest, largest = (int(table.fixed + ends.sum()) for ends in (lowest, highest))
    low = smallest if at_least is None else max(smallest, math.ceil(at_least))
    high = largest if at_most is None else min(largest, math.floor(at_most))
    if high - smallest <= largest - low:
        return values - lowest[:, None], low - smallest, high - smallest
    return highest[:, None] - values, largest - high, largest - low


def _offered(table: SlotTable) -> NDArray[np.bool_]:
    """Which codes a slot may have: the first of a stage is never empty."""
    offered = np.ones(table.values.shape, dtype=bool)
    offered[:: table.max_depth, 0] = False
    return offered


def _following(table: SlotTable) -> _Integers:
    """The slot decided after each code: the next one, or after code 0 the next stage's first."""
    slots = np.arange(table.values.shape[0])
    following = np.repeat(slots[:, None] + 1, table.values.shape[1], axis=1)
    following[:, 0] = (slots // table.max_depth + 1) * table.max_depth
    return following


def _completions(bins: _Integers, following: _Integers, weights: Floats, window: slice) -> Floats:
    slots, codes = bins.shape
    sums = window.stop
    completions = np.zeros((slots + 1, sums + 1))
    completions[slots, window] = 1.0
    for slot in reversed(range(slots)):
        for code in range(codes):
            step, then = int(bins[slot, code]), following[slot, code]
            reached = completions[then, step:sums]
            completions[slot, : len(reached)] += weights[slot, code] * reached
    return completions


def _pick(worth: Floats, uniform: Floats) -> _Integers:
    """One column of each row with a probability like its worth, never one that is worth nothing."""
    below = np.cumsum(worth, axis=1)
    picked: _Integers = (below <= (uniform * below[:, -1])[:, None]).sum(axis=1)
    return picked
