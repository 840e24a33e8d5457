"""A folder of images as a data set: what cannot be read is as if it were not there."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from pipeline.errors import DataError
from pipeline.files.cache_folder import cache_dir
from pipeline.images.image_data import SPLITS
from pipeline.records.dataset import MOST_SKIPPED_TOLD, DatasetRecord
from tests.images.made import assert_same, everything, opened

Maker = Callable[..., Path]
TWO = {"cat": 30, "dog": 20}


def record(root: Path, **changes) -> DatasetRecord:
    return opened(root, **changes).record


@pytest.mark.parametrize("test", ["test", "validation", "val"])
def test_splits_of_a_folder(image_folder: Maker, test: str):
    data = opened(image_folder({"train": TWO, test: {"cat": 4, "dog": 4}}))
    told = data.record
    assert told.source == f"train/ and {test}/, one folder a class"
    assert (told.num_train, told.num_search_validation, told.num_test) == (45, 5, 8)
    images, labels = everything(data, "train")
    assert labels.bincount().tolist() == [27, 18]
    assert images[labels == 0].mean() < images[labels == 1].mean()


@pytest.mark.parametrize("layout", ["train", "."])
def test_without_test_images_some_are_held_out_and_said_so(image_folder: Maker, layout: str):
    root = image_folder({layout: {"cat": 50, "dog": 50}})
    told = record(root)
    assert (told.num_train, told.num_search_validation, told.num_test) == (81, 9, 10)
    assert "10 of the others are held out as test" in told.source
    matched = opened(root, matching_images=20)
    assert everything(matched, "matching-validation")[1].bincount().tolist() == [10, 10]
    with pytest.raises(DataError, match="81 training images are too few to hold 81"):
        opened(root, matching_images=81)


def test_a_skipped_file_is_as_if_it_were_not_there(image_folder: Maker):
    root = image_folder({"train": {"cat": 30, "dog": 20}})
    for name in ("cat/7.png", "dog/3.png"):
        (root / "train" / name).write_text("no image")
    with_them = opened(root, matching_images=6)
    for name in ("cat/7.png", "dog/3.png"):
        (root / "train" / name).unlink()
    without = opened(root, matching_images=6)
    told = with_them.record
    assert list(told.skipped) == ["train/cat/7.png", "train/dog/3.png"]
    assert (told.num_skipped, without.record.num_skipped) == (2, 0)
    same = {"num_skipped": 0, "skipped": {}, "skipped_list": None}
    assert told.model_copy(update=same) == without.record
    for split in SPLITS:
        assert_same(with_them.batches(split, 64), without.batches(split, 64))


def test_the_full_list_is_in_the_cache(image_folder: Maker):
    root = image_folder({"train": {"cat": 150, "dog": 20}})
    for number in range(120):
        (root / "train" / "cat" / f"{number}.png").write_bytes(b"")
    told = record(root)
    assert (told.num_skipped, len(told.skipped)) == (120, MOST_SKIPPED_TOLD)
    assert told.skipped_list is not None
    lines = (cache_dir() / told.skipped_list).read_text().splitlines()
    assert len(lines) == 120
    assert lines[-1] == "train/cat/119.png: is empty"


def test_the_checksum_is_that_of_names_and_contents(image_folder: Maker, tmp_path: Path):
    root = image_folder({"train": {"cat": 20, "dog": 20}, "val": {"cat": 2, "dog": 2}})
    before = record(root)
    moved = root.rename(tmp_path / "elsewhere")
    assert record(moved).checksum == before.checksum
    file = moved / "val" / "dog" / "1.png"
    file.rename(file.with_name("2.png"))
    renamed = record(moved).checksum
    (moved / "val" / "dog" / "0.png").write_bytes((moved / "val" / "cat" / "0.png").read_bytes())
    assert len({before.checksum, renamed, record(moved).checksum}) == 3


def test_every_class_is_in_every_split(image_folder: Maker):
    few = {"lynx": 3, "owl": 3}
    root = image_folder({"train": {"cat": 100, "dog": 60, **few}})
    counts = record(root).images_by_class
    assert set(counts) == set(SPLITS)
    for split in ("train", "search-validation", "test"):
        assert min(counts[split]) >= 1, split
    assert [sum(of) for of in zip(*counts.values(), strict=True)] == [100, 60, 3, 3]
    assert [counts["train"][label] for label in (2, 3)] == [1, 1]
    fewer = record(root, max_train=5).images_by_class["train"]
    assert (sum(fewer), min(fewer)) == (5, 1)
    with pytest.raises(DataError, match="max_train is 3; expected at least an image for each of 4"):
        record(root, max_train=3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "holds no images"),
        ({"train": {"cat": 0, "dog": 0}}, "holds no images"),
        ({"train": {"cat": 9, "dog": 9, "owl": 0}}, "no images of class owl"),
        ({"train": {"cat": 20}}, "images of 1 class"),
        ({"train": TWO, "val": {"cat": 2, "cow": 2}}, "classes that train lacks: cow"),
        ({"train": TWO, "val": {"cat": 0}}, "holds no images"),
        (
            {"train": {"cat": 30, "dog": 2}},
            "too few images: dog has 2; each class needs at least 3, one for each of: train, "
            "search-validation, test",
        ),
        (
            {"train": {"cat": 30, "dog": 1}, "val": {"cat": 1, "dog": 1}},
            "too few images: dog has 1; each class needs at least 2, one for each of: train, "
            "search-validation",
        ),
    ],
)
def test_folders_that_cannot_be_used(image_folder: Maker, content, message: str):
    root = image_folder(content)
    root.mkdir(exist_ok=True)
    with pytest.raises(DataError, match=message) as caught:
        opened(root)
    assert str(root) in caught.value.message


def test_images_outside_classes_are_told(image_folder: Maker):
    root = image_folder({"train": TWO})
    shutil.copy(root / "train" / "cat" / "0.png", root / "train" / "stray.png")
    with pytest.raises(DataError, match="images outside the folders of classes"):
        opened(root)


def test_a_file_is_no_folder(tmp_path: Path):
    file = tmp_path / "images.txt"
    file.write_text("")
    with pytest.raises(DataError, match="is a file; expected a folder"):
        opened(file)


def test_gray_and_transparent_images_are_read(image_folder: Maker):
    root = image_folder({"train": TWO})
    for mode in ("L", "RGBA", "1", "I;16"):
        Image.new(mode, (9, 7)).save(root / "train" / "cat" / f"mode {mode}.png")
    data = opened(root)
    assert data.record.num_skipped == 0
    assert sum(len(everything(data, split)[0]) for split in SPLITS if split[0] != "m") == 54


def test_too_few_are_left_once_unreadable_ones_are_skipped(image_folder: Maker):
    root = image_folder({"train": {"cat": 9, "dog": 9}, "val": {"cat": 1, "dog": 2}})
    (root / "val" / "cat" / "0.png").write_text("no image")
    with pytest.raises(DataError) as caught:
        record(root)
    assert "without 1 unreadable, first val/cat/0.png (is no image" in caught.value.message
    assert "cat has 0; each class needs at least 1" in caught.value.message


def test_a_class_that_matching_uses_up_is_told(image_folder: Maker):
    root = image_folder({"train": {"cat": 40, "dog": 2}, "val": {"cat": 1, "dog": 1}})
    with pytest.raises(DataError, match="no image of dog is left to train on") as caught:
        record(root, matching_images=30)
    assert "lower matching_images" in (caught.value.hint or "")
