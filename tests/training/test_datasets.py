"""What can be opened by name, and what is told of the rest."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import ArchitectureError, DataError, UnknownNameError
from pipeline.training.datasets import open_dataset
from pipeline.training.image_data import SPLITS


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
    whole = open_dataset("digits", resolution=32, seed=0)
    part = open_dataset("digits", resolution=32, seed=0, max_train=100)
    assert part.record.num_train == 100
    assert len(part.sample("train", 1000)) == 100
    for split in SPLITS[1:]:
        assert part.sample(split, 10**4).equal(whole.sample(split, 10**4))


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


def test_a_folder_is_opened_by_its_path(image_folder: Callable[..., Path]):
    root = image_folder({"train": {"cat": 20, "dog": 20}, "val": {"cat": 3, "dog": 3}})
    assert open_dataset(str(root), resolution=32, seed=0).record.class_names == ("cat", "dog")
