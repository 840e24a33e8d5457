"""The prioritized board: the best paths found so far while the hypernetwork is trained.

*Cream of the Crop* (NeurIPS 2020), section 3.2, with three changes. Predicted latency counts
besides MACs. Scores are estimates over the last few batches, taken again as the weights move, so
that one lucky batch does not keep a path on the board. And what "clearly better" means follows
from how many images the two scores rest on, instead of a fixed number of points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from pipeline.space.architecture import Architecture

# An estimate is over the last ten batches or so: weights that are older say little.
_KEPT = 0.9
# One-sided 95 %: about 5 points where a path that was seen on one batch of 128 images meets one
# that is well known, as in the paper's code.
_CLEARLY = 1.64


class BoardEntry(BaseModel):
    """A path on the board.

    Attributes:
        correct: Images classified correctly, older batches counting less.
        images: Images classified, older batches counting less.
        macs: Multiply-accumulates.
        latency_ms: Predicted; None where no table was given.
        scored_at: Step of the last batch its score knows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: Architecture
    correct: float
    images: float
    macs: int
    latency_ms: float | None
    scored_at: int

    @property
    def accuracy(self) -> float:
        """Share of images classified correctly, on training batches."""
        return self.correct / self.images

    def scored(self, correct: float, images: int, step: int) -> BoardEntry:
        """The entry after one more batch."""
        return self.model_copy(
            update={
                "correct": _KEPT * self.correct + correct,
                "images": _KEPT * self.images + images,
                "scored_at": step,
            }
        )

    def is_clearly_better(self, other: BoardEntry) -> bool:
        """Whether the difference in accuracy is more than chance would make of it."""
        pooled = (self.correct + other.correct) / (self.images + other.images)
        error = math.sqrt(pooled * (1 - pooled) * (1 / self.images + 1 / other.images))
        return self.accuracy - other.accuracy > _CLEARLY * error

    def is_better_and_cheaper(self, other: BoardEntry) -> bool:
        """Whether it is more accurate, costs less in MACs or latency, and more in neither."""
        costs: list[tuple[float, float]] = [(self.macs, other.macs)]
        if self.latency_ms is not None and other.latency_ms is not None:
            costs.append((self.latency_ms, other.latency_ms))
        return (
            self.accuracy > other.accuracy
            and all(mine <= its for mine, its in costs)
            and any(mine < its for mine, its in costs)
        )


@dataclass
class Board:
    """At most `size` paths of one input size, the most accurate first.

    Attributes:
        size: K in the paper.
        entries: The paths.
    """

    size: int
    entries: list[BoardEntry] = field(default_factory=list)

    def offer(self, candidate: BoardEntry) -> bool:
        """A trained path asks to enter.

        It enters a board that is not full; else it replaces the last entry if it is clearly more
        accurate, or more accurate and cheaper. A path that is there already is scored again.

        Returns:
            Whether it is on the board.
        """
        for entry in self.entries:
            if entry.architecture == candidate.architecture:
                correct, images = candidate.correct, round(candidate.images)
                self.score(candidate.architecture, correct, images, candidate.scored_at)
                return True
        if len(self.entries) >= self.size:
            last = self.entries[-1]
            if not (candidate.is_clearly_better(last) or candidate.is_better_and_cheaper(last)):
                return False
            self.entries.pop()
        self.entries.append(candidate)
        self._sort()
        return True

    def score(self, architecture: Architecture, correct: float, images: int, step: int) -> None:
        """Counts one more batch for an entry; one that left the board since is passed over."""
        self.entries = [
            entry.scored(correct, images, step) if entry.architecture == architecture else entry
            for entry in self.entries
        ]
        self._sort()

    def stalest(self) -> Architecture:
        """The path whose score is the oldest."""
        return min(self.entries, key=lambda entry: entry.scored_at).architecture

    def teachers_of(self, student: Architecture) -> list[Architecture]:
        """Paths that may teach one: all others on the board, the most accurate first."""
        return [e.architecture for e in self.entries if e.architecture != student]

    def _sort(self) -> None:
        # Ties by cost and name: the order must not depend on how the board came about.
        self.entries.sort(key=lambda e: (-e.accuracy, e.macs, e.architecture.short))
