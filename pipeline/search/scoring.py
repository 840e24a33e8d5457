"""Accuracies of rows: from what is known already, else by asking, with a memory of all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from pipeline.encoding import Floats, Rows, decode
from pipeline.progress import Progress
from pipeline.records import Candidate, LatencyPrediction, Limits
from pipeline.search.constraints import MACS, PARAMS, Costs, violation
from pipeline.space import Architecture, SearchSpace

Predict = Callable[[Architecture], Mapping[str, LatencyPrediction]]
Score = Callable[[Architecture], float]


@dataclass
class Scoring:
    """Scores rows and remembers the candidates.

    Attributes:
        space: The space of the rows.
        num_classes: Classes of every candidate.
        limits: What violation is measured against.
        costs: Costs of rows, by name.
        predict: Latencies of one architecture, by target.
        score: Top-1 of one architecture, in percent.
        cache: Accuracies known already, by `Architecture.short`.
        on_scored: Told of each call of `score`.
        progress: Told after every candidate.
        budget: Most candidates there will be, for progress.
        candidates: Everything scored, in order.
    """

    space: SearchSpace
    num_classes: int
    limits: Limits
    costs: Costs
    predict: Predict
    score: Score
    cache: Mapping[str, float]
    on_scored: Callable[[Architecture, float], None]
    progress: Progress
    budget: int
    candidates: list[Candidate] = field(default_factory=list)

    def accuracies(self, rows: Rows) -> Floats:
        """Scores rows one after the other.

        Returns:
            Percent, shape (n,).
        """
        costs = self.costs(rows)
        beyond = violation(costs, self.limits)
        found = np.empty(len(rows))
        for index, row in enumerate(rows):
            architecture = decode(self.space, row, self.num_classes)
            found[index] = self._accuracy(architecture)
            candidate = Candidate(
                architecture=architecture,
                accuracy_percent=float(found[index]),
                macs=round(costs[MACS][index]),
                params=round(costs[PARAMS][index]),
                latency_ms=dict(self.predict(architecture)),
                violation=float(beyond[index]),
            )
            self.candidates.append(candidate)
            self.progress(len(self.candidates), self.budget, f"best {self.best_percent:.2f} %")
        return found

    @property
    def best_percent(self) -> float:
        """Best accuracy so far, in percent; at least one candidate must be there."""
        return max(candidate.accuracy_percent or 0.0 for candidate in self.candidates)

    def _accuracy(self, architecture: Architecture) -> float:
        known = self.cache.get(architecture.short)
        if known is not None:
            return known
        accuracy_percent = self.score(architecture)
        self.on_scored(architecture, accuracy_percent)
        return accuracy_percent
