"""Which of many points no other one beats, without comparing every pair."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.space.encoding import Floats

_BLOCK = 256
_KEPT_AT_ONCE = 4096


def undominated(points: Floats) -> NDArray[np.intp]:
    """The points that no other one is at least as good as in everything.

    Of equal points the first is kept. In lexicographic order a point can only be beaten by one
    before it, so each block of points is compared with what was kept, then within itself.

    Args:
        points: To be minimised, shape (n, dimensions).

    Returns:
        Indices, in lexicographic order of the points.
    """
    order = np.lexsort(points.T[::-1])
    kept = np.empty((0, points.shape[1]))
    found = [np.empty(0, dtype=np.intp)]
    for start in range(0, len(order), _BLOCK):
        places = order[start : start + _BLOCK]
        places = places[~_beaten(points[places], kept)]
        block = points[places]
        # The earlier of two equal points beats the later one.
        among = np.tril(_no_worse(block, block), -1).any(axis=1)
        found.append(places[~among])
        kept = np.concatenate([kept, block[~among]])
    return np.concatenate(found)


def _beaten(block: Floats, kept: Floats) -> NDArray[np.bool_]:
    beaten = np.zeros(len(block), dtype=bool)
    for start in range(0, len(kept), _KEPT_AT_ONCE):
        beaten |= _no_worse(block, kept[start : start + _KEPT_AT_ONCE]).any(axis=1)
    return beaten


def _no_worse(block: Floats, others: Floats) -> NDArray[np.bool_]:
    """True at (i, j) where other j is no worse than i in every dimension."""
    no_worse = np.ones((len(block), len(others)), dtype=bool)
    for ours, theirs in zip(block.T, others.T, strict=True):
        no_worse &= theirs[None, :] <= ours[:, None]
    return no_worse
