"""Smaller kernels as learned transforms of the largest one's centre, which the program does not do.

After Cai et al., ICLR 2020, "Once-for-All", section 3.3: the centre of the next larger kernel times
a matrix, one for each step down and each slot, common to all channels. They begin as the identity,
where kernels are the centres themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from unittest.mock import patch

import torch
from torch import Tensor, nn

from pipeline.network import entangled
from pipeline.network.entangled import PartOfOperator
from pipeline.space.operator_spec import OperatorSpec

_DEPTHWISE = "conv_dw.weight"
_SIDES = (7, 5, 3)


class TransformedPart(PartOfOperator):
    """An operator whose kernels are transforms of a larger one's; see `PartOfOperator`."""

    def __init__(self, spec: OperatorSpec, largest: nn.Module) -> None:
        super().__init__(spec, largest)
        self._kernel: tuple[nn.Parameter, int] | None = None
        self._steps: list[nn.Parameter] = []
        if _DEPTHWISE not in self._parts:
            return
        whole, _ = self._parts[_DEPTHWISE]
        self._kernel = whole, spec.in_channels * spec.expansion
        sides = [side for side in _SIDES if spec.kernel <= side <= whole.shape[-1]]
        for _, smaller in pairwise(sides):
            name = f"transform_{smaller}"
            if not hasattr(largest, name):
                largest.register_parameter(name, nn.Parameter(torch.eye(smaller * smaller)))
            self._steps.append(largest.get_parameter(name))

    def shared(self) -> Iterable[nn.Parameter]:
        """The parameters that its weights are made of."""
        return (*super().shared(), *self._steps)

    def _weights(self) -> dict[str, Tensor]:
        weights = super()._weights()
        if self._kernel and self._steps:
            whole, channels = self._kernel
            kernel: Tensor = whole[:channels]
            for step in self._steps:
                centre = kernel[..., 1:-1, 1:-1]
                kernel = (centre.flatten(1) @ step).reshape(centre.shape)
            weights[_DEPTHWISE] = kernel
        return weights


@contextmanager
def transformed_kernels() -> Iterator[None]:
    """Within it, entangled hypernetworks are built with transforms."""
    with patch.object(entangled, "PartOfOperator", TransformedPart):
        yield
