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
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.search.exact.front_refinement import refined
from pipeline.search.exact.integer_program import SURELY, least_of_sums
from pipeline.search.exact.linear import Cuts, LinearLimit, linear_limits, times
from pipeline.search.exact.relaxation import Bounds, Relaxation, relaxation
from pipeline.search.exact.stage_options import Options, stage_options
from pipeline.search.exact.surrogate_front import SAME, ExactFront, front_of, no_rows, rises
from pipeline.search.problem import Problem
from pipeline.space.encoding import Floats, Rows, SlotTable

_BEAM_PAIRS = (1_000_000, 2_000_000)
"""Pairs of a partial network and a stage's option that each first pass looks at in a stage."""
_MOST_PAIRS = 8_000_000
"""Pairs of a partial network and the next stage's options that are looked at in all."""
_FROM_BEAM = 300
"""Networks that the first pass keeps at its end, for each set of multipliers."""
_COMPARED = 30_000
"""Most that are compared with each other: beyond, that takes longer than it saves."""
_AT_ONCE = 400_000
"""Pairs of a partial network and a stage's option that are looked at together."""


def exact_front(problem: Problem, surrogate: SlotTable, cuts: Cuts) -> ExactFront:
    """The front at the surrogate's input size.

    Lower limits, and the curvature of margins, are left out at first: with them hardly anything
    beats anything else. Where networks of that front turn out to be outside the true limits,
    integer programs at latencies in between put the true front in their place.

    Args:
        problem: The request.
        surrogate: Quality in nats as a sum over slots.
        cuts: Tangents of the uncertainties; grows by those that were needed.
    """
    size = surrogate.resolution
    latency = problem.tables.sums[size][problem.latency]
    limits = [one for one in linear_limits(problem, size, cuts) if not one.is_least]
    fastest = least_of_sums(latency, [one.tightened(SURELY) for one in limits])
    if fastest is None:
        return front_of(problem, surrogate, no_rows(surrogate))
    search = _Search(surrogate, latency, limits, problem.tables.reachable[size][problem.latency][1])
    rows, gap = search.front(fastest)
    outer = front_of(problem, surrogate, rows)
    inside = rows[problem.violation(rows) <= 0]
    found = front_of(problem, surrogate, inside)
    if not np.array_equal(found.rows, outer.rows):
        found = refined(problem, surrogate, cuts, outer, found)
    # What was dropped may lie above the relaxed front, which the gap so far is measured to.
    return replace(found, gap_nats=gap + found.gap_nats)


class _Search:
    """The state that all steps share."""

    def __init__(
        self,
        surrogate: SlotTable,
        latency: SlotTable,
        limits: Sequence[LinearLimit],
        slowest_ms: float,
    ) -> None:
        tables = [times(surrogate, -1.0), latency, *(limit.table for limit in limits)]
        tables = [table.on_grid() for table in tables]
        self._tables = tables
        self._fixed = np.array([table.fixed for table in tables])
        at_most = np.array([np.inf, slowest_ms, *(limit.at_most for limit in limits)])
        # A hair more, so that rounding to the grid excludes nothing; the true limits decide.
        self._at_most = at_most - self._fixed + 1e-9 * np.maximum(1.0, np.abs(at_most))
        self._options = stage_options(tables)
        least = np.array([options.sums.min(axis=0) for options in self._options])
        least_from = np.cumsum(least[::-1], axis=0)[::-1]
        self._least_after = np.vstack([least_from[1:], np.zeros(len(tables))])

    def front(self, fastest: Rows) -> tuple[Rows, float]:
        """The front's networks and others near it; and how far others might lie above.

        Args:
            fastest: The fastest network there is.
        """
        known = fastest[None]
        relaxed = relaxation([o.sums for o in self._options], self._at_most)
        if relaxed is None:
            return known, 0.0
        for pairs in _BEAM_PAIRS:
            known = np.concatenate([known, self._beam(relaxed, pairs)])
            bounds = self._bounds(relaxed, known)
            self._options = [
                options.chosen(np.flatnonzero(bounds.of_options(options.sums, stage) > SAME))
                for stage, options in enumerate(self._options)
            ]
        rows, gap = self._sweep(bounds)
        return np.concatenate([known, rows]), gap

    def _beam(self, relaxed: Relaxation, most_pairs: int) -> Rows:
        """Networks made of the partial networks that look best under some multipliers."""
        labels = self._options[0]
        for stage in range(1, len(self._options)):
            if not len(labels) or not len(self._options[stage]):
                return no_rows(self._tables[0])
            worth = relaxed.losses(labels.sums)[:, :-1]
            most = most_pairs // (len(self._options[stage]) * worth.shape[1])
            labels = labels.chosen(_best_of_each(worth, max(2, most)))
            labels = self._extended(labels, stage, *self._within(labels, stage, slice(None)))
        worth = relaxed.losses(labels.sums)[:, :-1]
        return self._rows(labels.chosen(_best_of_each(worth, _FROM_BEAM)).codes)

    def _bounds(self, relaxed: Relaxation, known: Rows) -> Bounds:
        """The relaxation against the front of known networks."""
        loss, latency = (
            table.totals(known) - fixed
            for table, fixed in zip(self._tables[:2], self._fixed[:2], strict=True)
        )
        order = np.lexsort((loss, latency))
        kept = order[rises(-loss[order])]
        return relaxed.against(latency[kept], loss[kept])

    def _sweep(self, bounds: Bounds) -> tuple[Rows, float]:
        """All networks that may still improve on the known front."""
        labels, gap = self._options[0], 0.0
        for stage in range(1, len(self._options)):
            if not len(labels) or not len(self._options[stage]):
                return no_rows(self._tables[0]), gap
            labels, dropped = self._most_promising(labels, stage, bounds)
            gap = max(gap, dropped)
            labels = self._grown(labels, stage, bounds)
            if len(labels) <= _COMPARED:
                labels = labels.best()
        return self._rows(labels.codes), gap

    def _most_promising(self, labels: Options, stage: int, bounds: Bounds) -> tuple[Options, float]:
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
            keeps = promise > SAME
            pieces.append((sums[keeps], pairs[keeps]))
        sums, pairs = (np.concatenate(part) for part in zip(*pieces, strict=True))
        return self._extended(labels, stage, sums, pairs)

    def _within(self, labels: Options, stage: int, part: slice) -> tuple[Floats, NDArray[np.intp]]:
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
        sizes = np.full((len(codes), 1), self._tables[0].resolution, dtype=np.int16)
        return np.hstack([sizes, codes.astype(np.int16)])


def _best_of_each(worth: Floats, most: int) -> NDArray[np.intp]:
    """Indices of the `most` least values of each column, once each."""
    if most >= len(worth):
        return np.arange(len(worth))
    return np.unique(np.argpartition(worth, most, axis=0)[:most])
