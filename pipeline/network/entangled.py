"""Operators of a slot that share one set of weights: each is a part of the largest.

A smaller kernel is the centre of the largest one and a smaller expansion its first channels (Cai et
al., ICLR 2020, "Once-for-All", section 3; Guo et al., ECCV 2020, share likewise by superposition).
So every weight in the common part is trained whatever operator a path takes there, several times as
often as where each operator has its own; and as the first channels are in every path, they come to
hold what matters most, without being sorted. Batch-norm statistics stay each operator's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, cast

import torch
from torch import Tensor, nn

from pipeline.network.operators import build_operator
from pipeline.space.operator_spec import OperatorSpec

_Part = tuple[slice, ...]


class PartOfOperator(nn.Module):
    """An operator whose weights are parts of a larger one's.

    Args:
        spec: The operator.
        largest: Holds the weights; it is not made a part of this module.
    """

    def __init__(self, spec: OperatorSpec, largest: nn.Module) -> None:
        super().__init__()
        self.spec = spec
        self.block = build_operator(spec)
        whole = dict(largest.named_parameters())
        self._parts = {
            name: (whole[name], _part_of(parameter.shape, whole[name].shape))
            for name, parameter in self.block.named_parameters()
        }
        self._places: list[tuple[nn.Module, str]] = []
        for name in self._parts:
            module, _, last = name.rpartition(".")
            self._places.append((self.block.get_submodule(module), last))
        for of, last in self._places:
            delattr(of, last)

    def forward(self, x: Tensor) -> Tensor:
        """Computes the operator: (n, in_channels, r, r) to (n, out_channels, r', r')."""
        # As torch.func.functional_call would, in a tenth of its time, which small maps would feel.
        for (module, name), weight in zip(self._places, self._weights().values(), strict=True):
            module.__dict__[name] = weight
        try:
            output: Tensor = self.block(x)
        finally:
            for module, name in self._places:
                del module.__dict__[name]
        return output

    def shared(self) -> Iterable[nn.Parameter]:
        """The parameters that its weights are parts of."""
        return (whole for whole, _ in self._parts.values())

    def alone(self) -> nn.Module:
        """The operator with weights of its own: copies of its parts, and of its statistics."""
        operator = build_operator(self.spec)
        weights = {name: weight.detach() for name, weight in self._weights().items()}
        operator.load_state_dict({**weights, **dict(self.block.named_buffers())})
        return operator.train(self.training)

    def _weights(self) -> dict[str, Tensor]:
        return {
            name: whole if part is None else whole[part]
            for name, (whole, part) in self._parts.items()
        }


class EntangledSlot(nn.Module):
    """The operators of one slot; those of a kind share weights.

    Args:
        specs: By name.

    Attributes:
        largest: By kind, the operator that holds the weights: of the largest kernel and the largest
            expansion that any of the kind has, whether the space offers that one or not.
    """

    def __init__(self, specs: Mapping[str, OperatorSpec]) -> None:
        super().__init__()
        by_kind = groupby(sorted(specs.values(), key=_kind), key=_kind)
        self.largest = nn.ModuleDict({kind: _only_weights(list(some)) for kind, some in by_kind})
        self.operators = nn.ModuleDict(
            {name: PartOfOperator(spec, self.largest[spec.kind]) for name, spec in specs.items()}
        )

    def __getitem__(self, name: str) -> PartOfOperator:
        return cast(PartOfOperator, self.operators[name])

    def values(self) -> Iterable[nn.Module]:
        """The operators."""
        return self.operators.values()


def _kind(spec: OperatorSpec) -> str:
    return spec.kind


def _only_weights(specs: Sequence[OperatorSpec]) -> nn.Module:
    """The operator that holds the weights of some; it is never run, so it has no statistics."""
    kernel, expansion = (max(getattr(it, of) for it in specs) for of in ("kernel", "expansion"))
    operator = build_operator(replace(specs[0], kernel=kernel, expansion=expansion))
    for name, _ in list(operator.named_buffers()):
        module, _, last = name.rpartition(".")
        operator.get_submodule(module).register_buffer(last, None)
    return operator


def _part_of(shape: torch.Size, whole: torch.Size) -> _Part | None:
    """First rows, first columns, middle of the kernel; None where it is the whole."""
    if shape == whole:
        return None
    rims = [(outer - inner) // 2 for inner, outer in zip(shape[2:], whole[2:], strict=True)]
    starts: list[Any] = [*(0 for _ in shape[:2]), *rims]
    return tuple(slice(start, start + size) for start, size in zip(starts, shape, strict=True))
