"""What can be opened by name, and what is told of the rest."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from pipeline.errors import ArchitectureError, DataError, UnknownNameError
from pipeline.images.image_data import SPLITS
from pipeline.images.in_memory import preprocess
from tests.images.made import everything, opened


@pytest.mark.parametrize("seed", [0, 1])
def test_digits_are_bundled(seed: int):
    data = opened("digits", seed=seed, matching_images=200)
    assert data.num_classes == 10
    assert data.record.class_names == tuple("0123456789")
    assert data.record.checksum == (
        "0b7e9c3202d7bcd255d6a19a238d3743bf5e320ba74812a6679958a017c55382"
    )
    parts = [everything(data, split) for split in SPLITS]
    assert abs(float(parts[0][0].mean())) < 0.05
    assert 0.8 < float(parts[0][0].std()) < 1.1
    assert parts[1][1].bincount().min() >= 18
    # The sum over an image's pixels is as good as a name for it.
    names = torch.cat([images for images, _ in parts])[:, 0].flatten(1).double().sum(1)
    pixels = np.round(load_digits().images * (255 / 16)).astype(np.uint8)
    inputs = preprocess(torch.from_numpy(pixels), data.record.preprocessing)
    bundled = inputs[:, 0].flatten(1).double().sum(1)
    torch.testing.assert_close(names.sort().values, bundled.sort().values, rtol=1e-6, atol=0)


def test_a_data_set_of_hugging_face(
    image_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    classes = {"cat": 30, "dog": 20}
    data = opened(f"hfds/{image_folder({'train': classes, 'validation': {'cat': 4, 'dog': 4}})}")
    assert data.record.class_names == ("cat", "dog")
    assert data.record.num_test == 8
    images, labels = everything(data, "train")
    assert len(images) == 45
    assert images[labels == 0].mean() < images[labels == 1].mean()


@pytest.mark.parametrize(
    ("name", "changes", "error", "told"),
    [
        ("digit", {}, UnknownNameError, "did you mean 'digits'"),
        ("fashion_mnist", {}, UnknownNameError, "did you mean 'fashion-mnist'"),
        ("no/such/folder", {}, DataError, "no/such/folder: there is no such folder"),
        ("images.zip", {}, DataError, "images.zip: there is no such folder"),
        ("wds/no/such/folder", {}, DataError, "wds/no/such/folder|_info.json"),
        ("hfds/no/such/set", {}, DataError, "hfds/no/such/set"),
        ("digits", {"resolution": 100}, ArchitectureError, "resolution 100"),
        ("digits", {"max_train": 0}, DataError, "max_train is 0; expected at least 1 image"),
        ("digits", {"max_train": -3}, DataError, "max_train is -3; expected at least 1 image"),
        ("digits", {"matching_images": -1}, DataError, "matching_images is -1; expected 0 or more"),
        ("digits", {"matching_images": 1294}, DataError, "1294 training images are too few"),
        ("digits", {"matching_images": 5000}, DataError, "are too few to hold 5000 out of them"),
    ],
)
@pytest.mark.usefixtures("workdir")
def test_what_cannot_be_opened_is_told(name: str, changes, error: type[Exception], told: str):
    with pytest.raises(error) as caught:
        opened(name, **changes)
    assert re.search(told, f"{caught.value.message} {caught.value.hint}")
