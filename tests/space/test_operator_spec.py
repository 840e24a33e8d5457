"""Operators: names and keys that read back, and shapes that follow from them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UnknownNameError, UsageError
from pipeline.space.operator_spec import (
    KINDS,
    Choice,
    OperatorSpec,
    parse_choice,
    parse_key,
    round_channels,
)
from pipeline.space.search_space import get_space, space_names

CHANNELS = st.integers(1, 2048)
SPECS = st.builds(
    OperatorSpec,
    kind=st.sampled_from(KINDS),
    kernel=st.sampled_from([1, 3, 5, 7]),
    stride=st.sampled_from([1, 2]),
    in_channels=CHANNELS,
    out_channels=CHANNELS,
    resolution=st.integers(1, 256),
    expansion=st.integers(1, 9),
    se_ratio=st.sampled_from([0.0, 0.0625, 0.25, 0.5]),
)
TAILS = st.builds(
    OperatorSpec,
    kind=st.just("tail"),
    kernel=st.just(1),
    stride=st.just(1),
    in_channels=CHANNELS,
    out_channels=CHANNELS,
    resolution=st.integers(1, 8),
    features=CHANNELS,
    num_classes=CHANNELS,
)


@given(SPECS | TAILS)
def test_a_key_reads_back(spec):
    assert parse_key(spec.key) == spec


@given(SPECS | TAILS, SPECS | TAILS)
def test_different_operators_have_different_keys(one, other):
    assert (one.key == other.key) == (one == other)


def test_keys_are_readable():
    block = get_space("cream").block(1, 0, "mb6_5x5", 224)
    assert block.key == "ir_k5_s2_e6_i24_o40_r56_se0.25"
    tail = get_space("cream").tail_spec(224, 1000)
    assert tail.key == "tail_k1_s1_i192_o320_r7_f1280_c1000"


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("", "unknown kind ''"),
        ("mb_k3_s1_i8_o8_r8", "unknown kind 'mb'"),
        ("ir_k3_s1_i8_o8", "a token is missing"),
        ("ir_k3_s1_i8_o8_r8_r9", "'r9' stands twice"),
        ("ir_k3_s1_i8_o8_r8_q1", "unknown token 'q1'"),
        ("ir_k3_s1_i8_o8_r8_", "unknown token ''"),
        ("ir_k3.5_s1_i8_o8_r8", "'k3.5' is no number"),
        ("ir_k3_s1_i8_o8_r8_se0..2", "'se0..2' is no number"),
        ("ir_s1_k3_i8_o8_r8", "normal form 'ir_k3_s1_i8_o8_r8'"),
        ("ir_k3_s1_e1_i8_o8_r8", "normal form"),
        ("ir_k03_s1_i8_o8_r8", "normal form"),
        ("ir_k3_s1_i8_o8_r8_f9_c9", "normal form"),
    ],
)
def test_a_wrong_key_is_refused(key, words):
    with pytest.raises(UsageError) as caught:
        parse_key(key)
    assert words in caught.value.message


@pytest.mark.parametrize("space", space_names())
def test_the_names_of_a_space_read_back(space):
    for name in get_space(space).operators:
        assert parse_choice(name).name == name


@pytest.mark.parametrize(
    ("name", "choice", "label"),
    [
        ("mb4_3x3", Choice("ir", 3, 4), "MB4 3×3"),
        ("mb6_7x7", Choice("ir", 7, 6), "MB6 7×7"),
        ("res_3x3", Choice("res", 3), "Res 3×3"),
        ("conv_1x1", Choice("cn", 1), "Conv 1×1"),
    ],
)
def test_people_see_the_notation_of_the_paper(name, choice, label):
    assert parse_choice(name) == choice
    assert choice.label == label


@pytest.mark.parametrize(
    "name",
    ["", "skip", "mb4", "mb4_3x5", "mb4_4x4", "mb0_3x3", "MB4_3x3", "mb4 3x3", "res_5x5",
     "conv_2x2", "conv_11x11", "mb4_3x3 "],
)  # fmt: skip
def test_an_unknown_operator_is_refused(name):
    with pytest.raises(UnknownNameError, match=r"unknown operator"):
        parse_choice(name)


@given(st.floats(1, 4096))
def test_rounded_channels_are_multiples_of_8_and_lose_a_tenth_at_most(channels):
    rounded = round_channels(channels)
    assert rounded % 8 == 0
    assert rounded >= 8
    assert 0.9 * channels <= rounded <= max(8, channels + 8)


def test_squeeze_and_excitation_has_a_quarter_of_the_expanded_channels():
    block = get_space("cream").block(1, 0, "mb6_5x5", 224)
    assert (block.expanded_channels, block.se_channels) == (144, 40)
    assert get_space("cream-table3").block(1, 0, "conv_3x3", 224).se_channels == 0


@pytest.mark.parametrize(
    ("name", "slot", "residual"),
    [("mb4_3x3", 0, False), ("mb4_3x3", 1, True), ("res_3x3", 0, False), ("res_3x3", 1, True),
     ("conv_3x3", 1, False)],
)  # fmt: skip
def test_the_input_is_added_where_the_shape_stays(name, slot, residual):
    assert get_space("cream-table3").block(2, slot, name, 224).has_residual is residual


def test_odd_sizes_round_up_when_halved():
    spec = OperatorSpec("cn", 3, 2, 8, 8, 7)
    assert spec.out_resolution == 4
