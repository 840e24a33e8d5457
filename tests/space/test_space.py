"""Search spaces: their sizes and shapes, and what counts as one architecture."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.errors import ArchitectureError, UnknownNameError
from pipeline.space.architecture import Architecture
from pipeline.space.architecture_file import parse_short
from pipeline.space.search_space import RESOLUTIONS, SKIP, check_resolution, get_space, space_names


def cream(stages, **changes):
    given_ = {"space": "cream", "resolution": 224, "stages": stages, **changes}
    return Architecture.model_validate(given_)


FIVE = (("mb4_3x3",),) * 5


def test_there_are_six_spaces():
    assert space_names() == (
        "cream",
        "cream-table1",
        "cream-table2",
        "cream-table2-released",
        "cream-table3",
        "cream-table3-released",
    )


def test_the_number_of_networks_is_exact():
    assert get_space("cream").count() == 550043705401318915942176
    assert get_space("cream-table1").count() == 550043705401318915942176
    assert get_space("cream-table2").count() == (7 + 7**2 + 7**3 + 7**4) ** 5
    assert get_space("cream-table3").count() == (10 + 10**2 + 10**3 + 10**4) ** 5


@pytest.mark.parametrize(("depth", "operators"), [(1, 2), (1, 3), (2, 1), (2, 2), (3, 1)])
def test_the_count_is_that_of_an_enumeration(depth, operators):
    space = get_space("cream").narrowed(
        max_depth=depth, operators=get_space("cream").operators[:operators]
    )
    stages = [
        stage
        for length in range(1, depth + 1)
        for stage in itertools.product(space.operators, repeat=length)
    ]
    everything = {cream(stages) for stages in itertools.product(stages, repeat=5)}
    assert len(everything) == space.count()


@pytest.mark.parametrize(
    ("name", "resolution", "sizes"),
    [
        ("cream", 224, [112, 112, 56, 28, 14, 14, 7]),
        ("cream", 64, [32, 32, 16, 8, 4, 4, 2]),
        ("cream", 32, [16, 16, 8, 4, 2, 2, 1]),
        ("cream-table1", 224, [112, 56, 28, 14, 14, 7, 7]),
        ("cream-table2", 224, [112, 56, 28, 14, 14, 7, 7]),
        ("cream-table3-released", 224, [112, 112, 56, 28, 14, 14, 7]),
    ],
)
def test_strides_are_as_printed_or_as_released(name, resolution, sizes):
    walk = Architecture(space=name, resolution=resolution, stages=(("mb4_3x3",),) * 5).operators()
    assert [placed.spec.out_resolution for placed in walk[:-1]] == sizes


def test_the_operators_of_the_tables_are_those_printed():
    mb = {f"mb{e}_{k}x{k}" for e in (4, 6) for k in (3, 5, 7)}
    assert set(get_space("cream").operators) == mb
    assert set(get_space("cream-table2").operators) == mb | {"res_3x3"}
    convolutions = {"conv_1x1", "conv_3x3", "conv_5x5"}
    assert set(get_space("cream-table3").operators) == mb | {"res_3x3"} | convolutions


def test_cream_has_63_distinct_operators():
    specs = get_space("cream").distinct_operators(224, 1000)
    assert len(specs) == len(set(specs)) == 63
    assert len({spec.key for spec in specs}) == 63


@given(st.data())
def test_a_walk_is_a_chain_of_known_operators(architectures, data):
    architecture = data.draw(architectures())
    walk = architecture.operators()
    space = get_space(architecture.space)
    assert walk[0].spec.in_channels == 3
    assert walk[0].spec.resolution == architecture.resolution
    for before, after in itertools.pairwise(walk):
        assert after.spec.in_channels == before.spec.out_channels
        assert after.spec.resolution == before.spec.out_resolution
    assert walk[-1].spec.num_classes == architecture.num_classes
    known = space.distinct_operators(architecture.resolution, architecture.num_classes)
    assert {placed.spec for placed in walk} <= set(known)


@given(st.data())
def test_places_and_choices_are_those_of_the_architecture(architectures, data):
    architecture = data.draw(architectures())
    walk = architecture.operators()
    chosen = {placed.place: placed.choice.name for placed in walk if placed.choice}
    assert chosen == {
        f"blocks.{number}.{slot}": name
        for number, stage in enumerate(architecture.stages, start=1)
        for slot, name in enumerate(stage)
    }
    assert len(walk) == architecture.depth + 3


@given(st.data())
def test_an_architecture_reads_back_from_json_and_from_its_short_form(architectures, data):
    architecture = data.draw(architectures())
    there = Architecture.model_validate_json(architecture.model_dump_json())
    assert there == architecture
    assert there.name == architecture.name
    assert parse_short(architecture.short) == architecture


@given(st.data())
def test_skips_are_depth_wherever_they_stand(architectures, data):
    architecture = data.draw(architectures())
    room = get_space(architecture.space).max_depth
    padded = []
    for stage in architecture.stages:
        blocks = list(stage)
        while len(blocks) < room:
            blocks.insert(data.draw(st.integers(0, len(blocks))), SKIP)
        padded.append(blocks)
    same = Architecture.model_validate({**architecture.model_dump(), "stages": padded})
    assert same == architecture
    assert hash(same) == hash(architecture)
    assert same.stages == architecture.stages


def test_a_name_is_a_label_only():
    one, other = cream(FIVE, name="mine"), cream(FIVE)
    assert one == other
    assert hash(one) == hash(other)
    assert one.short == other.short
    assert (one.label, other.label) == ("mine", other.short)


def test_what_makes_a_network_makes_it_different():
    all_different = [
        cream(FIVE),
        cream(FIVE, resolution=192),
        cream(FIVE, num_classes=10),
        cream(FIVE, space="cream-table1"),
        cream((("mb4_3x3", "mb4_3x3"), *FIVE[1:])),
        cream((("mb6_3x3",), *FIVE[1:])),
    ]
    assert len(set(all_different)) == len(all_different)
    assert cream(FIVE) != "cream"


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"space": "cram"}, UnknownNameError, "unknown search space 'cram'"),
        ({"resolution": 100}, ArchitectureError, "resolution 100 is not one of 32, 64"),
        ({"resolution": 0}, ArchitectureError, "resolution 0"),
        ({"stages": FIVE[:4]}, ArchitectureError, "has 5 stages, the architecture 4"),
        ({"stages": ()}, ArchitectureError, "has 5 stages, the architecture 0"),
        (
            {"stages": (*FIVE[:4], ("mb4_3x3",) * 7)},
            ArchitectureError,
            "stage 5 has 7 blocks; space cream allows 1 to 6",
        ),
        ({"stages": (*FIVE[:4], ())}, ArchitectureError, "stage 5 has 0 blocks"),
        ({"stages": (*FIVE[:4], (SKIP,))}, ArchitectureError, "stage 5 has 0 blocks"),
        ({"stages": (*FIVE[:4], ("res_3x3",))}, UnknownNameError, "'res_3x3'"),
        ({"num_classes": 0}, ValidationError, "num_classes"),
        ({"resolution": "big"}, ValidationError, "resolution"),
        ({"classes": 10}, ValidationError, "classes"),
    ],
)
def test_an_architecture_outside_its_space_is_refused(changes, error, words):
    with pytest.raises(error) as caught:
        cream(**{"stages": FIVE, **changes})
    assert words in str(caught.value)


def test_too_deep_for_table_2_is_fine_for_table_1():
    stages = (("mb4_3x3",) * 5, *FIVE[1:])
    assert Architecture(space="cream-table1", resolution=224, stages=stages).depth == 9
    with pytest.raises(ArchitectureError, match="allows 1 to 4"):
        Architecture(space="cream-table2", resolution=224, stages=stages)


def test_resolutions_are_32_to_256_in_steps_of_32():
    assert RESOLUTIONS == (32, 64, 96, 128, 160, 192, 224, 256)
    for resolution in RESOLUTIONS:
        check_resolution(resolution)
    with pytest.raises(ArchitectureError):
        check_resolution(288)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"max_depth": 0}, ArchitectureError, "max_depth 0 is not within 1 to 6"),
        ({"max_depth": 7}, ArchitectureError, "max_depth 7 is not within 1 to 6"),
        ({"operators": ["res_3x3"]}, UnknownNameError, "unknown operator of space cream"),
        ({"operators": []}, ArchitectureError, "at least one"),
        ({"operators": ["mb4_3x3", "mb4_3x3"]}, ArchitectureError, "distinct"),
    ],
)
def test_a_space_only_narrows(changes, error, words):
    with pytest.raises(error) as caught:
        get_space("cream").narrowed(**changes)
    assert words in caught.value.message


def test_a_narrowed_space_keeps_what_is_not_narrowed():
    space = get_space("cream")
    narrowed = space.narrowed(max_depth=2)
    assert narrowed.operators == space.operators
    assert narrowed.max_depth == 2
    assert narrowed.name == space.name
    assert space.narrowed() == space
