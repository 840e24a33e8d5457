"""Accuracies of rows: from what is known already, else by asking, with a memory of all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.encoding import Floats, Rows, decode
from pipeline.progress import Progress
from pipeline.records import Candidate, LatencyPrediction, Limits
from pipeline.search.constraints import MACS, PARAMS, Costs, violation
from pipeline.space import Architecture, SearchSpace

Predict = Callable[[Architecture], Mapping[str, LatencyPrediction]]
OnScored = Callable[[Architecture, float], None]
Score = Callable[[Sequence[Architecture], OnScored], list[float]]


@dataclass
class Scoring:
    """Scores rows and remembers the candidates.

    Attributes:
        space: The space of the rows.
        num_classes: Classes of every candidate.
        limits: What violation is measured against.
        costs: Costs of rows, by name.
        predict: Latencies of one architecture, by target.
        score: Top-1 of architectures, in percent; tells of each as soon as it is there.
        cache: Accuracies known already, by `Architecture.short`.
        on_scored: Told of each architecture that `score` has scored.
        progress: Told after every candidate.
        budget: Most candidates there will be, for progress.
        candidates: Everything scored, in the order of the rows.
        best_percent: Best accuracy so far, in percent.
    """

    space: SearchSpace
    num_classes: int
    limits: Limits
    costs: Costs
    predict: Predict
    score: Score
    cache: Mapping[str, float]
    on_scored: OnScored
    progress: Progress
    budget: int
    candidates: list[Candidate] = field(default_factory=list)
    best_percent: float = 0.0
    _known: int = 0

    def accuracies(self, rows: Rows) -> Floats:
        """Scores rows, all that are not known yet at once.

        Returns:
            Percent, shape (n,).
        """
        costs = self.costs(rows)
        beyond = violation(costs, self.limits)
        architectures = [decode(self.space, row, self.num_classes) for row in rows]
        found = self._found(architectures)
        for index, architecture in enumerate(architectures):
            candidate = Candidate(
                architecture=architecture,
                accuracy_percent=found[index],
                macs=round(costs[MACS][index]),
                params=round(costs[PARAMS][index]),
                latency_ms=dict(self.predict(architecture)),
                violation=float(beyond[index]),
            )
            self.candidates.append(candidate)
        return np.array(found)

    def _found(self, architectures: Sequence[Architecture]) -> list[float]:
        known = {it: self.cache[it.short] for it in architectures if it.short in self.cache}
        for accuracy_percent in known.values():
            self._note(accuracy_percent)
        missing = [architecture for architecture in architectures if architecture not in known]
        if missing:
            known.update(zip(missing, self.score(missing, self._scored), strict=True))
        return [known[architecture] for architecture in architectures]

    def _scored(self, architecture: Architecture, accuracy_percent: float) -> None:
        self.on_scored(architecture, accuracy_percent)
        self._note(accuracy_percent)

    def _note(self, accuracy_percent: float) -> None:
        self._known += 1
        self.best_percent = max(self.best_percent, accuracy_percent)
        self.progress(self._known, self.budget, f"best {self.best_percent:.2f} %")
