"""What is said of a data set: nothing where all is well."""

import pytest

from pipeline.records.dataset import DatasetRecord
from pipeline.records.dataset_remarks import imbalance, remarks
from tests.report.made_up import dataset


def of(**changes: object) -> DatasetRecord:
    return dataset(("cat", "dog", "owl")).model_copy(update=changes)


def by_class(*train: int) -> dict[str, tuple[int, ...]]:
    return {"train": train, "test": (1, 1, 1)}


def test_nothing_is_said_of_a_data_set_without_flaws() -> None:
    assert list(remarks(of())) == []
    assert list(remarks(of(images_by_class=by_class(90, 100, 110)))) == []


@pytest.mark.parametrize(("fewest", "told"), [(11, False), (10, True), (1, True)])
def test_strong_imbalance_is_told_with_both_classes(fewest: int, told: bool) -> None:
    lines = list(remarks(of(images_by_class=by_class(50, 100, fewest))))
    assert len(lines) == told
    if told:
        assert f"100 training images of dog, {fewest} of owl" in lines[0]
        assert f"({100 // fewest} to 1)" in lines[0]


def test_imbalance_is_that_of_the_images_trained_on() -> None:
    sizes = imbalance(of(images_by_class=by_class(50, 100, 25)))
    assert sizes is not None
    assert (sizes.largest, sizes.smallest, sizes.ratio) == ("dog", "owl", 4.0)
    assert imbalance(of()) is None


def test_one_skipped_image_is_named_with_its_reason() -> None:
    (line,) = remarks(of(num_skipped=1, skipped={"cat/x.jpg": "is empty"}))
    assert line == "skipped 1 unreadable image: cat/x.jpg (is empty)"


def test_of_many_skipped_images_three_are_named() -> None:
    skipped = {f"cat/{i}.jpg": "is empty" for i in range(100)}
    (line,) = remarks(of(num_skipped=1234, skipped=skipped))
    assert line.startswith("skipped 1234 unreadable images: cat/0.jpg (is empty), cat/1.jpg")
    assert line.endswith("cat/2.jpg (is empty) and 1231 more")


def test_files_with_other_suffixes_are_counted() -> None:
    (line,) = remarks(of(other_files={".heic": 2, ".txt": 1}))
    assert line == "left out 3 files that no image has the suffix of (.heic: 2, .txt: 1)"
