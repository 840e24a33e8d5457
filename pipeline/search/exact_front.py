"""The exact front of a surrogate against latency, with all limits held, at one input size.

Dynamic programming over stages. Partial networks are kept as vectors of sums: the surrogate, the
searched target's latency, and every limited cost. One is dropped

1. where no completion of it is within the limits;
2. where another one beats it in all sums;
3. where none of its completions can be better than the front that is known already: for any
   multipliers λ ≥ 0 a completion within the limits has at least the loss that the Lagrangian
   relaxation has, which is a sum over stages and so at once computed (Fisher, 1981). Multipliers
   come from linear programs at latencies along the front; the known front from a first pass that
   keeps only the partial networks that look best.

What is left at the end is the front. Where more is left on the way than can be held, the least
promising are dropped, and how far above the front they might have come is told as its gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.encoding import Floats, Rows, SlotTable
from pipeline.search.integer_program import least_within
from pipeline.search.linear import Cuts, linear_limits, times
from pipeline.search.problem import Problem
from pipeline.search.relaxation import Bounds, Relaxation, relaxation
from pipeline.search.stage_options import Options, stage_options

_BEAM_PAIRS = (1_000_000, 2_000_000)
"""Pairs of a partial network and a stage's option that each first pass looks at in a stage."""
_MOST_PAIRS = 8_000_000
"""Pairs of a partial network and the next stage's options that are looked at in all."""
_COMPARED = 30_000
"""Most that are compared with each other: beyond, that takes longer than it saves."""
_AT_ONCE = 400_000
"""Pairs of a partial network and a stage's option that are looked at together."""
_SAME = 1e-9
"""Points of surrogate that count as equal."""

_Booleans = NDArray[np.bool_]


@dataclass(frozen=True)
class ExactFront:
    """Networks that none within the limits beats in surrogate and latency at once.

    Attributes:
        rows: Shape (n, 1 + slots), fastest first; none where nothing is within the limits.
        surrogate_percent: Shape (n,), rising.
        latency_ms: Predicted on the searched target, shape (n,), rising.
        gap_percent: Most points by which an unknown network could lie above the front; 0 where the
            front is proved.
    """

    rows: Rows
    surrogate_percent: Floats
    latency_ms: Floats
    gap_percent: float


def exact_front(problem: Problem, surrogate: SlotTable, cuts: Cuts) -> ExactFront:
    """The front at the surrogate's input size.

    Args:
        problem: The request.
        surrogate: Accuracy in percent as a sum over slots.
        cuts: Tangents of the uncertainties where limits have a margin; without enough of them the
            front has a gap.
    """
    size = surrogate.resolution
    latency = problem.tables.sums[size][problem.latency]
    limits = linear_limits(problem, size, cuts)
    tables = [times(surrogate, -1.0), latency, *(limit.table for limit in limits)]
    tables = [table.on_grid() for table in tables]
    at_most = [np.inf, problem.tables.reachable[size][problem.latency][1]]
    at_most += [limit.at_most for limit in limits]
    search = _Search(problem, surrogate, cuts, tables, np.array(at_most))
    return search.front()


