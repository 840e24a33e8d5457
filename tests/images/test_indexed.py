"""Images read from disk: what is read, by whom, and what is told of a file that breaks."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipeline.errors import DataError
from pipeline.images import indexed as indexed_images
from pipeline.images.by_index import ImagesByIndex
from pipeline.images.epoch import Epoch
from pipeline.images.image_data import ImageData
from tests.images.made import assert_same, everything, not_kept, opened

EPOCH = Epoch(8, seed=1, number=2)
of_a_folder = pytest.mark.parametrize("kind", ["folder"], indirect=True)


@of_a_folder
def test_worker_processes_change_nothing(data: ImageData, monkeypatch: pytest.MonkeyPatch):
    data = not_kept(data)
    alone = list(data.train_batches(EPOCH))
    monkeypatch.setattr(indexed_images, "_WORTH_WORKERS", 1)
    assert_same(data.train_batches(EPOCH), alone)
    second_half = [(images[4:], labels[4:]) for images, labels in alone[3:]]
    assert_same(data.train_batches(replace(EPOCH, start=3, part=(1, 2))), second_half)


@of_a_folder
def test_another_size_shows_the_same_crop(data: ImageData):
    small, large = (
        torch.cat([images for images, _ in of_size.train_batches(EPOCH)])
        for of_size in (data, data.at(64))
    )
    shrunk = torch.nn.functional.avg_pool2d(large, 2)
    assert (small - shrunk).abs().mean() < 0.3 * (small - shrunk.flip(3)).abs().mean()


@of_a_folder
def test_only_what_is_given_is_read(data: ImageData, monkeypatch: pytest.MonkeyPatch):
    read = []
    really = ImagesByIndex.read
    monkeypatch.setattr(
        ImagesByIndex,
        "read",
        lambda images, index, convert: read.append(index) or really(images, index, convert),
    )
    ((images, _),) = not_kept(data).train_batches(replace(EPOCH, start=4, part=(1, 4)))
    assert len(images) == len(read) == 2


@pytest.mark.parametrize(
    ("damage", "workers"), [("cut", False), ("text", False), ("text", True), ("gone", False)]
)
def test_an_image_that_breaks_after_the_check_is_named(
    image_folder: Callable[..., Path],
    damage: str,
    workers: bool,
    monkeypatch: pytest.MonkeyPatch,
):
    root = image_folder({"train": {"cat": 5, "dog": 5}, "val": {"cat": 2, "dog": 2}})
    data = opened(root)
    file = root / "val" / "dog" / "1.png"
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:200] if damage == "cut" else b"no image at all")
    if workers:
        monkeypatch.setattr(indexed_images, "_WORTH_WORKERS", 1)
    message = f"{file}: cannot be read" + (" as an image" if damage != "gone" else "")
    for read in (lambda: everything(data, "test"), lambda: data.originals("test", 4)):
        with pytest.raises(DataError) as caught:
            read()
        assert caught.value.message.startswith(message)
        assert "\n" not in caught.value.message
