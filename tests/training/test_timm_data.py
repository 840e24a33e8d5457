"""Folders of images and the other things timm reads."""

import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.errors import DataError
from pipeline.training import indexed_images
from pipeline.training.datasets import open_dataset
from pipeline.training.image_data import SPLITS, ImageData
from pipeline.training.photo import to_varied_pixels

Maker = Callable[..., Path]
TWO = {"cat": 30, "dog": 20}


def _open(root: Path | str, **changes) -> ImageData:
    return open_dataset(str(root), **{"resolution": 32, "seed": 0, **changes})


def _all(data: ImageData, split) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = zip(*data.batches(split, 16), strict=True)
    return torch.cat(images), torch.cat(labels)


def test_splits_of_a_folder(image_folder: Maker):
    data = _open(image_folder({"train": TWO, "val": {"cat": 4, "dog": 4}}))
    record = data.record
    assert record.source == "train/ and val/ as timm reads them"
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
    images = torch.cat([_all(data, split)[0] for split in SPLITS])
    assert len(images.flatten(1).unique(dim=0)) == 100


def test_which_images_are_test_does_not_depend_on_the_seed(image_folder: Maker):
    root = image_folder({"train": {"cat": 50, "dog": 50}})
    one, other = _open(root, seed=1), _open(root, seed=2)
    assert torch.equal(_all(one, "test")[0], _all(other, "test")[0])
    assert not torch.equal(_all(one, "search-validation")[0], _all(other, "search-validation")[0])


def test_training_batches_depend_on_seed_and_epoch_only(image_folder: Maker):
    data = _open(image_folder({"train": TWO}))
    once = list(data.train_batches(8, seed=1, epoch=2))
    again = list(data.train_batches(8, seed=1, epoch=2))
    other = list(data.train_batches(8, seed=1, epoch=3))
    assert len(once) == data.num_train_batches(8)
    assert all(torch.equal(a, b) for (a, _), (b, _) in zip(once, again, strict=True))
    assert not torch.equal(once[0][0], other[0][0])


def test_worker_processes_change_nothing(image_folder: Maker, monkeypatch: pytest.MonkeyPatch):
    data = _open(image_folder({"train": TWO}))
    alone = list(data.train_batches(8, seed=1, epoch=2))
    monkeypatch.setattr(indexed_images, "_WORTH_WORKERS", 1)
    together = list(data.train_batches(8, seed=1, epoch=2))
    for (images, labels), (same, of) in zip(alone, together, strict=True):
        assert torch.equal(images, same)
        assert torch.equal(labels, of)


@pytest.mark.parametrize("workers", [False, True])
@pytest.mark.parametrize("damage", ["cut", "text"])
def test_an_unreadable_image_is_named(
    image_folder: Maker, damage: str, workers: bool, monkeypatch: pytest.MonkeyPatch
):
    root = image_folder({"train": TWO, "val": {"cat": 2, "dog": 2}})
    file = root / "val" / "dog" / "1.png"
    file.write_bytes(file.read_bytes()[:200] if damage == "cut" else b"no image at all")
    if workers:
        monkeypatch.setattr(indexed_images, "_WORTH_WORKERS", 1)
    data = _open(root)
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


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """A WebDataset: 6 train shards and 2 of validation, 10 images each."""
    root = tmp_path / "shards"
    root.mkdir()
    splits = {}
    for split, count in (("train", 6), ("validation", 2)):
        names = [f"{split}-{number:03d}.tar" for number in range(count)]
        for name in names:
            _write_shard(root / name, seed=sum(name.encode()))
        splits[split] = {
            "name": split,
            "num_samples": 10 * count,
            "filenames": names,
            "shard_lengths": [10] * count,
        }
    info = {"name": "made-up", "class_names": ["dark", "bright"], "splits": splits}
    (root / "_info.json").write_text(json.dumps(info))
    return root


def _write_shard(path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    with tarfile.open(path, "w") as tar:
        for i in range(10):
            pixels = random.integers(120 * (i % 2), 120 * (i % 2) + 100, (20, 24, 3))
            png = io.BytesIO()
            Image.fromarray(pixels.astype(np.uint8)).save(png, "png")
            for suffix, content in (("png", png.getvalue()), ("cls", str(i % 2).encode())):
                entry = tarfile.TarInfo(f"{i:03d}.{suffix}")
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))


def test_webdataset(shards: Path):
    pytest.importorskip("webdataset")
    data = _open(f"wds/{shards}")
    record = data.record
    assert (record.num_train, record.num_search_validation, record.num_test) == (50, 10, 20)
    assert [len(_all(data, split)[0]) for split in SPLITS] == [50, 10, 20]
    images = torch.cat([_all(data, split)[0] for split in SPLITS])
    assert len(images.flatten(1).unique(dim=0)) == 80
    once, again, other = (list(data.train_batches(8, seed=0, epoch=epoch)) for epoch in (0, 0, 1))
    assert len(once) == data.num_train_batches(8) == 6
    assert all(torch.equal(a, b) for (a, _), (b, _) in zip(once, again, strict=True))
    assert not torch.equal(once[0][0], other[0][0])


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
