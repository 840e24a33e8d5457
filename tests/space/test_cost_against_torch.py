"""Costs computed from `OperatorSpec` alone against what real modules cost.

Modules are built on torch's `meta` device: shapes and parameters are real, nothing is computed.
"""

from __future__ import annotations

import pytest
import thop
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.layers import BatchNormAct2d
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pipeline.network.network import Network
from pipeline.network.operators import build_operator
from pipeline.space.architecture import Architecture
from pipeline.space.architecture_file import published
from pipeline.space.cost import architecture_cost, operator_macs, operator_params
from pipeline.space.operator_spec import KINDS
from pipeline.space.search_space import RESOLUTIONS, get_space, space_names


@st.composite
def architectures(draw: st.DrawFn) -> Architecture:
    space = get_space(draw(st.sampled_from(space_names())))
    stage = st.lists(st.sampled_from(space.operators), min_size=1, max_size=space.max_depth)
    return Architecture(
        space=space.name,
        resolution=draw(st.sampled_from(RESOLUTIONS)),
        num_classes=draw(st.integers(1, 1000)),
        stages=tuple(tuple(draw(stage)) for _ in space.stages),
    )


def network_of(architecture: Architecture) -> nn.Module:
    with torch.device("meta"):
        return Network(architecture).eval()


def image(resolution: int, channels: int = 3) -> torch.Tensor:
    return torch.empty(1, channels, resolution, resolution, device="meta")


def counted_macs(module: nn.Module, x: torch.Tensor) -> float:
    with FlopCounterMode(display=False) as counter:
        module(x)
    return counter.get_total_flops() / 2


def counted_params(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def macs_by_thop(module: nn.Module, x: torch.Tensor) -> float:
    """thop's count with its terms for anything but convolutions and linear layers set to nothing.

    thop adds 4 operations an element for batch norm, and some for pooling. It finds its rule by a
    module's exact class, so it has none for timm's batch norm with activation; naming both classes
    here keeps the comparison what it is should that change.
    """

    def nothing(module: nn.Module, inputs: object, output: object) -> None:
        module.total_ops += 0

    set_aside = dict.fromkeys((nn.BatchNorm2d, BatchNormAct2d, nn.AdaptiveAvgPool2d), nothing)
    macs, _ = thop.profile(module, inputs=(x,), custom_ops=set_aside, verbose=False)
    return macs


def test_every_operator_costs_what_its_module_costs() -> None:
    """Of all spaces together: most operators are of several."""
    specs = {s for name in space_names() for s in get_space(name).distinct_operators(64, 10)}
    assert {spec.kind for spec in specs} == set(KINDS)
    for spec in specs:
        with torch.device("meta"):
            module = build_operator(spec).eval()
        x = image(spec.resolution, spec.in_channels)
        assert operator_macs(spec) == counted_macs(module, x), spec.key
        assert operator_params(spec) == counted_params(module), spec.key


@settings(max_examples=4)
@given(architectures())
def test_a_network_costs_what_its_module_costs(architecture: Architecture) -> None:
    network = network_of(architecture)
    cost = architecture_cost(architecture)
    assert cost.macs == counted_macs(network, image(architecture.resolution))
    assert cost.params == counted_params(network)


@settings(max_examples=2)
@given(architectures())
def test_thop_agrees_once_batch_norm_is_set_aside(architecture: Architecture) -> None:
    found = macs_by_thop(network_of(architecture), image(architecture.resolution))
    assert found == architecture_cost(architecture).macs


def test_what_thop_adds_by_default_is_batch_norm_and_pooling() -> None:
    """The residual bottleneck has plain batch norm, so there thop's terms do show."""
    architecture = Architecture(
        space="cream-table2", resolution=64, num_classes=10, stages=(("res_3x3",),) * 5
    )
    network = network_of(architecture)
    norm_elements = []
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.register_forward_hook(lambda _, args, __: norm_elements.append(args[0].numel()))
    counted, _ = thop.profile(network, inputs=(image(64),), verbose=False)
    pooling = 320 * (2 * 2 + 1)  # 2 × 2 elements summed and one division, for 320 channels
    expected = architecture_cost(architecture).macs + 4 * sum(norm_elements) + pooling
    assert norm_elements
    assert counted == expected


@pytest.mark.parametrize("name", ["cream-14", "cream-604"])
def test_published_models_cost_what_their_modules_cost(name: str) -> None:
    architecture = published(name)
    macs = architecture_cost(architecture).macs
    assert macs == counted_macs(network_of(architecture), image(architecture.resolution))
