"""Moving average of a network trained on its own: timm's, of weights and batch-norm statistics.

Every weight moves at each step here; where only a path does, see `weight_average`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from pipeline.training.learner import LearnerState

_UPDATES = "updates"


class NetworkAverage:
    """See `Average`.

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

    @contextmanager
    def applied(self) -> Iterator[None]:
        """See `Average`."""
        kept = {name: tensor.clone() for name, tensor in self._network.state_dict().items()}
        self.keep()
        try:
            yield
        finally:
            _copy(kept, self._network)

    def keep(self) -> None:
        """See `Average`."""
        _copy(self._average.module.state_dict(), self._network)

    def state(self) -> LearnerState:
        """See `Average`."""
        return LearnerState(self._average.module.state_dict(), {_UPDATES: self._updates})

    def load(self, state: LearnerState) -> None:
        """See `Average`."""
        _copy(state.tensors, self._average.module)
        self._updates = int(state.values[_UPDATES])


def _copy(tensors: Mapping[str, Tensor], module: nn.Module) -> None:
    """Puts values in place, so that whoever holds a module's tensors sees them."""
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            tensor.copy_(tensors[name])