class _Search:
    """The state that all steps share."""

    def __init__(
        self,
        problem: Problem,
        surrogate: SlotTable,
        cuts: Cuts,
        tables: list[SlotTable],
        at_most: Floats,
    ) -> None:
        self._problem, self._cuts = problem, cuts
        self._surrogate = surrogate
        self._latency = problem.tables.sums[surrogate.resolution][problem.latency]
        self._fixed = np.array([table.fixed for table in tables])
        # A hair more, so that rounding to the grid excludes nothing; the true limits decide.
        self._at_most = at_most - self._fixed + 1e-9 * np.maximum(1.0, np.abs(at_most))
        self._options = stage_options(tables)
        least = np.array([options.sums.min(axis=0) for options in self._options])
        self._least_after = np.cumsum(least[::-1], axis=0)[::-1]
        self._least_after = np.vstack([self._least_after[1:], np.zeros(len(tables))])

    def front(self) -> ExactFront:
        fastest = least_within(self._problem, self._latency, self._cuts)
        relaxed = relaxation([o.sums for o in self._options], self._at_most)
        if relaxed is None or fastest is None:
            return self._told(self._rows(self._options[0].codes[:0]), 0.0)
        known = fastest.row[None]
        for pairs in _BEAM_PAIRS:
            known = np.concatenate([known, self._feasible(self._beam(relaxed, pairs))])
            bounds = self._bounds(relaxed, known, fastest.bound)
            self._options = [
                options.chosen(np.flatnonzero(bounds.of_options(options.sums, stage) > _SAME))
                for stage, options in enumerate(self._options)
            ]
        labels, gap = self._sweep(bounds)
        rows = np.concatenate([known, self._feasible(self._rows(labels.codes))])
        found = self._told(rows, gap)
        return ExactFront(
            found.rows,
            found.surrogate_percent,
            found.latency_ms,
            max(gap, self._above(found, labels)),
        )

    def _beam(self, relaxed: Relaxation, most_pairs: int) -> Rows:
        """Networks made of the partial networks that look best under some multipliers."""
        labels = self._options[0]
        for stage in range(1, len(self._options)):
            if not len(labels) or not len(self._options[stage]):
                return self._rows(self._options[0].codes[:0])
            worth = relaxed.losses(labels.sums)[:, :-1]
            most = most_pairs // (len(self._options[stage]) * worth.shape[1])
            labels = labels.chosen(_best_of_each(worth, max(2, most)))
            labels = self._extended(labels, stage, *self._within(labels, stage, slice(None)))
        return self._rows(labels.chosen(_best_of_each(relaxed.losses(labels.sums)[:, :-1], 300)).codes)

    def _bounds(self, relaxed: Relaxation, known: Rows, fastest_ms: float) -> Bounds:
        front = self._told(known, 0.0)
        return relaxed.against(
            front.latency_ms - self._fixed[1],
            -front.surrogate_percent - self._fixed[0],
            fastest_ms - self._fixed[1],
        )

    def _sweep(self, bounds: Bounds) -> tuple[Options, float]:
        """All networks that may still improve on the known front."""
        labels, gap = self._options[0], 0.0
        for stage in range(1, len(self._options)):
            if not len(labels) or not len(self._options[stage]):
                return self._options[0].chosen(np.empty(0, dtype=np.intp)), gap
            labels, dropped = self._most_promising(labels, stage, bounds)
            gap = max(gap, dropped)
            labels = self._grown(labels, stage, bounds)
            if len(labels) <= _COMPARED:
                labels = labels.best()
        return labels, gap

    def _most_promising(
        self, labels: Options, stage: int, bounds: Bounds
    ) -> tuple[Options, float]:
        """As many as can be combined with the next stage, and what the others promised."""
        most = max(1, _MOST_PAIRS // max(1, len(self._options[stage])))
        if len(labels) <= most:
            return labels, 0.0
        least_latency = self._least_after[stage - 1, 1]
        promise = bounds.most_improvement(labels.sums, stage - 1, least_latency)
        order = np.argsort(-promise, kind="stable")
        return labels.chosen(order[:most]), float(promise[order[most]])

    def _grown(self, labels: Options, stage: int, bounds: Bounds) -> Options:
        """Labels with each of the next stage's options, where that may improve the front."""
        last = stage == len(self._options) - 1
        step = max(1, _AT_ONCE // max(1, len(self._options[stage])))
        pieces = []
        for start in range(0, len(labels), step):
            sums, pairs = self._within(labels, stage, slice(start, start + step))
            if last:
                promise = bounds.improvement(sums)
            else:
                promise = bounds.most_improvement(sums, stage, self._least_after[stage, 1])
            keeps = promise > _SAME
            pieces.append((sums[keeps], pairs[keeps]))
        sums, pairs = (np.concatenate(part) for part in zip(*pieces, strict=True))
        return self._extended(labels, stage, sums, pairs)

    def _within(
        self, labels: Options, stage: int, part: slice
    ) -> tuple[Floats, NDArray[np.intp]]:
        """Sums of some labels with each of a stage's options, where a completion can be within."""
        options = self._options[stage].sums
        sums = (labels.sums[part, None] + options).reshape(-1, options.shape[1])
        within = (sums[:, 1:] + self._least_after[stage, 1:] <= self._at_most[1:]).all(axis=1)
        pairs = np.flatnonzero(within)
        return sums[pairs], pairs + (part.start or 0) * len(options)

    def _extended(
        self, labels: Options, stage: int, sums: Floats, pairs: NDArray[np.intp]
    ) -> Options:
        options = self._options[stage]
        before, option = np.divmod(pairs, len(options))
        return Options(sums, np.hstack([labels.codes[before], options.codes[option]]))

    def _rows(self, codes: NDArray[np.int8]) -> Rows:
        sizes = np.full((len(codes), 1), self._surrogate.resolution, dtype=np.int16)
        return np.hstack([sizes, codes.astype(np.int16)])

    def _feasible(self, rows: Rows) -> Rows:
        width = 1 + len(self._surrogate.values)
        if rows.shape[1] != width or not len(rows):
            return np.empty((0, width), dtype=np.int16)
        return rows[self._problem.violation(rows) <= 0]

    def _told(self, rows: Rows, gap: float) -> ExactFront:
        if rows.shape[1] != 1 + len(self._surrogate.values):
            rows = np.empty((0, 1 + len(self._surrogate.values)), dtype=np.int16)
        accuracy = self._surrogate.totals(rows)
        latency = self._problem.tables(rows)[self._problem.latency] if len(rows) else accuracy
        order = np.lexsort((-accuracy, latency))
        kept = order[rises(accuracy[order])]
        return ExactFront(rows[kept], accuracy[kept], latency[kept], gap)

    def _above(self, found: ExactFront, labels: Options) -> float:
        """How far networks within the relaxed limits, but not the true ones, are above."""
        if not len(labels) or not len(found.rows):
            return 0.0
        place = np.searchsorted(found.latency_ms - self._fixed[1], labels.sums[:, 1], "right") - 1
        below = found.surrogate_percent[np.maximum(place, 0)]
        above = -labels.sums[:, 0] - self._fixed[0] - below
        return max(0.0, float(above.max()))


def _best_of_each(worth: Floats, most: int) -> NDArray[np.intp]:
    """Indices of the `most` least values of each column, once each."""
    if most >= len(worth):
        return np.arange(len(worth))
    return np.unique(np.argpartition(worth, most, axis=0)[:most])


def rises(values: Floats) -> _Booleans:
    """Where a value is more than all before it; shape (n,)."""
    before = np.concatenate([[-np.inf], np.maximum.accumulate(values)])[:-1]
    return np.asarray(values > before + _SAME)


def joined_fronts(fronts: Sequence[ExactFront]) -> ExactFront:
    """One front over several input sizes."""
    rows = np.concatenate([front.rows for front in fronts])
    accuracy = np.concatenate([front.surrogate_percent for front in fronts])
    latency = np.concatenate([front.latency_ms for front in fronts])
    order = np.lexsort((-accuracy, latency))
    kept = order[rises(accuracy[order])]
    gap = max(front.gap_percent for front in fronts)
    return ExactFront(rows[kept], accuracy[kept], latency[kept], gap)
