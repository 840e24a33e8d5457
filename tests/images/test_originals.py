"""Images before preprocessing: those that batches are made of, whatever they are kept as."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.images import workers
from pipeline.images.image_data import ImageData, Original
from pipeline.images.in_memory import preprocess
from pipeline.images.photo import to_inputs, to_pixels
from tests.images.made import opened

ORIENTATION = 0x0112


def check_photographs(data: ImageData, n: int) -> list[Original]:
    """Preprocessed as training does, they are the first images of the test split."""
    images, labels = data.labelled_sample("test", n)
    found = data.originals("test", n)
    assert len(found) == len(labels) == min(n, data.record.num_test)
    assert [it.label for it in found] == labels.tolist()
    how = data.record.preprocessing
    for it, expected in zip(found, images, strict=True):
        assert (it.pixels.dtype, it.pixels.shape[2:]) == (np.uint8, (3,))
        squeezed = to_pixels(Image.fromarray(it.pixels), how.resolution)
        assert torch.equal(to_inputs(torch.from_numpy(squeezed.copy())[None], how)[0], expected)
    return found


@pytest.mark.parametrize("resolution", [32, 64])
def test_gray_images_are_without_their_padding(resolution: int):
    data = opened("digits", resolution=resolution)
    images, labels = next(iter(data.batches("test", 5)))
    found = data.originals("test", 5)
    assert [it.label for it in found] == labels.tolist()
    assert {it.pixels.shape for it in found} == {(8, 8)}
    pad = data.record.preprocessing.pad
    padded = torch.from_numpy(np.stack([np.pad(it.pixels, pad) for it in found]))
    assert torch.equal(preprocess(padded, data.record.preprocessing), images)
    assert len(data.originals("test", 1000)) == data.record.num_test == 360


def test_photographs_of_a_folder(image_folder: Callable[..., Path]):
    root = image_folder({"train": {"cat": 12, "dog": 12}, "val": {"cat": 3, "dog": 3}})
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    with Image.open(root / "val" / "cat" / "1.png") as lying:
        lying.save(root / "val" / "cat" / "1.png", exif=exif)
    data = opened(root)
    check_photographs(data, 4)
    shapes = sorted(it.pixels.shape[:2] for it in check_photographs(data, 100))
    assert shapes == [(20, 24)] * 2 + [(24, 20)] + [(24, 24)] * 3


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize(("cores", "n"), [(1, 13), (2, 4), (2, 13), (2, 100)])
def test_photographs_of_a_stream(shards: Path, cores: int, n: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(workers, "usable_cores", lambda: cores)
    check_photographs(opened(f"wds/{shards}"), n)
