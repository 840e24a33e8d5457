"""Scores of rows: from what is known already, else by asking, with a memory of all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from pipeline.search.problem import Problem, as_rows
from pipeline.space.architecture import Architecture
from pipeline.space.encoding import Floats, Rows
from pipeline.training.scoring.network_score import NetworkScore
from pipeline.work.progress import Progress


class Scored(NamedTuple):
    """A score, and how long it took."""

    score: NetworkScore
    seconds: float


OnScored = Callable[[Architecture, NetworkScore], None]
Score = Callable[[Sequence[Architecture], OnScored], list[NetworkScore]]
Keep = Callable[[Architecture, Scored], None]


@dataclass
class Scoring:
    """Scores rows and remembers them.

    What a search goes by is their quality: minus their log-loss.

    Attributes:
        problem: The request.
        score: Scores architectures; tells of each as soon as it is there.
        cache: Scores known already, by `Architecture.short`.
        keep: Told of each architecture that `score` has scored.
        progress: Told after every new row.
        budget: Most rows there will be, for progress.
        seconds: What scoring took, in this call or an earlier one.
        best: The lowest log-loss so far.
    """

    problem: Problem
    score: Score
    cache: Mapping[str, Scored]
    keep: Keep
    progress: Progress
    budget: int
    seconds: float = 0.0
    best: NetworkScore | None = None
    _scores: dict[bytes, NetworkScore] = field(default_factory=dict)
    _quality: dict[bytes, float] = field(default_factory=dict)
    _rows: list[Rows] = field(default_factory=list)
    _known: int = 0
    _since: float = 0.0

    def quality_of(self, rows: Rows) -> Floats:
        """Scores rows, all that are not known yet at once.

        Returns:
            Nats, shape (n,).
        """
        new = {row.tobytes(): row for row in rows if row.tobytes() not in self._scores}
        if new:
            self._add(as_rows(list(new.values()), rows.shape[1]))
        return np.array([self._quality[row.tobytes()] for row in rows])

    def score_of(self, row: Rows) -> NetworkScore:
        """The score of a row that was scored; shape (1 + slots,)."""
        return self._scores[row.tobytes()]

    @property
    def rows(self) -> Rows:
        """Everything scored, in the order of asking; shape (n, 1 + slots)."""
        return as_rows(self._rows, 1 + self.problem.variation.slots)

    @property
    def quality(self) -> Floats:
        """Their qualities in nats; shape (n,)."""
        return np.array([self._quality[row.tobytes()] for row in self._rows])

    @property
    def scores(self) -> list[NetworkScore]:
        """Their scores."""
        return [self._scores[row.tobytes()] for row in self._rows]

    def _add(self, rows: Rows) -> None:
        architectures = self.problem.architectures(rows)
        found = {it: self.cache[it.short] for it in architectures if it.short in self.cache}
        for known in found.values():
            self._note(known)
        missing = [architecture for architecture in architectures if architecture not in found]
        scores = {it: known.score for it, known in found.items()}
        if missing:
            self._since = time.monotonic()
            scores.update(zip(missing, self.score(missing, self._scored), strict=True))
        for row, architecture in zip(rows, architectures, strict=True):
            self._scores[row.tobytes()] = scores[architecture]
            self._quality[row.tobytes()] = -scores[architecture].log_loss_nats
            self._rows.append(row)

    def _scored(self, architecture: Architecture, score: NetworkScore) -> None:
        now = time.monotonic()
        scored = Scored(score, now - self._since)
        self._since = now
        self.keep(architecture, scored)
        self._note(scored)

    def _note(self, scored: Scored) -> None:
        self.seconds += scored.seconds
        if self.best is None or scored.score.log_loss_nats < self.best.log_loss_nats:
            self.best = scored.score
        self._known += 1
        note = f"best log-loss {self.best.log_loss_nats:.4f}, {self.best.accuracy_percent:.2f} %"
        self.progress(self._known, self.budget, note)
