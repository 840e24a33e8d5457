"""Multiply-accumulates and parameters of operators and architectures, without torch.

The convention: a MAC is one multiply-accumulate of a convolution or linear layer; batch norm,
activations and pooling are not counted (PyTorch's flop counter ÷ 2). The field says "FLOPs" for
the same number; this package says MACs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from pipeline.space.architecture import Architecture
from pipeline.space.encoding import Floats, Rows, SlotTable, totals
from pipeline.space.operator_spec import OperatorSpec
from pipeline.space.search_space import SearchSpace


@dataclass(frozen=True)
class Cost:
    """What a network costs wherever it runs.

    Attributes:
        macs: Multiply-accumulates for one image.
        params: Learnable parameters.
    """

    macs: int
    params: int


@cache
def operator_macs(spec: OperatorSpec) -> int:
    """MACs of one operator for one image."""
    return sum(conv.macs for conv in _convolutions(spec))


@cache
def operator_params(spec: OperatorSpec) -> int:
    """Learnable parameters of one operator: weights, biases, batch norm's scale and shift."""
    return sum(conv.params for conv in _convolutions(spec))


def architecture_cost(architecture: Architecture) -> Cost:
    """MACs and parameters of a network."""
    specs = [placed.spec for placed in architecture.operators()]
    return Cost(sum(map(operator_macs, specs)), sum(map(operator_params, specs)))


def macs_batch(space: SearchSpace, rows: Rows, num_classes: int) -> Floats:
    """MACs of encoded networks; shape (n,)."""
    return totals(space, rows, num_classes, operator_macs)


def params_batch(space: SearchSpace, rows: Rows, num_classes: int) -> Floats:
    """Parameters of encoded networks; shape (n,)."""
    return totals(space, rows, num_classes, operator_params)


def macs_range(space: SearchSpace, resolution: int, num_classes: int = 1000) -> tuple[int, int]:
    """MACs of the smallest and of the largest network of a space."""
    table = SlotTable.of(space, resolution, num_classes, operator_macs)
    return int(table.extreme(largest=False)[0]), int(table.extreme(largest=True)[0])


@dataclass(frozen=True)
class _Convolution:
    """A convolution or linear layer inside an operator; `side` is its output's, in pixels."""

    in_channels: int
    out_channels: int
    side: int
    kernel: int = 1
    depthwise: bool = False
    has_bias: bool = False
    has_norm: bool = True

    @property
    def _weights(self) -> int:
        inputs = 1 if self.depthwise else self.in_channels
        return inputs * self.out_channels * self.kernel**2

    @property
    def macs(self) -> int:
        return self._weights * self.side**2

    @property
    def params(self) -> int:
        return self._weights + self.out_channels * (self.has_bias + 2 * self.has_norm)


def _convolutions(spec: OperatorSpec) -> list[_Convolution]:
    into, out, k = spec.in_channels, spec.out_channels, spec.kernel
    mid, side = spec.expanded_channels, spec.out_resolution
    if spec.kind == "cn":
        return [_Convolution(into, out, side, k)]
    if spec.kind == "ds":
        depthwise = _Convolution(into, into, side, k, depthwise=True)
        return [depthwise, *_squeeze_excite(spec), _Convolution(into, out, side)]
    if spec.kind == "ir":
        return [
            _Convolution(into, mid, spec.resolution),
            _Convolution(mid, mid, side, k, depthwise=True),
            *_squeeze_excite(spec),
            _Convolution(mid, out, side),
        ]
    if spec.kind == "res":
        return _bottleneck(spec)
    return [
        _Convolution(into, out, side),
        _Convolution(out, spec.features, 1, has_bias=True, has_norm=False),
        _Convolution(spec.features, spec.num_classes, 1, has_bias=True, has_norm=False),
    ]


def _squeeze_excite(spec: OperatorSpec) -> list[_Convolution]:
    if not spec.se_channels:
        return []
    mid, inner = spec.expanded_channels, spec.se_channels
    return [
        _Convolution(mid, inner, 1, has_bias=True, has_norm=False),
        _Convolution(inner, mid, 1, has_bias=True, has_norm=False),
    ]


def _bottleneck(spec: OperatorSpec) -> list[_Convolution]:
    width = spec.out_channels // 4
    layers = [
        _Convolution(spec.in_channels, width, spec.resolution),
        _Convolution(width, width, spec.out_resolution, spec.kernel),
        _Convolution(width, spec.out_channels, spec.out_resolution),
    ]
    if not spec.has_residual:
        layers.append(_Convolution(spec.in_channels, spec.out_channels, spec.out_resolution))
    return layers
