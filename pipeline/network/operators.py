"""Operators as torch modules: the one registry from `OperatorSpec` to code.

The blocks are timm's, with the details of the released Cream code: swish, squeeze-and-excitation
with ReLU inside and a hard-sigmoid gate, symmetric padding. Parameter names are therefore those of
the released checkpoints. A new operator is one entry in `_BUILDERS` and a line of search-space
data.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from timm.models._efficientnet_blocks import (
    ConvBnAct,
    DepthwiseSeparableConv,
    EdgeResidual,
    InvertedResidual,
    SqueezeExcite,
    UniversalInvertedResidual,
)
from timm.models._efficientnet_builder import _init_weight_goog
from timm.models.resnet import BasicBlock, Bottleneck
from torch import Tensor, nn

from pipeline.space.operator_spec import Kind, OperatorSpec

_LAST_NORMS: dict[type[nn.Module], str] = {
    BasicBlock: "bn2",
    Bottleneck: "bn3",
    DepthwiseSeparableConv: "bn2",
    EdgeResidual: "bn2",
    InvertedResidual: "bn3",
    UniversalInvertedResidual: "pw_proj.bn",
}
"""Of each block that may add what it was given, the batch norm before it does."""


class Tail(nn.Sequential):
    """Last 1×1 convolution, global average pooling and classifier: features to logits.

    The 1×1 convolution to the hidden width runs on the pooled vector, with bias and without batch
    norm (supplement of Cream of the Crop, Table 1). Its parts are modules, so that every node of
    an exported model has a place.
    """

    def __init__(self, spec: OperatorSpec) -> None:
        super().__init__(
            OrderedDict(
                conv=_convolution(spec),
                global_pool=nn.AdaptiveAvgPool2d(1),
                conv_head=nn.Conv2d(spec.out_channels, spec.features, 1),
                act2=nn.SiLU(inplace=True),
                flatten=nn.Flatten(),
                classifier=nn.Linear(spec.features, spec.num_classes),
            )
        )


def build_operator(spec: OperatorSpec) -> nn.Module:
    """Builds one operator with torch's default initialisation; see `initialise`.

    Args:
        spec: Any kind, stem (`cn`) and tail included.

    Returns:
        A module that maps (n, in_channels, r, r) to (n, out_channels, r', r'), or to logits
        (n, num_classes) for the tail.
    """
    return _BUILDERS[spec.kind](spec)


def initialise(module: nn.Module) -> None:
    """Draws all weights anew by EfficientNet's scheme: fan-out normal for convolutions.

    Every residual block begins as the identity: the scale of its last batch norm is zero (Goyal et
    al., 2017, "Accurate, Large Minibatch SGD", section 5.1). Torch's global random generator
    decides the rest; see `seeded`.
    """
    for name, part in module.named_modules():
        if _has_weights(part):
            _init_weight_goog(part, name)
    for norm in last_norms_of_residuals(module):
        nn.init.zeros_(norm.weight)


def last_norms_of_residuals(module: nn.Module) -> list[Any]:
    """The batch norms that scale the output of each residual branch before it is added.

    Those whose scales are parts of another module's (`pipeline.network.entangled`) are left out.
    """
    found = (
        block.get_submodule(_LAST_NORMS[type(block)])
        for block in module.modules()
        # Of ResNets' blocks each has a shortcut.
        if type(block) in _LAST_NORMS and getattr(block, "has_skip", True)
    )
    return list(filter(_has_weights, found))


def _has_weights(module: nn.Module) -> bool:
    return isinstance(getattr(module, "weight", None), Tensor)


def imitate_training(module: nn.Module) -> None:
    """Moves biases, batch-norm statistics and zero scales off what they are before training.

    An exporter drops biases that are zero, and a block whose scale is zero computes nothing.
    Networks with random weights that stand in for trained ones in measurements need the graph that
    trained ones have.
    """
    with torch.no_grad():
        for norm in last_norms_of_residuals(module):
            nn.init.ones_(norm.weight)
        for part in module.modules():
            bias = getattr(part, "bias", None)
            if isinstance(bias, Tensor):
                bias.normal_(0, 0.1)
            if isinstance(part, nn.BatchNorm2d) and part.running_var is not None:
                part.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
                part.running_var.uniform_(0.5, 1.5)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seeds torch's global random generator inside the block and puts it back after."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _convolution(spec: OperatorSpec) -> nn.Module:
    return ConvBnAct(
        spec.in_channels,
        spec.out_channels,
        spec.kernel,
        stride=spec.stride,
        act_layer=nn.SiLU,
    )


def _depthwise_separable(spec: OperatorSpec) -> nn.Module:
    return DepthwiseSeparableConv(
        spec.in_channels,
        spec.out_channels,
        dw_kernel_size=spec.kernel,
        stride=spec.stride,
        act_layer=nn.SiLU,
        se_layer=_squeeze_excite(spec),
    )


def _inverted_residual(spec: OperatorSpec) -> nn.Module:
    return InvertedResidual(
        spec.in_channels,
        spec.out_channels,
        dw_kernel_size=spec.kernel,
        stride=spec.stride,
        exp_ratio=spec.expansion,
        act_layer=nn.SiLU,
        se_layer=_squeeze_excite(spec),
    )


def _squeeze_excite(spec: OperatorSpec) -> Any:
    """What the blocks call to make theirs: timm annotates a class where it only calls."""
    if not spec.se_channels:
        return None
    # The block passes its own activation; only `force_act_layer` overrides it.
    return partial(
        SqueezeExcite,
        rd_channels=spec.se_channels,
        force_act_layer=nn.ReLU,
        gate_layer=nn.Hardsigmoid,
    )


def _residual_bottleneck(spec: OperatorSpec) -> nn.Module:
    """He et al. (2016), Figure 5, with the stride on the 3×3 convolution."""
    projection = None
    if not spec.has_residual:
        projection = nn.Sequential(
            nn.Conv2d(spec.in_channels, spec.out_channels, 1, stride=spec.stride, bias=False),
            nn.BatchNorm2d(spec.out_channels),
        )
    return Bottleneck(
        spec.in_channels,
        spec.out_channels // Bottleneck.expansion,
        stride=spec.stride,
        downsample=projection,
    )


_BUILDERS: dict[Kind, Callable[[OperatorSpec], nn.Module]] = {
    "cn": _convolution,
    "ds": _depthwise_separable,
    "ir": _inverted_residual,
    "res": _residual_bottleneck,
    "tail": Tail,
}
