"""Architectures as fixed-length integer rows, and additive quantities of many rows at once.

A row is the resolution followed by one code a slot, stage by stage: 0 for no block, else the
operator's place in the space's list plus one. Whatever is a sum over operators (MACs, parameters,
isolated latency) is then one array look-up for a whole batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ArchitectureError
from pipeline.space.architecture import Architecture
from pipeline.space.operator_spec import OperatorSpec
from pipeline.space.search_space import SearchSpace

Rows = NDArray[np.int16]
Floats = NDArray[np.float64]

# Multiples of this add up without rounding, in any order, as long as sums stay below 2¹⁷: far
# finer than anything is measured, and MACs and parameters are whole numbers anyway.
_GRID = 2.0**-36


def encode(space: SearchSpace, architectures: Iterable[Architecture]) -> Rows:
    """Encodes architectures.

    Args:
        space: The space they belong to, possibly narrowed.
        architectures: n architectures.

    Returns:
        Integers of shape (n, 1 + stages × max_depth).

    Raises:
        ArchitectureError: One is of another space, or deeper than this one.
    """
    code = {name: index for index, name in enumerate(space.operators, start=1)}
    rows = []
    for architecture in architectures:
        if architecture.space != space.name:
            raise ArchitectureError(
                f"architecture of space {architecture.space} given where {space.name} is expected"
            )
        row = [architecture.resolution]
        for stage in architecture.stages:
            if len(stage) > space.max_depth or not all(name in code for name in stage):
                raise ArchitectureError(
                    f"{architecture.short} is outside the narrowed space {space.name} "
                    f"(max_depth {space.max_depth}, operators {', '.join(space.operators)})"
                )
            row += [code[name] for name in stage] + [0] * (space.max_depth - len(stage))
        rows.append(row)
    return np.array(rows, dtype=np.int16).reshape(len(rows), 1 + space.num_slots)


def decode(space: SearchSpace, row: Rows, num_classes: int) -> Architecture:
    """The architecture of one row; codes after a 0 in their stage close up (skips are depth)."""
    codes = row[1:].reshape(len(space.stages), space.max_depth)
    return Architecture(
        space=space.name,
        resolution=int(row[0]),
        num_classes=num_classes,
        stages=tuple(
            tuple(space.operators[code - 1] for code in stage if code > 0) for stage in codes
        ),
    )


@dataclass(frozen=True)
class SlotTable:
    """An additive quantity of a space's networks at one resolution.

    Attributes:
        resolution: Input side in pixels the values hold for.
        fixed: Sum over the operators every network has (stem, separable block, tail).
        values: What each code adds in each slot; shape (slots, 1 + operators), column 0 is zero.
        max_depth: Slots a stage.
    """

    resolution: int
    fixed: float
    values: Floats
    max_depth: int

    @classmethod
    def of(
        cls,
        space: SearchSpace,
        resolution: int,
        num_classes: int,
        value: Callable[[OperatorSpec], float],
    ) -> SlotTable:
        """Tabulates `value` over the space's operators."""
        values = np.zeros((len(space.stages), space.max_depth, 1 + len(space.operators)))
        for stage in range(len(space.stages)):
            for column, name in enumerate(space.operators, start=1):
                values[stage, 0, column] = value(space.block(stage, 0, name, resolution))
                if space.max_depth > 1:
                    values[stage, 1:, column] = value(space.block(stage, 1, name, resolution))
        fixed = (
            value(space.stem_spec(resolution))
            + value(space.separable_spec(resolution))
            + value(space.tail_spec(resolution, num_classes))
        )
        return cls(resolution, fixed, values.reshape(space.num_slots, -1), space.max_depth)

    def on_grid(self, factor: float = 1.0) -> SlotTable:
        """The same values times a factor, rounded so that sums do not depend on their order.

        Two networks with the same blocks in another order then have the same total to the bit, and
        whether a total is within a limit has one answer, however it was added up.
        """
        fixed, values = (np.rint(v * (factor / _GRID)) * _GRID for v in (self.fixed, self.values))
        return SlotTable(self.resolution, float(fixed), values, self.max_depth)

    def totals(self, rows: Rows) -> Floats:
        """The quantity of each row.

        Args:
            rows: Shape (n, 1 + slots), all at this table's resolution, blocks before gaps.

        Returns:
            Shape (n,).

        Raises:
            ArchitectureError: A row is at another resolution.
        """
        if len(rows) and not (rows[:, 0] == self.resolution).all():
            raise ArchitectureError(f"rows at another resolution than {self.resolution}")
        slots = np.arange(self.values.shape[0])
        return self.fixed + np.asarray(self.values[slots, rows[:, 1:]].sum(axis=1))

    def extreme(self, *, largest: bool) -> tuple[float, Rows]:
        """The largest or smallest total in the space, and a row that has it.

        Stages are independent, and within a stage slots after the first are alike; so the extreme
        is the best depth of the best operators, stage by stage.
        """
        sign = 1.0 if largest else -1.0
        row = [self.resolution]
        for stage in self.values.reshape(-1, self.max_depth, self.values.shape[1]):
            best = np.argmax(sign * stage[:, 1:], axis=1)
            worth = np.cumsum(sign * stage[np.arange(self.max_depth), 1 + best])
            depth = 1 + int(np.argmax(worth))
            row += [int(code) + 1 for code in best[:depth]] + [0] * (self.max_depth - depth)
        found = np.array([row], dtype=np.int16)
        return float(self.totals(found)[0]), found[0]


@lru_cache(maxsize=256)
def _tabulated(
    space: SearchSpace, resolution: int, num_classes: int, value: Callable[[OperatorSpec], float]
) -> SlotTable:
    return SlotTable.of(space, resolution, num_classes, value)


def totals(
    space: SearchSpace, rows: Rows, num_classes: int, value: Callable[[OperatorSpec], float]
) -> Floats:
    """Sums `value` over the operators of each row; rows may mix resolutions.

    Args:
        space: The space the rows were encoded with.
        rows: Shape (n, 1 + slots).
        num_classes: Classes of every row's classifier.
        value: A function of an operator; tables are kept by it, so pass the same one again.

    Returns:
        Shape (n,).
    """
    result = np.zeros(len(rows))
    for resolution in np.unique(rows[:, 0]):
        here = rows[:, 0] == resolution
        table = _tabulated(space, int(resolution), num_classes, value)
        result[here] = table.totals(rows[here])
    return result
