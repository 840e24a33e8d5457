"""A folder of images as a data set: what cannot be read is as if it were not there."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pipeline.errors import DataError
from pipeline.files.cache_folder import CACHE_VARIABLE, cache_dir
from pipeline.images.datasets import open_dataset
from pipeline.images.image_data import SPLITS, ImageData
from pipeline.records.dataset import MOST_SKIPPED_TOLD, DatasetRecord

Maker = Callable[..., Path]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))


def opened(root: Path, **changes) -> ImageData:
    return open_dataset(str(root), **{"resolution": 32, "seed": 0, **changes})


def record(root: Path, **changes) -> DatasetRecord:
    return opened(root, **changes).record


def images(data: ImageData, split) -> torch.Tensor:
    return torch.cat([batch for batch, _ in data.batches(split, 64)])


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
        assert torch.equal(images(with_them, split), images(without, split))


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
        ({"train": {"cat": 30, "dog": 2}}, "dog has 2; each class needs at least 3"),
        (
            {"train": {"cat": 30, "dog": 1}, "val": {"cat": 1, "dog": 1}},
            "dog has 1; each class needs at least 2, one for each of: train, search-validation",
        ),
    ],
)
def test_too_few_images_of_a_class_are_told_with_the_number_needed(
    image_folder: Maker, content, message: str
):
    with pytest.raises(DataError, match="too few images") as caught:
        record(image_folder(content))
    assert message in caught.value.message


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
