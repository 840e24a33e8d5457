"""Networks off the shelf: named, counted, and begun as ours are."""

import pytest
import torch
from torch import nn

from pipeline.errors import UnknownNameError
from pipeline.network.operators import last_norms_of_residuals
from pipeline.network.timm_networks import TimmNetwork, build_timm, check_timm_name, count_timm

# Millions of multiply-accumulates at 224 pixels and of parameters, as timm's tables have them.
PUBLISHED = {
    "mobilenetv3_small_100": (0.06, 2.54),
    "mobilenetv3_large_100": (0.22, 5.48),
    "efficientnet_lite0": (0.40, 4.65),
    "mobilenetv4_conv_small": (0.19, 3.77),
    "lcnet_100": (0.16, 2.95),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_costs_are_the_published_ones(name: str) -> None:
    macs, params = count_timm(TimmNetwork(name, 224, 1000))
    assert macs / 1e9 == pytest.approx(PUBLISHED[name][0], abs=0.016)
    assert params / 1e6 == pytest.approx(PUBLISHED[name][1], abs=0.006)


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "mobilenetv4_conv_small", "resnet10t"])
def test_residual_blocks_begin_as_the_identity(name: str) -> None:
    network = build_timm(TimmNetwork(name, 32, 4), seed=0)
    norms = last_norms_of_residuals(network)
    assert norms
    assert all(not norm.weight.any() for norm in norms)
    others = [it for it in network.modules() if isinstance(it, nn.BatchNorm2d) and it not in norms]
    assert all(it.weight.all() for it in others)
    x = torch.randn(2, 3, 32, 32)
    assert network(x).shape == (2, 4)


def test_the_same_seed_gives_the_same_network() -> None:
    first, again, other = (
        build_timm(TimmNetwork("lcnet_035", 32, 4), seed=seed).state_dict() for seed in (1, 1, 2)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown control 'mobilenet_v3_small'") as caught:
        check_timm_name("mobilenet_v3_small", "control")
    assert "mobilenet" in (caught.value.hint or "")
