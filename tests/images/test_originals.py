"""Images before preprocessing: those that batches are made of, whatever they are kept as."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.errors import DataError
from pipeline.files.cache_folder import CACHE_VARIABLE
from pipeline.images import streamed as streamed_images
from pipeline.images.datasets import open_dataset
from pipeline.images.image_data import ImageData, Original
from pipeline.images.in_memory import preprocess
from pipeline.images.photo import to_inputs, to_pixels

ORIENTATION = 0x0112


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))


def check_photographs(data: ImageData, found: list[Original], n: int) -> None:
    """Preprocessed as training does, they are the first images of the test split."""
    images, labels = data.labelled_sample("test", n)
    assert len(found) == len(labels)
    assert [it.label for it in found] == labels.tolist()
    how = data.record.preprocessing
    for it, expected in zip(found, images, strict=True):
        assert (it.pixels.dtype, it.pixels.shape[2:]) == (np.uint8, (3,))
        squeezed = to_pixels(Image.fromarray(it.pixels), how.resolution)
        assert torch.equal(to_inputs(torch.from_numpy(squeezed.copy())[None], how)[0], expected)


@pytest.mark.parametrize("resolution", [32, 64])
def test_gray_images_are_without_their_padding(resolution: int) -> None:
    data = open_dataset("digits", resolution=resolution, seed=0)
    images, labels = next(iter(data.batches("test", 5)))
    found = data.originals("test", 5)
    assert [it.label for it in found] == labels.tolist()
    assert {it.pixels.shape for it in found} == {(8, 8)}
    pad = data.record.preprocessing.pad
    padded = torch.from_numpy(np.stack([np.pad(it.pixels, pad) for it in found]))
    assert torch.equal(preprocess(padded, data.record.preprocessing), images)
    assert len(data.originals("test", 1000)) == data.record.num_test == 360
    assert data.originals("matching-validation", 5) == []


def test_photographs_of_a_folder(image_folder: Callable[..., Path]) -> None:
    root = image_folder({"train": {"cat": 12, "dog": 12}, "val": {"cat": 3, "dog": 3}})
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    with Image.open(root / "val" / "cat" / "1.png") as lying:
        lying.save(root / "val" / "cat" / "1.png", exif=exif)
    data = open_dataset(str(root), resolution=32, seed=0)
    check_photographs(data, data.originals("test", 4), 4)
    everything = data.originals("test", 100)
    check_photographs(data, everything, 6)
    assert (
        sorted(it.pixels.shape[:2] for it in everything)
        == [(20, 24)] * 2 + [(24, 20)] + [(24, 24)] * 3
    )


def test_a_photograph_that_broke_is_named(image_folder: Callable[..., Path]) -> None:
    root = image_folder({"train": {"cat": 12, "dog": 12}, "val": {"cat": 1, "dog": 1}})
    data = open_dataset(str(root), resolution=32, seed=0)
    (root / "val" / "cat" / "0.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"cat/0\.png: cannot be read as an image"):
        data.originals("test", 2)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("cores", [1, 2])
@pytest.mark.parametrize("n", [4, 13, 100])
def test_photographs_of_a_stream(
    shards: Path, cores: int, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("webdataset")
    monkeypatch.setattr(streamed_images, "usable_cores", lambda: cores)
    data = open_dataset(f"wds/{shards}", resolution=32, seed=0)
    found = data.originals("test", n)
    assert len(found) == min(n, 20)
    check_photographs(data, found, n)
    assert data.originals("matching-validation", n) == []
