"""Moving average of weights, each over its own updates.

In a hypernetwork a step trains one path, and most weights stand still. Averaging all of them at
each step would cost more than the step; averaging those that moved gives each weight an average
over as many of its own updates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from pipeline.training.learner import LearnerState

# The first updates are averaged over as many as there were.
_WARMUP = 10.0


class WeightAverage:
    """Averages of a module's parameters.

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
        """After an optimizer step: counts the parameters that have a gradient, thus moved."""
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

    def restart(self) -> None:
        """Starts all averages from the weights as they are now."""
        self.load(LearnerState({name: p.detach() for name, p in self._named.items()}))

    def state(self) -> LearnerState:
        """See `Average`."""
        return LearnerState(self.averages, self.updates)

    def load(self, state: LearnerState) -> None:
        """Takes over averages, and how many updates are in each; 0 where not named."""
        for name, average in self.averages.items():
            average.copy_(state.tensors[name])
        self.updates = {name: state.values.get(name, 0) for name in self._named}

    def keep(self) -> None:
        """Makes the averages the module's weights, for good."""
        self._set(self.averages)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within it the module has the averages as its weights."""
        kept = {name: p.detach().clone() for name, p in self._named.items()}
        self._set(self.averages)
        try:
            yield
        finally:
            self._set(kept)

    def _set(self, values: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self._named.items():
                parameter.copy_(values[name])
