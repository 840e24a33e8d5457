"""Accuracies of rows: from what is known already, else by asking, with a memory of all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from pipeline.records.candidates import Candidate
from pipeline.search.problem import Problem, as_rows
from pipeline.space.architecture import Architecture
from pipeline.space.encoding import Floats, Rows
from pipeline.work.progress import Progress


class Scored(NamedTuple):
    """A score, and how long it took."""

    accuracy_percent: float
    seconds: float


OnScored = Callable[[Architecture, float], None]
Score = Callable[[Sequence[Architecture], OnScored], list[float]]
Keep = Callable[[Architecture, Scored], None]


@dataclass
class Scoring:
    """Scores rows and remembers them.

    Attributes:
        problem: The request.
        score: Top-1 of architectures, in percent; tells of each as soon as it is there.
        cache: Scores known already, by `Architecture.short`.
        keep: Told of each architecture that `score` has scored.
        progress: Told after every new row.
        budget: Most rows there will be, for progress.
        seconds: What scoring took, in this call or an earlier one.
        best_percent: Best accuracy so far.
    """

    problem: Problem
    score: Score
    cache: Mapping[str, Scored]
    keep: Keep
    progress: Progress
    budget: int
    seconds: float = 0.0
    best_percent: float = 0.0
    _accuracy: dict[bytes, float] = field(default_factory=dict)
    _rows: list[Rows] = field(default_factory=list)
    _known: int = 0
    _since: float = 0.0

    def accuracies(self, rows: Rows) -> Floats:
        """Scores rows, all that are not known yet at once.

        Returns:
            Percent, shape (n,).
        """
        new = {row.tobytes(): row for row in rows if row.tobytes() not in self._accuracy}
        if new:
            self._add(as_rows(list(new.values()), rows.shape[1]))
        return np.array([self._accuracy[row.tobytes()] for row in rows])

    @property
    def rows(self) -> Rows:
        """Everything scored, in the order of asking; shape (n, 1 + slots)."""
        return as_rows(self._rows, 1 + self.problem.variation.slots)

    @property
    def scores(self) -> Floats:
        """Their accuracies in percent; shape (n,)."""
        return np.array([self._accuracy[row.tobytes()] for row in self._rows])

    def candidates(self) -> list[Candidate]:
        """Everything scored, with everything known about it."""
        return self.problem.candidates(self.rows, self.scores.tolist())

    def _add(self, rows: Rows) -> None:
        architectures = self.problem.architectures(rows)
        found = {it: self.cache[it.short] for it in architectures if it.short in self.cache}
        for known in found.values():
            self._note(known)
        missing = [architecture for architecture in architectures if architecture not in found]
        accuracy = {it: known.accuracy_percent for it, known in found.items()}
        if missing:
            self._since = time.monotonic()
            accuracy.update(zip(missing, self.score(missing, self._scored), strict=True))
        for row, architecture in zip(rows, architectures, strict=True):
            self._accuracy[row.tobytes()] = accuracy[architecture]
            self._rows.append(row)

    def _scored(self, architecture: Architecture, accuracy_percent: float) -> None:
        now = time.monotonic()
        scored = Scored(accuracy_percent, now - self._since)
        self._since = now
        self.keep(architecture, scored)
        self._note(scored)

    def _note(self, scored: Scored) -> None:
        self.seconds += scored.seconds
        self.best_percent = max(self.best_percent, scored.accuracy_percent)
        self._known += 1
        self.progress(self._known, self.budget, f"best {self.best_percent:.2f} %")
