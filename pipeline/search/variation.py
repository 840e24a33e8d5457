"""New rows from old ones: sampling, mutation, crossover, and the neighbourhood of a network.

Every row that leaves this module is an architecture: no stage is empty and none has a gap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.encoding import Rows
from pipeline.space import SearchSpace

Random = np.random.Generator


@dataclass(frozen=True)
class Variation:
    """The rows of a space at one resolution, and the ways from one to the next.

    Attributes:
        stages: Number of stages.
        max_depth: Slots a stage.
        operators: Number of operators; codes run from 1 to this.
        resolution: Input side in pixels.
    """

    stages: int
    max_depth: int
    operators: int
    resolution: int

    @classmethod
    def of(cls, space: SearchSpace, resolution: int) -> Variation:
        """The rows of `space`."""
        return cls(len(space.stages), space.max_depth, len(space.operators), resolution)

    @property
    def slots(self) -> int:
        """Places for blocks."""
        return self.stages * self.max_depth

    def random(self, n: int, rng: Random) -> Rows:
        """Samples n rows: every stage's depth uniform, every block's operator uniform."""
        codes = rng.integers(1, self.operators + 1, (n, self.stages, self.max_depth))
        depth = rng.integers(1, self.max_depth + 1, (n, self.stages, 1))
        codes[np.arange(self.max_depth) >= depth] = 0
        return self._rows(codes)

    def uniform(self) -> Rows:
        """The networks with one operator and one depth throughout, shallowest first."""
        depth, code = np.mgrid[1 : self.max_depth + 1, 1 : self.operators + 1].reshape(2, -1, 1, 1)
        codes = np.where(np.arange(self.max_depth) < depth, code, 0)
        return self._rows(np.repeat(codes, self.stages, axis=1))

    def mutate(self, rows: Rows, probability: float, rng: Random) -> Rows:
        """Draws slots anew, an empty slot included, each with the given probability.

        One slot of every row is drawn anew in any case. A stage that would be left empty stays
        as it was.
        """
        drawn = rng.random((len(rows), self.slots)) < probability
        drawn[np.arange(len(rows)), rng.integers(0, self.slots, len(rows))] = True
        codes = rng.integers(0, self.operators + 1, drawn.shape)
        return self._changed(rows, np.where(drawn, codes, rows[:, 1:]))

    def cross(self, one: Rows, other: Rows, rng: Random) -> Rows:
        """Takes each stage whole from one parent or the other."""
        from_one = rng.random((len(one), self.stages)) < 0.5
        return np.column_stack(
            [one[:, 0], np.where(from_one.repeat(self.max_depth, axis=1), one[:, 1:], other[:, 1:])]
        )

    def nearby(self, rows: Rows, each: int, rng: Random) -> Rows:
        """Samples the neighbourhood of rows: one or two slots drawn anew.

        Returns:
            Shape (n × each, width); the neighbours of a row stand together.
        """
        many = rows.repeat(each, axis=0)
        codes = many[:, 1:].copy()
        line = np.arange(len(many))
        for share in (1.0, 0.5):
            slot = rng.integers(0, self.slots, len(many))
            code = rng.integers(0, self.operators + 1, len(many))
            changes = rng.random(len(many)) < share
            codes[line[changes], slot[changes]] = code[changes]
        return self._changed(many, codes)

    def _changed(self, before: Rows, codes: np.ndarray) -> Rows:
        stages = codes.reshape(-1, self.stages, self.max_depth)
        emptied = ~stages.any(axis=2, keepdims=True)
        return self._rows(np.where(emptied, before[:, 1:].reshape(stages.shape), stages))

    def _rows(self, codes: np.ndarray) -> Rows:
        closed = np.take_along_axis(codes, np.argsort(codes == 0, axis=2, kind="stable"), axis=2)
        rows = np.empty((len(codes), 1 + self.slots), dtype=np.int16)
        rows[:, 0] = self.resolution
        rows[:, 1:] = closed.reshape(len(codes), self.slots)
        return rows
