"""Moving averages of what is trained, kept beside it and put in its place.

Trained on its own, a network moves every weight at each step. In a hypernetwork a step trains one
path and most weights stand still: averaging all of them would cost more than the step. Averaging
those that moved gives each weight an average over as many of its own updates.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from pipeline.training.learner import SavedState

# The first updates of a weight are averaged over as many as there were.
_WARMUP = 10.0
_UPDATES = "updates"


class Average(ABC):
    """A moving average of what is trained."""

    @abstractmethod
    def update(self) -> None:
        """Called after each step of the optimizer, while the gradients are there."""

    @abstractmethod
    def state(self) -> SavedState:
        """What `load` takes back."""

    @abstractmethod
    def load(self, state: SavedState) -> None:
        """Goes on from a state."""

    def keep(self) -> None:
        """Makes the model its average, for good."""
        _copy(self._averages(), self._trained())

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within it the model is its average; afterwards it is itself again, to the bit."""
        trained = {name: tensor.detach().clone() for name, tensor in self._trained().items()}
        self.keep()
        try:
            yield
        finally:
            _copy(trained, self._trained())

    @abstractmethod
    def _trained(self) -> Mapping[str, Tensor]:
        """The model's own tensors that are averaged, by name."""

    @abstractmethod
    def _averages(self) -> Mapping[str, Tensor]:
        """Their averages, by the same names."""


class NetworkAverage(Average):
    """timm's average of a whole network's weights and batch-norm statistics.

    Args:
        network: What is averaged; it is on its device already.
        decay: What an update leaves of the average before it, once there were many.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._network = network
        self._average = ModelEmaV3(network, decay=decay, use_warmup=True)
        self._updates = 0

    def update(self) -> None:
        """See `Average`."""
        self._updates += 1
        self._average.update(self._network, step=self._updates)

    def state(self) -> SavedState:
        """See `Average`."""
        return SavedState(self._averages(), {_UPDATES: self._updates})

    def load(self, state: SavedState) -> None:
        """See `Average`."""
        _copy(state.tensors, self._averages())
        self._updates = int(state.values[_UPDATES])

    def _trained(self) -> Mapping[str, Tensor]:
        return self._network.state_dict()

    def _averages(self) -> Mapping[str, Tensor]:
        return self._average.module.state_dict()


class WeightAverage(Average):
    """Averages of a module's parameters, each over its own updates.

    Args:
        module: Whose parameters; they are looked up by identity, so the module stays as it is.
        decay: What an update leaves of the average before it.

    Attributes:
        averages: By parameter name.
        updates: How often each was updated.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self._named = dict(module.named_parameters())
        self._decay = decay
        self.averages = {name: p.detach().clone() for name, p in self._named.items()}
        self.updates = dict.fromkeys(self._named, 0)

    def update(self) -> None:
        """Counts the parameters that have a gradient, thus moved."""
        groups: dict[int, tuple[list[Tensor], list[Tensor]]] = {}
        for name, parameter in self._named.items():
            if parameter.grad is not None:
                averages, now = groups.setdefault(self.updates[name], ([], []))
                averages.append(self.averages[name])
                now.append(parameter.detach())
                self.updates[name] += 1
        for updates, (averages, now) in groups.items():
            decay = min(self._decay, (1 + updates) / (_WARMUP + updates))
            torch._foreach_lerp_(averages, now, 1 - decay)

    def state(self) -> SavedState:
        """See `Average`."""
        return SavedState(self.averages, self.updates)

    def load(self, state: SavedState) -> None:
        """Takes over averages, and how many updates are in each; 0 where not named."""
        _copy(state.tensors, self.averages)
        self.updates = {name: state.values.get(name, 0) for name in self._named}

    def _trained(self) -> Mapping[str, Tensor]:
        return self._named

    def _averages(self) -> Mapping[str, Tensor]:
        return self.averages


def _copy(values: Mapping[str, Tensor], into: Mapping[str, Tensor]) -> None:
    """Puts values in place, so that whoever holds a module's tensors sees them."""
    with torch.no_grad():
        for name, tensor in into.items():
            tensor.copy_(values[name])
