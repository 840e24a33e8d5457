"""Which networks to measure: random ones over a space's whole range, and designed ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from pipeline.space.architecture import Architecture
from pipeline.space.cost import operator_macs
from pipeline.space.encoding import SlotTable, decode
from pipeline.space.search_space import SearchSpace

_TRIES = 50


def sample_networks(
    space: SearchSpace, resolution: int, num_classes: int, count: int, *, seed: int
) -> list[Architecture]:
    """Random networks of a space, from its shallowest to its deepest.

    Depths drawn independently for each stage would cluster in the middle; here each network has a
    level of depth that its stages are within one block of, and operators are uniform.

    Args:
        space: The space, possibly narrowed.
        resolution: Input side in pixels.
        num_classes: Outputs of the classifier.
        count: How many; fewer in a space that has hardly more.
        seed: Decides which.

    Returns:
        Distinct architectures.
    """
    rng = np.random.default_rng(seed)
    levels = rng.integers(1, space.max_depth + 1, size=_TRIES * count)

    def any_operator(stage: int, *, first: bool) -> int:
        del stage, first
        return int(rng.integers(1, len(space.operators) + 1))

    rows: dict[tuple[int, ...], None] = {}
    for level in levels:
        if len(rows) >= count:
            break
        rows[_row(space, resolution, int(level), rng, any_operator)] = None
    return [decode(space, np.array(row, dtype=np.int16), num_classes) for row in rows]


def design_networks(
    space: SearchSpace, resolution: int, num_classes: int, count: int, *, seed: int
) -> list[Architecture]:
    """Networks to calibrate on: all depths alike, every operator equally often, both extremes.

    Operators are dealt from shuffled decks, one deck for the first blocks of a stage and one for
    its later blocks, so that `count` networks show each operator of each stage about equally
    often, as a Latin square would for one depth.

    Args:
        space: The space, possibly narrowed.
        resolution: Input side in pixels.
        num_classes: Outputs of the classifier.
        count: How many.
        seed: Decides the decks.

    Returns:
        At most `count` distinct architectures (fewer in a space that has hardly more).
    """
    rng = np.random.default_rng(seed)
    by_macs = SlotTable.of(space, resolution, num_classes, operator_macs)
    rows = {tuple(by_macs.extreme(largest=largest)[1].tolist()) for largest in (False, True)}
    deal = _Decks(space, rng)
    levels = np.linspace(1, space.max_depth, max(count - len(rows), 1)).round()
    for level in (int(level) for _ in range(_TRIES) for level in levels):
        if len(rows) >= count:
            break
        rows.add(_row(space, resolution, level, rng, deal))
    return [decode(space, np.array(row, dtype=np.int16), num_classes) for row in sorted(rows)]


class _Decks:
    """Deals operators' codes: each deck holds every operator once and is shuffled when empty."""

    def __init__(self, space: SearchSpace, rng: np.random.Generator) -> None:
        self._operators = len(space.operators)
        self._rng = rng
        self._decks: dict[tuple[int, bool], Iterator[int]] = {}

    def __call__(self, stage: int, *, first: bool) -> int:
        deck = self._decks.setdefault((stage, first), self._shuffled())
        return next(deck)

    def _shuffled(self) -> Iterator[int]:
        while True:
            yield from (1 + self._rng.permutation(self._operators)).tolist()


_Deal = Callable[..., int]


def _row(
    space: SearchSpace, resolution: int, level: int, rng: np.random.Generator, deal: _Deal
) -> tuple[int, ...]:
    """A row of `pipeline.space.encoding` whose stages are within one block of a level of depth."""
    row = [resolution]
    for stage in range(len(space.stages)):
        depth = min(max(level + int(rng.integers(-1, 2)), 1), space.max_depth)
        codes = [deal(stage, first=slot == 0) for slot in range(depth)]
        row += codes + [0] * (space.max_depth - depth)
    return tuple(row)
