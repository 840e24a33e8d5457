"""Test images before preprocessing, whatever they are kept as."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.bundle.originals import first_originals
from pipeline.errors import DataError
from pipeline.training.datasets import open_dataset


def test_photographs_are_those_that_batches_are_made_of(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 3)):
        for label in ("cat", "dog"):
            folder = tmp_path / split / label
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 256, (40, 50, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    data = open_dataset(str(tmp_path), resolution=32, seed=0)
    found = first_originals(data, 4)
    images, labels = next(iter(data.batches("test", 4)))
    assert [original.label for original in found] == labels.tolist()
    np.testing.assert_array_equal(np.concatenate([it.inputs for it in found]), images.numpy())
    assert {(it.picture.mode, it.picture.size) for it in found} == {("RGB", (50, 40))}
    assert all(not it.picture.info for it in found)
    assert len(first_originals(data, 100)) == 6


@pytest.mark.parametrize("resolution", [32, 64])
def test_gray_images_are_without_their_padding(resolution: int) -> None:
    data = open_dataset("digits", resolution=resolution, seed=0)
    found = first_originals(data, 3)
    images, labels = next(iter(data.batches("test", 3)))
    assert [original.label for original in found] == labels.tolist()
    np.testing.assert_array_equal(np.concatenate([it.inputs for it in found]), images.numpy())
    assert {(it.picture.mode, it.picture.size) for it in found} == {("L", (8, 8))}


def test_images_of_an_unknown_kind_are_refused() -> None:
    class Strange:
        record = open_dataset("digits", resolution=32, seed=0).record

    with pytest.raises(DataError, match="kept as Strange"):
        first_originals(Strange(), 1)  # type: ignore[arg-type]
