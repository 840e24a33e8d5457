"""New rows from old ones: sampling, mutation, crossover, and the neighbourhood of a network.

Every row that leaves this module is an architecture: no stage is empty and none has a gap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.space.encoding import Rows
from pipeline.space.search_space import SearchSpace

Random = np.random.Generator


@dataclass(frozen=True)
class Variation:
    """The rows of a space, and the ways from one to the next.

    Where there are several input sizes, the size is one more choice beside the slots.

    Attributes:
        stages: Number of stages.
        max_depth: Slots a stage.
        operators: Number of operators; codes run from 1 to this.
        resolutions: Input sides in pixels.
    """

    stages: int
    max_depth: int
    operators: int
    resolutions: tuple[int, ...]

    @classmethod
    def of(cls, space: SearchSpace, resolutions: tuple[int, ...]) -> Variation:
        """The rows of `space` at these input sizes."""
        return cls(len(space.stages), space.max_depth, len(space.operators), resolutions)

    @property
    def slots(self) -> int:
        """Places for blocks."""
        return self.stages * self.max_depth

    def random(self, n: int, rng: Random) -> Rows:
        """Samples n rows: every stage's depth uniform, every block's operator uniform."""
        codes = rng.integers(1, self.operators + 1, (n, self.stages, self.max_depth))
        depth = rng.integers(1, self.max_depth + 1, (n, self.stages, 1))
        codes[np.arange(self.max_depth) >= depth] = 0
        return self._rows(codes, self._random_sizes(n, rng))

    def uniform(self) -> Rows:
        """The networks with one operator and one depth throughout, shallowest first.

        Those of each input size stand together.
        """
        depth, code = np.mgrid[1 : self.max_depth + 1, 1 : self.operators + 1].reshape(2, -1, 1, 1)
        codes = np.where(np.arange(self.max_depth) < depth, code, 0)
        each = np.repeat(codes, self.stages, axis=1)
        sizes = np.repeat(self.resolutions, len(each))
        return self._rows(np.tile(each, (len(self.resolutions), 1, 1)), sizes)

    def mutate(self, rows: Rows, probability: float, rng: Random) -> Rows:
        """Draws choices anew, an empty slot included, each with the given probability.

        One choice of every row is drawn anew in any case. A stage that would be left empty stays
        as it was.
        """
        drawn = rng.random((len(rows), self._choices)) < probability
        drawn[np.arange(len(rows)), rng.integers(0, self._choices, len(rows))] = True
        codes = rng.integers(0, self.operators + 1, (len(rows), self.slots))
        sizes = rows[:, 0]
        if self._choices > self.slots:
            sizes = np.where(drawn[:, -1], self._random_sizes(len(rows), rng), sizes)
        return self._changed(rows, np.where(drawn[:, : self.slots], codes, rows[:, 1:]), sizes)

    def cross(self, one: Rows, other: Rows, rng: Random) -> Rows:
        """Takes each stage whole, and the input size, from one parent or the other."""
        from_one = rng.random((len(one), 1 + self.stages)) < 0.5
        lengths = [1] + self.stages * [self.max_depth]
        return np.where(from_one.repeat(lengths, axis=1), one, other)

    def nearby(self, rows: Rows, each: int, rng: Random) -> Rows:
        """Samples the neighbourhood of rows: one or two choices drawn anew.

        Returns:
            Shape (n × each, width); the neighbours of a row stand together.
        """
        many = rows.repeat(each, axis=0)
        codes, sizes = many[:, 1:].copy(), many[:, 0].copy()
        line = np.arange(len(many))
        for share in (1.0, 0.5):
            choice = rng.integers(0, self._choices, len(many))
            code = rng.integers(0, self.operators + 1, len(many))
            changes = rng.random(len(many)) < share
            in_slot = changes & (choice < self.slots)
            codes[line[in_slot], choice[in_slot]] = code[in_slot]
            if self._choices > self.slots:
                resized = changes & (choice == self.slots)
                sizes[resized] = self._random_sizes(int(resized.sum()), rng)
        return self._changed(many, codes, sizes)

    @property
    def _choices(self) -> int:
        """Slots, and the input size where there is a choice of it."""
        return self.slots + (len(self.resolutions) > 1)

    def _random_sizes(self, n: int, rng: Random) -> NDArray[np.int16]:
        if len(self.resolutions) == 1:
            return np.full(n, self.resolutions[0], dtype=np.int16)
        return np.array(self.resolutions, dtype=np.int16)[rng.integers(0, len(self.resolutions), n)]

    def _changed(self, before: Rows, codes: NDArray[Any], sizes: NDArray[Any]) -> Rows:
        stages = codes.reshape(-1, self.stages, self.max_depth)
        emptied = ~stages.any(axis=2, keepdims=True)
        kept = np.where(emptied, before[:, 1:].reshape(stages.shape), stages)
        return self._rows(kept, sizes)

    def _rows(self, codes: NDArray[Any], sizes: NDArray[Any]) -> Rows:
        rows = np.empty((len(codes), 1 + self.slots), dtype=np.int16)
        rows[:, 0] = sizes
        rows[:, 1:] = _closed(codes).reshape(len(codes), self.slots)
        return rows


def _closed(codes: NDArray[Any]) -> NDArray[Any]:
    """Stages with their gaps closed: blocks before empty slots, in their order."""
    used = codes > 0
    has_gap = (~used[..., :-1] & used[..., 1:]).any(axis=2)
    if not has_gap.any():
        return codes
    closed = codes.copy()
    order = np.argsort(~used[has_gap], axis=1, kind="stable")
    closed[has_gap] = np.take_along_axis(codes[has_gap], order, axis=1)
    return closed
