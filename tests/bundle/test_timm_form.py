"""timm builds the same network of the block strings, and takes the weights strictly."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from timm.models._efficientnet_blocks import SqueezeExcite
from timm.models._efficientnet_builder import decode_arch_def, round_channels
from timm.models.mobilenetv3 import MobileNetV3
from torch import nn

from pipeline.bundle.card import TimmForm
from pipeline.bundle.timm_form import timm_form, write_timm_weights
from pipeline.network.network import Network, build_network
from pipeline.network.operators import imitate_training, seeded
from pipeline.network.weights import read_weights
from pipeline.space.architecture import Architecture
from pipeline.space.architecture_file import published
from pipeline.space.search_space import get_space

SPACES = ("cream", "cream-table1")


def network_of(architecture: Architecture) -> Network:
    """With biases and batch-norm statistics that are not those of initialisation."""
    network = build_network(architecture, seed=1)
    with seeded(2):
        imitate_training(network)
    return network.eval()


def timm_network(form: TimmForm) -> nn.Module:
    return MobileNetV3(
        decode_arch_def([list(stage) for stage in form.arch_def]),
        num_classes=form.num_classes,
        stem_size=form.stem_size,
        num_features=form.num_features,
        act_layer=nn.SiLU,
        se_layer=partial(
            SqueezeExcite,
            gate_layer=nn.Hardsigmoid,
            force_act_layer=nn.ReLU,
            rd_round_fn=round_channels,
        ),
    )


def check(architecture: Architecture, folder: Path) -> None:
    network = network_of(architecture)
    form = timm_form(architecture)
    assert isinstance(form, TimmForm)
    write_timm_weights(network, form, folder)
    weights, metadata = read_weights(folder / form.file)
    assert json.loads(metadata["arch_def"]) == [list(stage) for stage in form.arch_def]
    assert Architecture.model_validate_json(metadata["architecture"]) == architecture
    theirs = timm_network(form)
    theirs.load_state_dict(weights, strict=True)
    side = architecture.resolution
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        torch.testing.assert_close(theirs.eval()(images), network(images), rtol=0, atol=1e-5)


@st.composite
def architectures(draw: st.DrawFn) -> Architecture:
    space = get_space(draw(st.sampled_from(SPACES)))
    stage = st.lists(st.sampled_from(space.operators), min_size=1, max_size=3).map(tuple)
    stages = tuple(draw(stage) for _ in space.stages)
    resolution, classes = draw(st.sampled_from([32, 64])), draw(st.integers(1, 40))
    return Architecture(space=space.name, resolution=resolution, num_classes=classes, stages=stages)


@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(architecture=architectures())
def test_timm_computes_the_same_of_random_networks(
    architecture: Architecture, tmp_path: Path
) -> None:
    check(architecture, tmp_path)


@pytest.mark.parametrize("name", ["cream-14", "cream-43", "cream-114"])
def test_timm_computes_the_same_of_published_models(name: str, tmp_path: Path) -> None:
    check(published(name, resolution=32, num_classes=10), tmp_path)


def test_plain_convolutions_have_a_word_too(tmp_path: Path) -> None:
    stages = (("conv_3x3", "mb4_3x3"), ("conv_1x1",), ("mb6_5x5", "conv_5x5"), ("mb4_3x3",) * 2)
    architecture = Architecture(
        space="cream-table3", resolution=32, num_classes=5, stages=(*stages, ("conv_3x3",))
    )
    check(architecture, tmp_path)


def test_the_block_strings_are_those_of_the_grammar() -> None:
    stages = (("mb4_3x3",), ("mb6_5x5", "mb4_7x7"), ("mb4_3x3",), ("mb4_3x3",), ("mb6_3x3",))
    form = timm_form(Architecture(space="cream", resolution=32, num_classes=9, stages=stages))
    assert isinstance(form, TimmForm)
    assert form.arch_def == (
        ("ds_r1_k3_s1_c16_se0.25",),
        ("ir_r1_k3_s2_e4_c24_se0.25",),
        ("ir_r1_k5_s2_e6_c40_se0.25", "ir_r1_k7_s1_e4_c40_se0.25"),
        ("ir_r1_k3_s2_e4_c80_se0.25",),
        ("ir_r1_k3_s1_e4_c96_se0.25",),
        ("ir_r1_k3_s2_e6_c192_se0.25",),
        ("cn_r1_k1_s1_c320",),
    )
    assert (form.stem_size, form.num_features, form.num_classes) == (16, 1280, 9)


def test_a_residual_bottleneck_has_none_and_it_is_said_where() -> None:
    stages = (("mb4_3x3",), ("mb6_5x5", "res_3x3"), ("mb4_3x3",), ("res_3x3",), ("mb6_3x3",))
    why = timm_form(Architecture(space="cream-table2", resolution=32, stages=stages))
    assert isinstance(why, str)
    assert "blocks.2.1, blocks.4.0" in why
    assert "decode_arch_def" in why
