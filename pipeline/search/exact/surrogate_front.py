"""Fronts of a surrogate against latency: networks, values, and how complete they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.search.problem import Problem
from pipeline.space.encoding import Floats, Rows, SlotTable

SAME = 1e-9
"""Nats of surrogate that count as equal."""


@dataclass(frozen=True)
class ExactFront:
    """Networks that none within the limits beats in surrogate and latency at once.

    Attributes:
        rows: Shape (n, 1 + slots), fastest first; none where nothing is within the limits.
        surrogate: Quality in nats, shape (n,), rising.
        latency_ms: Predicted on the searched target, shape (n,), rising.
        gap_nats: Most by which an unknown network could lie above the front; 0 where the front is
            proved.
    """

    rows: Rows
    surrogate: Floats
    latency_ms: Floats
    gap_nats: float = 0.0

    def at(self, latency_ms: Floats) -> Floats:
        """The surrogate the front reaches at latencies; minus infinity where nothing is as fast."""
        place = np.searchsorted(self.latency_ms, latency_ms, side="right") - 1
        if not len(self.rows):
            return np.full(len(latency_ms), -np.inf)
        return np.where(place >= 0, self.surrogate[np.maximum(place, 0)], -np.inf)


def front_of(problem: Problem, surrogate: SlotTable, rows: Rows) -> ExactFront:
    """The front of some networks of one input size, whether within the limits or not."""
    quality = surrogate.totals(rows)
    latency = problem.tables(rows)[problem.latency]
    kept = _best(quality, latency)
    return ExactFront(rows[kept], quality[kept], latency[kept])


def joined_fronts(fronts: Sequence[ExactFront]) -> ExactFront:
    """One front over several input sizes."""
    rows = np.concatenate([front.rows for front in fronts])
    quality = np.concatenate([front.surrogate for front in fronts])
    latency = np.concatenate([front.latency_ms for front in fronts])
    kept = _best(quality, latency)
    gap = max(front.gap_nats for front in fronts)
    return ExactFront(rows[kept], quality[kept], latency[kept], gap)


def no_rows(surrogate: SlotTable) -> Rows:
    """No networks, in an array of the right width."""
    return np.empty((0, 1 + len(surrogate.values)), dtype=np.int16)


def rises(values: Floats) -> NDArray[np.bool_]:
    """Where a value is more than all before it; shape (n,)."""
    before = np.concatenate([[-np.inf], np.maximum.accumulate(values)])[:-1]
    return np.asarray(values > before + SAME)


def _best(quality: Floats, latency: Floats) -> NDArray[np.intp]:
    order = np.lexsort((-quality, latency))
    return order[rises(quality[order])]
