"""Differences of networks in words: each is told, and told once."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pipeline.comparing.architectures import architecture_differences
from pipeline.space.architecture import Architecture


def network(*stages: str, resolution: int = 32, num_classes: int = 10) -> Architecture:
    """Stages as `mb4_3x3,mb6_5x5`; those left out are `mb4_3x3`."""
    given_stages = tuple(tuple(stage.split(",")) for stage in stages)
    rest = (("mb4_3x3",),) * (5 - len(stages))
    return Architecture(
        space="cream", resolution=resolution, num_classes=num_classes, stages=given_stages + rest
    )


PLAIN = network("mb4_3x3", "mb6_5x5,mb6_3x3")


@pytest.mark.parametrize(
    ("second", "told"),
    [
        (network("mb4_3x3", "mb6_5x5,mb6_3x3,mb6_5x5"), "stage 2: one more block MB6 5×5"),
        (network("mb4_3x3", "mb6_3x3"), "stage 2: one fewer block MB6 5×5"),
        (network("mb4_3x3", "mb6_5x5,mb4_7x7"), "stage 2: block 2 MB6 3×3 → MB4 7×7"),
        (
            network("mb4_3x3,mb4_3x3,mb4_3x3", "mb6_5x5,mb6_3x3"),
            "stage 1: 2 more blocks MB4 3×3",
        ),
        (
            network("mb4_3x3", "mb4_7x7,mb6_3x3,mb6_5x5"),
            "stage 2: block 1 MB6 5×5 → MB4 7×7, one more block MB6 5×5",
        ),
        (network("mb4_3x3", "mb6_5x5,mb6_3x3", resolution=64), "input side 32 → 64"),
        (network("mb4_3x3", "mb6_5x5,mb6_3x3", num_classes=100), "classes 10 → 100"),
    ],
)
def test_a_difference_is_told_in_the_notation_of_the_paper(second: Architecture, told: str) -> None:
    assert architecture_differences(PLAIN, second) == (told,)


def test_each_stage_that_differs_is_told() -> None:
    second = network("mb6_7x7", "mb6_5x5,mb6_3x3", "mb4_3x3,mb4_5x5")
    assert architecture_differences(PLAIN, second) == (
        "stage 1: block 1 MB4 3×3 → MB6 7×7",
        "stage 3: one more block MB4 5×5",
    )


@settings(max_examples=30)
@given(data=st.data())
def test_nothing_is_told_of_one_network_and_something_of_two(
    data: st.DataObject, architectures: Callable[..., SearchStrategy[Architecture]]
) -> None:
    first, second = (data.draw(architectures()) for _ in range(2))
    assert architecture_differences(first, first) == ()
    assert bool(architecture_differences(first, second)) == (first != second)
