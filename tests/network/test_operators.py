from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from pipeline.network.operators import build_operator, imitate_training, initialise, seeded
from pipeline.space.operator_spec import OperatorSpec, parse_key

KEYS = [
    "cn_k3_s2_i3_o16_r32",
    "cn_k1_s2_i16_o24_r9",
    "cn_k5_s1_i24_o24_r8",
    "ds_k3_s1_i16_o16_r16_se0.25",
    "ds_k3_s2_i16_o16_r16_se0.25",
    "ir_k3_s2_e4_i16_o24_r16_se0.25",
    "ir_k5_s1_e6_i24_o24_r7_se0.25",
    "ir_k7_s1_e4_i40_o40_r1_se0.25",
    "res_k3_s2_i16_o24_r15",
    "res_k3_s1_i24_o24_r8",
]
RESIDUAL = [key for key in KEYS if parse_key(key).has_residual]


def built(key: str) -> tuple[OperatorSpec, nn.Module]:
    spec = parse_key(key)
    with seeded(0):
        module = build_operator(spec)
        initialise(module)
    return spec, module.eval()


@pytest.mark.parametrize("key", KEYS)
def test_output_has_the_shape_the_spec_says(key: str) -> None:
    spec, module = built(key)
    y = module(torch.randn(2, spec.in_channels, spec.resolution, spec.resolution))
    assert y.shape == (2, spec.out_channels, spec.out_resolution, spec.out_resolution)


def test_the_tail_gives_logits() -> None:
    spec, module = built("tail_k1_s1_i192_o320_r2_f1280_c7")
    assert module(torch.randn(3, spec.in_channels, 2, 2)).shape == (3, 7)


@pytest.mark.parametrize("key", RESIDUAL)
def test_a_residual_operator_begins_as_the_identity(key: str) -> None:
    spec, module = built(key)
    # Positive, so that the ReLU after the bottleneck's sum changes nothing.
    x = torch.rand(2, spec.in_channels, spec.resolution, spec.resolution)
    assert torch.equal(module(x), x)


@pytest.mark.parametrize("key", sorted(set(KEYS) - set(RESIDUAL)))
def test_an_operator_without_residual_whose_output_is_silent_gives_nothing(key: str) -> None:
    spec, module = built(key)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.zeros_(part.weight)
    y = module(torch.randn(2, spec.in_channels, spec.resolution, spec.resolution))
    assert torch.count_nonzero(y) == 0


def test_squeeze_and_excitation_is_the_released_codes() -> None:
    spec, module = built("ir_k5_s1_e6_i24_o24_r7_se0.25")
    se = module.se
    assert isinstance(se.gate, nn.Hardsigmoid)
    assert isinstance(se.act1, nn.ReLU)
    assert se.conv_reduce.out_channels == spec.se_channels == 40  # 36 to a multiple of 8
    x = torch.randn(2, 144, 7, 7)
    pooled = x.mean((2, 3), keepdim=True)
    gate = nn.functional.hardsigmoid(se.conv_expand(se.conv_reduce(pooled).relu()))
    assert torch.allclose(se(x), x * gate)


def test_the_bottleneck_is_a_quarter_wide_and_strides_on_its_3x3() -> None:
    _, module = built("res_k3_s2_i16_o24_r15")
    assert [module.conv1.out_channels, module.conv2.out_channels] == [6, 6]
    strides = [conv.stride for conv in (module.conv1, module.conv2, module.conv3)]
    assert strides == [(1, 1), (2, 2), (1, 1)]
    assert all(part.bias is None for part in module.modules() if isinstance(part, nn.Conv2d))


@pytest.mark.parametrize("key", KEYS)
def test_activations_are_swish_but_for_the_bottlenecks_relu(key: str) -> None:
    spec, module = built(key)
    inside_se = {id(part) for name, part in module.named_modules() if "se." in name}
    kinds = {
        type(part)
        for part in module.modules()
        if isinstance(part, nn.SiLU | nn.ReLU) and id(part) not in inside_se
    }
    assert kinds == {nn.ReLU if spec.kind == "res" else nn.SiLU}


def test_initialisation_is_efficientnets() -> None:
    spec, module = built("ir_k5_s1_e6_i192_o192_r7_se0.25")
    fan_out = {"conv_pw": spec.expanded_channels, "conv_dw": 25, "conv_pwl": 192}
    for name, fan in fan_out.items():
        weight = module.get_submodule(name).weight
        assert weight.std().item() == pytest.approx(math.sqrt(2 / fan), rel=0.05), name
        assert weight.mean().item() == pytest.approx(0, abs=0.1 * math.sqrt(2 / fan)), name
    assert torch.equal(module.bn1.weight, torch.ones(spec.expanded_channels))
    assert torch.count_nonzero(module.bn3.weight) == 0
    assert torch.count_nonzero(module.se.conv_reduce.bias) == 0


@pytest.mark.parametrize("key", sorted(set(KEYS) - set(RESIDUAL)))
def test_what_is_no_residual_begins_with_full_scales(key: str) -> None:
    spec, module = built(key)
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    # A bottleneck with a projection is a sum as well.
    zero = {id(module.bn3)} if spec.kind == "res" else set()
    assert all(norm.weight.eq(0 if id(norm) in zero else 1).all() for norm in norms)


def test_seeding_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    first, second = (built(KEYS[0])[1].conv.weight for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("key", ["ir_k5_s1_e6_i24_o24_r7_se0.25", *RESIDUAL])
def test_imitating_training_leaves_nothing_that_an_exporter_drops(key: str) -> None:
    _, module = built(key)
    imitate_training(module)
    for name, tensor in module.state_dict().items():
        if name.endswith(("weight", "bias", "running_mean", "running_var")):
            assert torch.count_nonzero(tensor) == tensor.numel(), name
    assert 0.5 <= module.bn1.running_var.min() <= module.bn1.running_var.max() <= 1.5
