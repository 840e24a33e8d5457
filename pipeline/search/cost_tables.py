"""Every additive cost of many rows at once: MACs, parameters, latency on each target.

All of them are sums over slots, so a few slots together are one look-up: the codes of a group of
slots, read as digits, are a place in a table of the group's sums. Each place holds all costs side
by side, and the rows go through in pieces that stay in the cache.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ArchitectureError
from pipeline.space.encoding import Floats, Rows, SlotTable

_MOST_PLACES = 512
"""Of a group's table, so that it stays in the processor's first cache."""
_PIECE = 8192
"""Rows at a time."""


class CostTables:
    """Costs of a space's rows.

    Args:
        sums: For each input size the table of each cost, by its name (`macs`, `params`,
            `latency_ms/<target>`); all sizes have the same costs.
    """

    def __init__(self, sums: Mapping[int, Mapping[str, SlotTable]]) -> None:
        self.sums = {size: dict(tables) for size, tables in sums.items()}
        self.keys = tuple(next(iter(self.sums.values())))
        self._stacked = {
            size: _Stacked([tables[key] for key in self.keys]) for size, tables in self.sums.items()
        }

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Input sizes there are costs for."""
        return tuple(self.sums)

    def __call__(self, rows: Rows) -> dict[str, Floats]:
        """All costs of rows; rows may mix input sizes.

        Args:
            rows: Shape (n, 1 + slots), blocks before gaps.

        Returns:
            Shape (n,) each, by name.

        Raises:
            ArchitectureError: A row is of a size there are no costs for.
        """
        found = np.empty((len(rows), len(self.keys)))
        left = len(rows)
        for size, stacked in self._stacked.items():
            here = rows[:, 0] == size
            count = int(np.count_nonzero(here))
            left -= count
            if count == len(rows):
                stacked.add_up(rows, found)
            elif count:
                part = np.empty((count, len(self.keys)))
                stacked.add_up(rows[here], part)
                found[here] = part
        if left:
            others = sorted(set(np.unique(rows[:, 0]).tolist()) - set(self.sums))
            raise ArchitectureError(
                f"rows at {', '.join(map(str, others))} pixels; costs are known for "
                + ", ".join(map(str, self.sums))
            )
        return dict(zip(self.keys, np.ascontiguousarray(found.T), strict=True))

    @cached_property
    def reachable(self) -> dict[int, dict[str, tuple[float, float]]]:
        """Smallest and largest value of each cost, by input size."""
        return {
            size: {
                key: (table.extreme(largest=False)[0], table.extreme(largest=True)[0])
                for key, table in tables.items()
            }
            for size, tables in self.sums.items()
        }

    @cached_property
    def reachable_over_all(self) -> dict[str, tuple[float, float]]:
        """Smallest and largest value of each cost, over all input sizes."""
        by_size = self.reachable.values()
        return {
            key: (min(reach[key][0] for reach in by_size), max(reach[key][1] for reach in by_size))
            for key in self.keys
        }


class _Stacked:
    """The tables of one input size side by side, a few slots together."""

    def __init__(self, tables: list[SlotTable]) -> None:
        values = np.stack([table.values for table in tables], axis=-1)
        slots, self._codes, self._costs = values.shape
        self._fixed = np.array([table.fixed for table in tables])
        size = 1
        while self._codes ** (size + 1) <= _MOST_PLACES and size < slots:
            size += 1
        self._size = size
        missing = -slots % size
        padded = np.concatenate([values, np.zeros((missing, *values.shape[1:]))])
        groups = padded.reshape(-1, size, self._codes, self._costs)
        self._sums = [_grouped(group) for group in groups]

    def add_up(self, rows: Rows, into: Floats) -> None:
        """Writes the costs of rows into an array of shape (n, costs)."""
        for start in range(0, len(rows), _PIECE):
            places = self._places(rows[start : start + _PIECE, 1:])
            total = into[start : start + _PIECE]
            total[:] = self._fixed
            for group, sums in enumerate(self._sums):
                total += sums[places[group]]

    def _places(self, codes: Rows) -> NDArray[np.intp]:
        """Each group's codes as digits of one number; shape (groups, n)."""
        places = np.zeros((len(self._sums), len(codes)), dtype=np.intp)
        for digit in range(self._size):
            column = codes[:, digit :: self._size].T
            places *= self._codes
            places[: len(column)] += column
        return places


def _grouped(group: Floats) -> Floats:
    """Sums of each combination of codes; shape (codes ** slots, costs)."""
    combinations = itertools.product(*group)
    return np.ascontiguousarray(np.array([np.sum(each, axis=0) for each in combinations]))
