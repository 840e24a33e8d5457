"""Held-out images: a partition, stratified, a matter of the seed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.images.splits import Splitting, held_out_size, hold_out


@st.composite
def labels_and_size(draw: st.DrawFn) -> tuple[list[int], int]:
    labels = draw(st.lists(st.integers(0, 4), min_size=2, max_size=200))
    return labels, draw(st.integers(1, len(labels) - 1))


@settings(max_examples=50)
@given(labels_and_size(), st.integers(0, 1000))
def test_every_image_is_kept_or_held_out_and_every_class_gives_its_share(
    given_: tuple[list[int], int], seed: int
):
    labels, size = given_
    kept, held = hold_out(labels, size, seed=seed)
    assert len(held) == size
    assert sorted([*kept, *held]) == list(range(len(labels)))
    for label in set(labels):
        share = size * labels.count(label) / len(labels)
        assert abs(np.count_nonzero(np.array(labels)[held] == label) - share) <= 2


@settings(max_examples=50)
@given(labels_and_size(), st.integers(0, 1000))
def test_every_class_is_held_out_on_request(given_: tuple[list[int], int], seed: int):
    labels, size = given_
    classes = set(labels)
    if len(classes) == len(labels):
        with pytest.raises(DataError):
            hold_out(labels, size, seed=seed, every_class=True)
        return
    kept, held = hold_out(labels, size, seed=seed, every_class=True)
    assert len(held) == max(size, len(classes))
    assert sorted([*kept, *held]) == list(range(len(labels)))
    assert set(np.array(labels)[held]) == classes
    plain = hold_out(labels, size, seed=seed)[1]
    if set(np.array(labels)[plain]) == classes and len(plain) == len(held):
        assert np.array_equal(plain, held)


def test_the_seed_decides():
    labels = [0, 1] * 50
    assert np.array_equal(hold_out(labels, 20, seed=1)[1], hold_out(labels, 20, seed=1)[1])
    assert set(hold_out(labels, 20, seed=1)[1]) != set(hold_out(labels, 20, seed=2)[1])


def test_a_first_part_is_a_fair_sample():
    labels = np.repeat(np.arange(10), 600)
    for part in hold_out(labels, 1000, seed=0):
        counts = np.bincount(labels[part[:500]], minlength=10)
        assert counts.min() > 25


@pytest.mark.parametrize(
    ("images", "size"), [(60_000, 5000), (1437, 143), (1_281_167, 5000), (9, 0)]
)
def test_a_tenth_and_at_most_five_thousand(images: int, size: int):
    assert held_out_size(images) == size


@settings(max_examples=50)
@given(
    st.lists(st.integers(0, 4), min_size=20, max_size=200),
    st.integers(0, 15),
    st.none() | st.integers(1, 200),
    st.integers(0, 1000),
)
def test_parts_of_train_are_disjoint(
    labels: list[int], matching: int, max_train: int | None, seed: int
):
    classes = np.array(labels)
    parts = Splitting(seed=seed, matching_images=matching, max_train=max_train).split(classes)
    validation = held_out_size(len(labels))
    left = len(labels) - validation - matching
    assert [len(part) for part in parts] == [min(left, max_train or left), matching, validation]
    used = np.concatenate(parts)
    assert len(set(used)) == len(used)
    assert set(used) <= set(range(len(labels)))
    assert max_train is not None or len(used) == len(labels)
    of_seed = hold_out(classes, validation, seed=seed)[1]
    assert np.array_equal(parts.search_validation, of_seed)
    for label in set(labels):
        share = matching * labels.count(label) / len(labels)
        assert abs(np.count_nonzero(classes[parts.matching_validation] == label) - share) <= 3


def test_too_few_images_are_told():
    with pytest.raises(DataError, match="9 images are too few"):
        hold_out([0] * 9, held_out_size(9), seed=0)
