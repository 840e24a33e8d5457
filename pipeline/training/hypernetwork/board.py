"""The prioritized board: the best paths found so far while the hypernetwork is trained.

*Cream of the Crop* (NeurIPS 2020), section 3.2, with three changes. Predicted latency counts
besides MACs. All paths of the board, and those that ask to enter, are scored on the same images
with the same weights, so that neither luck with a batch nor age decides; see
`pipeline.training.hypernetwork.cream`. And what "clearly better" means follows from how much the
log-losses of two paths differ image by image, instead of a fixed number of points: an image that is
hard is so for both, and their difference does not tell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from pydantic import BaseModel, ConfigDict

from pipeline.space.architecture import Architecture

# One-sided 95 %.
_CLEARLY = 1.64


class BoardEntry(BaseModel):
    """A path, and how it did on the shared images.

    Attributes:
        macs: Multiply-accumulates.
        latency_ms: Predicted; None where no table was given.
        log_losses: Negative log-likelihood of each image's class, in nats.
        correct: Images classified correctly.
        worth: As a teacher, as the matching network has it; the same for all where there is none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: Architecture
    macs: int
    latency_ms: float | None
    log_losses: tuple[float, ...]
    correct: int
    worth: float = 0.0

    @property
    def accuracy(self) -> float:
        """Share of the shared images classified correctly."""
        return self.correct / len(self.log_losses)

    @property
    def log_loss(self) -> float:
        """Mean over the images; the lower the better."""
        return math.fsum(self.log_losses) / len(self.log_losses)

    def is_clearly_better(self, other: BoardEntry) -> bool:
        """Whether its log-loss is lower by more than chance makes of these images.

        Args:
            other: Scored on the same ones.
        """
        gains = np.subtract(other.log_losses, self.log_losses)
        error = float(gains.std(ddof=1)) / math.sqrt(len(gains))
        return other.log_loss - self.log_loss > _CLEARLY * error

    def is_better_and_cheaper(self, other: BoardEntry) -> bool:
        """Whether it is better, costs less in MACs or latency, and more in neither."""
        costs: list[tuple[float, float]] = [(self.macs, other.macs)]
        if self.latency_ms is not None and other.latency_ms is not None:
            costs.append((self.latency_ms, other.latency_ms))
        return (
            self.log_loss < other.log_loss
            and all(mine <= its for mine, its in costs)
            and any(mine < its for mine, its in costs)
        )


@dataclass
class Board:
    """At most `size` paths of one input size, the lowest log-loss first.

    Attributes:
        size: K in the paper.
        entries: The paths.
    """

    size: int
    entries: list[BoardEntry] = field(default_factory=list)

    def renew(self, scored: Sequence[BoardEntry]) -> None:
        """Takes new scores of its paths, and lets others enter, the best of them first.

        A path enters a board that is not full; else it replaces the last entry if it is clearly
        better, or better and cheaper.

        Args:
            scored: Every path of the board and those that ask to enter, each once, all on the same
                images with the same weights.
        """
        here = {entry.architecture for entry in self.entries}
        self.entries = _best_first([entry for entry in scored if entry.architecture in here])
        for candidate in _best_first([it for it in scored if it.architecture not in here]):
            if len(self.entries) >= self.size:
                last = self.entries[-1]
                if not (candidate.is_clearly_better(last) or candidate.is_better_and_cheaper(last)):
                    continue
                self.entries.pop()
            self.entries = _best_first([*self.entries, candidate])

    def teacher_of(self, student: Architecture) -> Architecture | None:
        """The other path that is worth most as a teacher, of equal ones the best; None if none."""
        others = [entry for entry in self.entries if entry.architecture != student]
        return max(others, key=lambda entry: entry.worth).architecture if others else None


def _best_first(entries: Sequence[BoardEntry]) -> list[BoardEntry]:
    # Ties by cost and name: the order must not depend on how the board came about.
    return sorted(entries, key=lambda e: (e.log_loss, e.macs, e.architecture.short))
