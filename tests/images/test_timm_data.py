"""Folders of images and the other things timm reads."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.errors import DataError
from pipeline.files.cache_folder import CACHE_VARIABLE
from pipeline.images import indexed as indexed_images
from pipeline.images import streamed as streamed_images
from pipeline.images.datasets import open_dataset
from pipeline.images.epoch import Epoch
from pipeline.images.image_data import SPLITS, ImageData
from pipeline.images.photo import read_photo, to_varied_pixels

Maker = Callable[..., Path]
TWO = {"cat": 30, "dog": 20}
TRAINED_AND_JUDGED = [split for split in SPLITS if split != "matching-validation"]


@pytest.fixture(autouse=True, scope="module")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(tmp_path_factory.mktemp("cache")))
        yield


def _open(root: Path | str, **changes) -> ImageData:
    return open_dataset(str(root), **{"resolution": 32, "seed": 0, **changes})


def _parts(data: ImageData, size: int, count: int, **arguments) -> list[tuple[torch.Tensor, ...]]:
    """Batches joined from what `count` processes are given of them."""
    given = [
        data.train_batches(Epoch(size, seed=1, number=2, part=(index, count), **arguments))
        for index in range(count)
    ]
    return [
        tuple(torch.cat(tensors) for tensors in zip(*of_step, strict=True))
        for of_step in zip(*given, strict=True)
    ]


def _assert_same(batches, others) -> None:
    for (images, labels), (same, of) in zip(batches, others, strict=True):
        assert torch.equal(images, same)
        assert torch.equal(labels, of)


def _all(data: ImageData, split) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = zip(*data.batches(split, 16), strict=True)
    return torch.cat(images), torch.cat(labels)


def test_splits_of_a_folder(image_folder: Maker):
    data = _open(image_folder({"train": TWO, "val": {"cat": 4, "dog": 4}}))
    record = data.record
    assert record.source == "train/ and val/, one folder a class"
    assert (record.num_train, record.num_search_validation, record.num_test) == (45, 5, 8)
    images, labels = _all(data, "train")
    assert images.shape == (45, 3, 32, 32)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert labels.bincount().tolist() == [27, 18]
    assert images[labels == 0].mean() < images[labels == 1].mean()


@pytest.mark.parametrize("test", ["test", "validation", "val"])
def test_the_folders_timm_knows(image_folder: Maker, test: str):
    data = _open(image_folder({"train": TWO, test: {"cat": 2, "dog": 3}}))
    assert data.record.num_test == 5


@pytest.mark.parametrize("layout", ["train", "."])
def test_without_test_images_some_are_held_out_and_said_so(image_folder: Maker, layout: str):
    data = _open(image_folder({layout: {"cat": 50, "dog": 50}}))
    sizes = (data.record.num_train, data.record.num_search_validation, data.record.num_test)
    assert sizes == (81, 9, 10)
    assert "10 of the others are held out as test" in data.record.source


def test_the_splits_share_no_image(image_folder: Maker):
    data = _open(image_folder({"train": {"cat": 50, "dog": 50}}))
    images = torch.cat([_all(data, split)[0] for split in TRAINED_AND_JUDGED])
    assert len(images.flatten(1).unique(dim=0)) == 100


def test_which_images_are_test_does_not_depend_on_the_seed(image_folder: Maker):
    root = image_folder({"train": {"cat": 50, "dog": 50}})
    one, other = _open(root, seed=1), _open(root, seed=2)
    assert torch.equal(_all(one, "test")[0], _all(other, "test")[0])
    assert not torch.equal(_all(one, "search-validation")[0], _all(other, "search-validation")[0])


def test_training_batches_depend_on_seed_and_epoch_only(image_folder: Maker):
    data = _open(image_folder({"train": TWO}))
    once = list(data.train_batches(Epoch(8, seed=1, number=2)))
    again = list(data.train_batches(Epoch(8, seed=1, number=2)))
    other = list(data.train_batches(Epoch(8, seed=1, number=3)))
    assert len(once) == data.num_train_batches(8)
    assert all(torch.equal(a, b) for (a, _), (b, _) in zip(once, again, strict=True))
    assert not torch.equal(once[0][0], other[0][0])


def test_worker_processes_change_nothing(image_folder: Maker, monkeypatch: pytest.MonkeyPatch):
    data = _open(image_folder({"train": TWO}))
    alone = list(data.train_batches(Epoch(8, seed=1, number=2)))
    monkeypatch.setattr(indexed_images, "_WORTH_WORKERS", 1)
    together = list(data.train_batches(Epoch(8, seed=1, number=2)))
    _assert_same(alone, together)
    of_two = _parts(data, 8, 2, start=3, resolution_at=lambda step: 32 if step % 2 else 64)
    _assert_same(of_two[::2], alone[3::2])


def test_an_epoch_is_the_one_it_always_was(image_folder: Maker, digest: Callable[..., str]):
    data = _open(image_folder({"train": TWO, "val": {"cat": 4, "dog": 4}}))
    assert digest(data.train_batches(Epoch(8, seed=3, number=1))) == (
        "6ce609270fb9684892c11e5fa0ba13b60900f8d6df00542a3152a76dd67c6104"
    )
    assert digest(data.batches("search-validation", 50)) == (
        "f9c099eab7438b72e69d185e067e558911f52ab57e09f2158436fae382a96ecf"
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    """24 training images of 32 pixels in two classes."""
    root = tmp_path_factory.mktemp("folder")
    random = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (root / "train" / name).mkdir(parents=True)
        for i in range(20):
            pixels = random.integers(0, 256, (12, 14, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(root / "train" / name / f"{i}.png")
    return _open(root, max_train=24)


@settings(max_examples=15)
@given(
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(0, 24),
    st.lists(st.sampled_from([32, 64]), min_size=24, max_size=24),
)
def test_a_step_is_the_same_from_any_start_in_any_parts(
    folder: ImageData, count: int, rows: int, start: int, sizes: list[int]
):
    size = count * rows
    start = min(start, folder.num_train_batches(size))
    plain = list(folder.train_batches(Epoch(size, seed=1, number=2)))
    whole = list(
        folder.train_batches(Epoch(size, seed=1, number=2, resolution_at=lambda s: sizes[s]))
    )
    large = list(folder.at(64).train_batches(Epoch(size, seed=1, number=2)))
    expected = [(plain if sizes[step] == 32 else large)[step] for step in range(len(plain))]
    _assert_same(whole, expected)
    joined = _parts(folder, size, count, start=start, resolution_at=lambda s: sizes[s])
    _assert_same(joined, expected[start:])


def test_another_size_shows_the_same_crop(folder: ImageData):
    small = torch.cat([images for images, _ in folder.train_batches(Epoch(8, seed=0, number=0))])
    large = torch.cat(
        [images for images, _ in folder.at(64).train_batches(Epoch(8, seed=0, number=0))]
    )
    shrunk = torch.nn.functional.avg_pool2d(large, 2)
    assert (small - shrunk).abs().mean() < 0.1 * (small - shrunk.flip(3)).abs().mean()


def test_only_what_is_given_is_read(folder: ImageData, monkeypatch: pytest.MonkeyPatch):
    read = []
    monkeypatch.setattr(
        indexed_images, "read_photo", lambda file, name: read.append(name) or read_photo(file, name)
    )
    ((images, _),) = folder.train_batches(Epoch(8, seed=0, number=0, start=2, part=(1, 4)))
    assert len(images) == len(read) == 2


def test_batches_are_given_on_the_device(folder: ImageData, digest: Callable[..., str]):
    assert digest(folder.to("cpu").batches("test", 3)) == digest(folder.batches("test", 3))
    for images, labels in folder.to("meta").at(64).train_batches(Epoch(8, seed=0, number=0)):
        assert images.device.type == labels.device.type == "meta"
        assert images.shape == (8, 3, 64, 64)


def test_matching_images_of_a_folder(image_folder: Maker):
    root = image_folder({"train": {"cat": 50, "dog": 50}})
    plain, data = _open(root), _open(root, matching_images=20, max_train=40)
    record = data.record
    assert (record.num_train, record.num_matching_validation) == (40, 20)
    images = torch.cat([_all(data, split)[0] for split in SPLITS])
    assert len(images.flatten(1).unique(dim=0)) == len(images) == 40 + 20 + 9 + 10
    assert _all(data, "matching-validation")[1].bincount().tolist() == [10, 10]
    for split in ("search-validation", "test"):
        assert torch.equal(_all(data, split)[0], _all(plain, split)[0])
    assert list(plain.batches("matching-validation", 8)) == []
    with pytest.raises(DataError, match="81 training images are too few to hold 81"):
        _open(root, matching_images=81)


@pytest.mark.parametrize("workers", [False, True])
@pytest.mark.parametrize("damage", ["cut", "text"])
def test_an_image_that_breaks_after_the_check_is_named(
    image_folder: Maker, damage: str, workers: bool, monkeypatch: pytest.MonkeyPatch
):
    root = image_folder({"train": TWO, "val": {"cat": 2, "dog": 2}})
    data = _open(root)
    file = root / "val" / "dog" / "1.png"
    file.write_bytes(file.read_bytes()[:200] if damage == "cut" else b"no image at all")
    if workers:
        monkeypatch.setattr(indexed_images, "_WORTH_WORKERS", 1)
    with pytest.raises(DataError) as caught:
        _all(data, "test")
    assert caught.value.message.startswith(f"{file}: cannot be read as an image")
    assert "\n" not in caught.value.message


def test_an_image_that_vanished_is_named(image_folder: Maker):
    root = image_folder({"train": TWO, "val": {"cat": 2, "dog": 2}})
    data = _open(root)
    (root / "val" / "cat" / "0.png").unlink()
    with pytest.raises(DataError, match=r"val/cat/0.png: cannot be read"):
        _all(data, "test")


def test_gray_and_transparent_images_are_read(image_folder: Maker):
    root = image_folder({"train": TWO})
    for mode in ("L", "RGBA", "1", "I;16"):
        Image.new(mode, (9, 7)).save(root / "train" / "cat" / f"{mode.replace(';', '')}.png")
    assert len(_all(_open(root), "train")[0]) == _open(root).record.num_train


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "holds no images"),
        ({"train": {"cat": 0, "dog": 0}}, "holds no images"),
        ({"train": {"cat": 9, "dog": 9, "owl": 0}}, "no images of class owl"),
        ({"train": {"cat": 20}}, "images of 1 class"),
        ({"train": {"cat": 2, "dog": 2}}, "too few"),
        ({"train": TWO, "val": {"cat": 2, "cow": 2}}, "classes that train lacks: cow"),
        ({"train": TWO, "val": {"cat": 0}}, "holds no images"),
    ],
)
def test_folders_that_cannot_be_used(image_folder: Maker, tmp_path: Path, content, message: str):
    root = image_folder(content)
    root.mkdir(exist_ok=True)
    with pytest.raises(DataError, match=message) as caught:
        _open(root)
    assert str(root) in caught.value.message or message == "too few"


def test_images_outside_classes_are_told(image_folder: Maker):
    root = image_folder({"train": TWO})
    shutil.copy(root / "train" / "cat" / "0.png", root / "train" / "stray.png")
    with pytest.raises(DataError, match="images outside the folders of classes"):
        _open(root)


def test_a_file_is_no_folder(tmp_path: Path):
    file = tmp_path / "images.txt"
    file.write_text("")
    with pytest.raises(DataError, match="is a file; expected a folder"):
        _open(file)


def test_crops_stay_inside_the_image_and_mirror_half_of_them():
    ramp = np.broadcast_to(np.arange(60, dtype=np.uint8)[None, :, None] * 4, (40, 60, 3))
    image = Image.fromarray(ramp.copy())
    falling = 0
    for seed in range(200):
        pixels = to_varied_pixels(image, 32, seed)
        assert pixels.shape == (32, 32, 3)
        falling += int(pixels[0, 0, 0]) > int(pixels[0, -1, 0])
    assert 70 < falling < 130


def test_webdataset(shards: Path):
    pytest.importorskip("webdataset")
    data = _open(f"wds/{shards}")
    record = data.record
    assert (record.num_train, record.num_search_validation, record.num_test) == (50, 10, 20)
    assert [len(_all(data, split)[0]) for split in TRAINED_AND_JUDGED] == [50, 10, 20]
    images = torch.cat([_all(data, split)[0] for split in TRAINED_AND_JUDGED])
    assert len(images.flatten(1).unique(dim=0)) == 80
    once, again, other = (
        list(data.train_batches(Epoch(8, seed=0, number=epoch))) for epoch in (0, 0, 1)
    )
    assert len(once) == data.num_train_batches(8) == 6
    assert all(torch.equal(a, b) for (a, _), (b, _) in zip(once, again, strict=True))
    assert not torch.equal(once[0][0], other[0][0])


def test_matching_shards_of_a_webdataset(shards: Path):
    pytest.importorskip("webdataset")
    plain, data = _open(f"wds/{shards}"), _open(f"wds/{shards}", matching_images=11)
    record = data.record
    assert (record.num_train, record.num_matching_validation) == (30, 20)
    assert "3 of 6 train shards held out" in record.source
    images = torch.cat([_all(data, split)[0] for split in SPLITS])
    assert len(images.flatten(1).unique(dim=0)) == len(images) == 80
    assert torch.equal(_all(data, "search-validation")[0], _all(plain, "search-validation")[0])
    assert list(plain.batches("matching-validation", 8)) == []
    with pytest.raises(DataError, match="6 train shards are too few") as caught:
        _open(f"wds/{shards}", matching_images=41)
    assert "lower matching_images" in (caught.value.hint or "")


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("cores", [1, 3])
def test_a_step_of_a_stream_is_the_same_from_any_start_in_any_parts(
    shards: Path, cores: int, monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("webdataset")
    monkeypatch.setattr(streamed_images, "usable_cores", lambda: cores)
    data = _open(f"wds/{shards}")
    plain = list(data.train_batches(Epoch(8, seed=1, number=2)))
    large = list(data.at(64).train_batches(Epoch(8, seed=1, number=2)))
    _assert_same(data.train_batches(Epoch(8, seed=1, number=2, start=4)), plain[4:])
    assert list(data.train_batches(Epoch(8, seed=1, number=2, start=6))) == []
    sizes = [32, 64, 64, 32, 64, 32]
    expected = [(plain if size == 32 else large)[step] for step, size in enumerate(sizes)]
    joined = _parts(data, 8, 2, start=1, resolution_at=lambda step: sizes[step])
    _assert_same(joined, expected[1:])


def test_a_process_group_does_not_divide_a_stream(shards: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("webdataset")
    data = _open(f"wds/{shards}")
    alone, test = list(data.train_batches(Epoch(8, seed=1, number=2))), _all(data, "test")
    for name, answer in (("is_initialized", True), ("get_world_size", 2), ("get_rank", 1)):
        monkeypatch.setattr(torch.distributed, name, lambda answer=answer: answer)
    _assert_same(data.train_batches(Epoch(8, seed=1, number=2)), alone)
    assert torch.equal(_all(data, "test")[0], test[0])


def test_webdatasets_that_cannot_be_used(shards: Path):
    pytest.importorskip("webdataset")
    (shards / "train-003.tar").rename(shards / "elsewhere.tar")
    with pytest.raises(DataError, match=r"shards are missing: train-003\.tar"):
        _open(f"wds/{shards}")
    (shards / "_info.json").write_text("{}")
    with pytest.raises(DataError, match=r"_info\.json") as caught:
        _open(f"wds/{shards}")
    assert "class_names" in (caught.value.hint or "")


def test_hugging_face(image_folder: Maker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    root = image_folder({"train": TWO, "validation": {"cat": 4, "dog": 4}})
    data = _open(f"hfds/{root}")
    assert data.record.class_names == ("cat", "dog")
    assert data.record.num_test == 8
    images, labels = _all(data, "train")
    assert len(images) == 45
    assert images[labels == 0].mean() < images[labels == 1].mean()
