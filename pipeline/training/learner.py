"""What a training loop asks of what it trains: gradients, and state to go on with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor
from torch.optim import Optimizer


@dataclass(frozen=True)
class TrainingStep:
    """Where in a run a step is.

    Attributes:
        at: Number of the step in the run, from 0.
        optimizer: What will take the step, its learning rate set.
    """

    at: int
    optimizer: Optimizer


@dataclass(frozen=True)
class SavedState:
    """What a part of a training needs, besides the weights, to go on after a kill.

    Attributes:
        tensors: By name.
        values: What JSON can hold.
    """

    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)


class Learner(Protocol):
    """Computes gradients. Steps come in rounds, and only between rounds is anything decided.

    So nothing has to be read back from a GPU within a step; what a round found out is read at its
    end, at once. State is kept between rounds.
    """

    def gradients(self, images: Tensor, labels: Tensor, step: TrainingStep) -> Tensor:
        """Leaves gradients in the parameters that take part in the step.

        Args:
            images: Shape (n, 3, r, r), this process's part of the batch.
            labels: Shape (n,).
            step: Which step it is.

        Returns:
            The loss, without its graph.
        """

    def end_round(self) -> Mapping[str, float]:
        """Called after a round.

        Returns:
            Figures for the log, by name.
        """

    def state(self) -> SavedState:
        """What `load` takes back; called between rounds."""

    def load(self, state: SavedState) -> None:
        """Goes on from a state."""


class Stateless:
    """The part of a learner that decides nothing between rounds and keeps nothing."""

    def end_round(self) -> Mapping[str, float]:
        """See `Learner`."""
        return {}

    def state(self) -> SavedState:
        """See `Learner`."""
        return SavedState()

    def load(self, state: SavedState) -> None:
        """See `Learner`."""
