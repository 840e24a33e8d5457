"""What a stage can be: the sequences of blocks that are worth considering, with their sums."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.search.exact.dominance import undominated
from pipeline.space.encoding import Floats, SlotTable


@dataclass(frozen=True)
class Options:
    """Partial networks: some slots' codes, and their sums so far.

    Attributes:
        sums: Shape (n, sums), all to be minimised.
        codes: Shape (n, slots so far).
    """

    sums: Floats
    codes: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.sums)

    def chosen(self, indices: NDArray[np.intp]) -> Options:
        """Some of them."""
        return Options(self.sums[indices], self.codes[indices])

    def best(self) -> Options:
        """Those that no other one beats in all sums."""
        return self.chosen(undominated(self.sums))

    def joined(self, other: Options) -> Options:
        """Both sets; of the same slots."""
        return Options(
            np.concatenate([self.sums, other.sums]), np.concatenate([self.codes, other.codes])
        )


def stage_options(tables: list[SlotTable]) -> list[Options]:
    """Each stage's sequences of blocks that no other one of the stage beats in all sums.

    A network of any beaten sequence is beaten by the one with the better sequence in its place.

    Args:
        tables: The sums, all to be minimised, of one space and input size.

    Returns:
        The options of each stage, without what every network has.
    """
    values = np.stack([table.values for table in tables], axis=-1)
    depth = tables[0].max_depth
    return [_of_stage(values[start : start + depth]) for start in range(0, len(values), depth)]


def _of_stage(values: Floats) -> Options:
    """The options of one stage, from values of shape (max_depth, 1 + operators, sums)."""
    depth, codes, width = values.shape
    operators = np.arange(1, codes, dtype=np.int8)
    deeper = Options(np.zeros((1, width)), np.zeros((1, depth), dtype=np.int8))
    found = Options(np.empty((0, width)), np.empty((0, depth), dtype=np.int8))
    for slot in range(depth):
        sums = (deeper.sums[:, None] + values[slot, 1:]).reshape(-1, width)
        grown = np.repeat(deeper.codes, len(operators), axis=0)
        grown[:, slot] = np.tile(operators, len(deeper))
        deeper = Options(sums, grown).best()
        found = found.joined(deeper)
    return found.best()
