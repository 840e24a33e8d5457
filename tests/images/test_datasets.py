"""What can be opened by name, and what is told of the rest."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pipeline.errors import ArchitectureError, DataError, UnknownNameError
from pipeline.images.datasets import open_dataset
from pipeline.images.image_data import SPLITS


def test_digits_are_bundled():
    data = open_dataset("digits", resolution=64, seed=0)
    assert data.num_classes == 10
    assert data.record.class_names == tuple("0123456789")
    assert data.record.checksum == (
        "0b7e9c3202d7bcd255d6a19a238d3743bf5e320ba74812a6679958a017c55382"
    )
    inputs = data.sample("train", 1294)
    assert inputs.shape == (1294, 3, 64, 64)
    assert abs(float(inputs.mean())) < 0.05
    assert 0.8 < float(inputs.std()) < 1.1


def test_fewer_training_images_leave_the_other_splits_alone():
    whole = open_dataset("digits", resolution=32, seed=0, matching_images=30)
    part = open_dataset("digits", resolution=32, seed=0, matching_images=30, max_train=100)
    assert part.record.num_train == 100
    assert len(part.sample("train", 1000)) == 100
    for split in SPLITS[1:]:
        assert part.sample(split, 10**4).equal(whole.sample(split, 10**4))


def test_matching_images_leave_the_other_splits_alone():
    plain = open_dataset("digits", resolution=32, seed=0)
    held = open_dataset("digits", resolution=32, seed=0, max_train=100, matching_images=200)
    assert (held.record.num_train, held.record.num_matching_validation) == (100, 200)
    for split in ("search-validation", "test"):
        assert held.sample(split, 10**4).equal(plain.sample(split, 10**4))
    images = torch.cat([held.sample(split, 10**4) for split in SPLITS])
    assert len(images) == 100 + 200 + 143 + 360
    assert len(images.flatten(1).unique(dim=0)) == len(images)
    labels = torch.cat([of for _, of in held.batches("matching-validation", 50)])
    assert labels.bincount().min() >= 18


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("digit", UnknownNameError, "did you mean 'digits'"),
        ("fashion_mnist", UnknownNameError, "did you mean 'fashion-mnist'"),
        ("no/such/folder", DataError, "no/such/folder: there is no such folder"),
        ("images.zip", DataError, "images.zip: there is no such folder"),
        ("wds/no/such/folder", DataError, "wds/no/such/folder|_info.json"),
        ("hfds/no/such/set", DataError, "hfds/no/such/set"),
    ],
)
@pytest.mark.usefixtures("workdir")
def test_what_is_not_there_is_told(name: str, error: type[Exception], message: str):
    with pytest.raises(error) as caught:
        open_dataset(name, resolution=32, seed=0)
    told = f"{caught.value.message} {caught.value.hint}"
    assert any(part in told for part in message.split("|"))


def test_resolutions_are_those_of_the_spaces():
    with pytest.raises(ArchitectureError, match="resolution 100"):
        open_dataset("digits", resolution=100, seed=0)


@pytest.mark.parametrize("max_train", [0, -3])
def test_training_needs_images(max_train: int):
    with pytest.raises(DataError, match=f"max_train is {max_train}"):
        open_dataset("digits", resolution=32, seed=0, max_train=max_train)


@pytest.mark.parametrize(
    ("matching", "message"),
    [
        (-1, "matching_images is -1; expected 0 or more"),
        (1294, "1294 training images are too few to hold 1294 out of them"),
        (5000, "1294 training images are too few to hold 5000 out of them"),
    ],
)
def test_matching_needs_images(matching: int, message: str):
    with pytest.raises(DataError, match=message):
        open_dataset("digits", resolution=32, seed=0, matching_images=matching)


def test_a_folder_is_opened_by_its_path(image_folder: Callable[..., Path]):
    root = image_folder({"train": {"cat": 20, "dog": 20}, "val": {"cat": 3, "dog": 3}})
    assert open_dataset(str(root), resolution=32, seed=0).record.class_names == ("cat", "dog")
