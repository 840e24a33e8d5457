"""What images of every kind promise: splits, order, epochs, sizes, shares, devices."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ArchitectureError, DataError, PipelineError, UsageError
from pipeline.images.epoch import Epoch
from pipeline.images.image_data import SPLITS, ImageData
from tests.images.conftest import KINDS
from tests.images.made import (
    assert_same,
    assert_steps_agree,
    digest,
    everything,
    opened,
    write_folder,
)

EPOCH = Epoch(8, seed=1, number=2)
# Which images of a stream meet in a batch depends on the worker processes.
in_one_order = pytest.mark.parametrize("kind", ["digits", "folder"], indirect=True)


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [
        ("digits", [40, 45, 143, 360]),
        ("folder", [40, 20, 9, 10]),
        pytest.param("shards", [30, 20, 10, 20], marks=pytest.mark.slow),
    ],
    indirect=["kind"],
)
def test_the_splits_are_as_the_record_says_and_share_no_image(data: ImageData, sizes: list[int]):
    parts, record = [everything(data, split)[0] for split in SPLITS], data.record
    assert [len(part) for part in parts] == sizes
    assert sizes == [
        record.num_train,
        record.num_matching_validation,
        record.num_search_validation,
        record.num_test,
    ]
    images = torch.cat(parts)
    assert images.dtype == torch.float32
    assert images.shape[1:] == (3, 32, 32)
    assert len(images.flatten(1).unique(dim=0)) == len(images)


def test_images_for_training_and_matching_leave_the_other_splits_alone(
    kind: str, name: str, data: ImageData
):
    plain = opened(name)
    for split in ("search-validation", "test"):
        assert_same(data.batches(split, 16), plain.batches(split, 16))
    matched = opened(name, matching_images=KINDS[kind]["matching_images"])
    assert_same(data.batches("matching-validation", 16), matched.batches("matching-validation", 16))
    assert plain.record.num_matching_validation == 0
    assert list(plain.batches("matching-validation", 10)) == []
    assert plain.originals("matching-validation", 10) == []
    with pytest.raises(DataError, match="there are no images in matching-validation") as caught:
        plain.sample("matching-validation", 1)
    assert "matching_images" in (caught.value.hint or "")


def test_the_seed_decides_what_is_held_out_and_not_what_is_test(name: str):
    one, other = (opened(name, seed=seed) for seed in (0, 1))
    assert_same(one.batches("test", 64), other.batches("test", 64))
    validation = (everything(data, "search-validation")[0] for data in (one, other))
    assert not torch.equal(*validation)


@in_one_order
@pytest.mark.parametrize("split", SPLITS)
def test_batches_cover_a_split_in_one_order(data: ImageData, split):
    images, labels = everything(data, split)
    in_sevens = [torch.cat(parts) for parts in zip(*data.batches(split, 7), strict=True)]
    assert torch.equal(images, in_sevens[0])
    assert torch.equal(labels, in_sevens[1])
    for n in (5, 130):
        assert torch.equal(data.sample(split, n), images[:n])
    sample, of = data.labelled_sample(split, 10**6)
    assert torch.equal(sample, images)
    assert torch.equal(of, labels)


def test_training_batches_depend_on_seed_and_epoch_only(data: ImageData):
    once = list(data.train_batches(EPOCH))
    assert len(once) == data.num_train_batches(8) == data.record.num_train // 8
    assert_same(data.train_batches(EPOCH), once)
    for other in (replace(EPOCH, seed=2), replace(EPOCH, number=3)):
        assert not torch.equal(next(iter(data.train_batches(other)))[0], once[0][0])


@in_one_order
def test_an_epoch_shows_every_class_as_often_as_there_are_images(data: ImageData):
    labels = torch.cat([of for _, of in data.train_batches(EPOCH)])
    assert torch.equal(labels.bincount(), everything(data, "train")[1].bincount())


@in_one_order
def test_a_batch_larger_than_the_data_holds_all_of_it(data: ImageData):
    ((images, _),) = data.train_batches(replace(EPOCH, batch_size=1000))
    assert len(images) == data.record.num_train


# Fourfold enlargement of bytes is exact in float32: the digests of digits are the same on every
# CPU.
@pytest.mark.parametrize(
    ("content", "batch_size", "trained", "validation"),
    [
        (
            None,
            64,
            "e5433f3e5116d6529bf2c09c5eb81aa274804232be6adf65f60fdba2479681ba",
            "ac837d584f642dfd108409d656976cf9640ce2c20f5c431069817c77c10c4434",
        ),
        (
            {"train": {"cat": 30, "dog": 20}, "val": {"cat": 4, "dog": 4}},
            8,
            "6ce609270fb9684892c11e5fa0ba13b60900f8d6df00542a3152a76dd67c6104",
            "f9c099eab7438b72e69d185e067e558911f52ab57e09f2158436fae382a96ecf",
        ),
    ],
    ids=["digits", "folder"],
)
def test_an_epoch_is_the_one_it_always_was(
    digits: ImageData, tmp_path: Path, content, batch_size: int, trained: str, validation: str
):
    data = opened(write_folder(tmp_path, content)) if content else digits
    assert digest(data.train_batches(Epoch(batch_size, seed=3, number=1))) == trained
    assert digest(data.batches("search-validation", 50)) == validation


@in_one_order
@settings(max_examples=10)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(0, 40), st.data())
def test_a_step_is_the_same_from_any_start_in_any_parts(
    data: ImageData, count: int, rows: int, start: int, draw: st.DataObject
):
    steps = data.num_train_batches(count * rows)
    sizes = draw.draw(st.lists(st.sampled_from([32, 64]), min_size=steps, max_size=steps))
    epoch = replace(EPOCH, batch_size=count * rows, start=min(start, steps))
    assert_steps_agree(data, epoch, count, sizes)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"start": -1}, UsageError, "start is -1; expected 0 to 5"),
        ({"start": 6}, UsageError, "start is 6; expected 0 to 5"),
        ({"part": (-1, 2)}, UsageError, "part is -1 of 2 processes"),
        ({"part": (2, 2)}, UsageError, "part is 2 of 2 processes"),
        ({"part": (0, 0)}, UsageError, "part is 0 of 0 processes"),
        ({"part": (0, 3)}, UsageError, "a batch of 64 images cannot be shared evenly by 3"),
        ({"part": (0, 2), "batch_size": 400}, DataError, "320 training images do not fill one"),
        ({"resolution_at": lambda s: 32 + s // 4}, ArchitectureError, "resolution 33"),
    ],
)
def test_what_cannot_be_given_is_told_before_anything_is(
    digits: ImageData, arguments: dict, error: type[PipelineError], message: str
):
    with pytest.raises(error, match=message):
        digits.train_batches(Epoch(**{"batch_size": 64, "seed": 0, "number": 0, **arguments}))


def test_at_another_size_it_is_as_if_opened_there(kind: str, name: str, data: ImageData):
    large, there = data.at(64), opened(name, resolution=64, **KINDS[kind])
    assert large.record == there.record
    assert data.record.preprocessing.resolution == 32
    for split in SPLITS[1:]:
        assert_same(large.batches(split, 50), there.batches(split, 50))
    expected = list(there.train_batches(EPOCH))
    assert_same(large.train_batches(EPOCH), expected)
    assert_same(data.train_batches(replace(EPOCH, resolution_at=lambda _: 64)), expected)
    with pytest.raises(ArchitectureError, match="resolution 100"):
        data.at(100)


def test_on_a_device_everything_is_made_there(data: ImageData):
    there = data.to("cpu")
    assert_same(there.train_batches(EPOCH), data.train_batches(EPOCH))
    assert_same(there.batches("test", 50), data.batches("test", 50))
    # Tensors on `meta` hold no numbers, and refuse to be combined with tensors of a CPU.
    nowhere = data.to("meta").at(64)
    for split in SPLITS:
        assert nowhere.sample(split, 7).device.type == "meta"
    for images, labels in nowhere.train_batches(replace(EPOCH, part=(1, 2))):
        assert images.device.type == labels.device.type == "meta"
        assert images.shape == (4, 3, 64, 64)
        assert images.is_contiguous(memory_format=torch.channels_last)


def test_rand_augment_varies_training_images_alone(data: ImageData):
    varied = data.varied("rand-m9-mstd0.5")
    plain, further = (list(images.train_batches(EPOCH)) for images in (data, varied))
    for (one, labels), (other, of) in zip(plain, further, strict=True):
        assert not torch.equal(one, other)
        assert torch.equal(labels, of)
    assert_same(varied.train_batches(EPOCH), further)
    assert_same(varied.train_batches(replace(EPOCH, start=2)), further[2:])
    assert_same(varied.batches("test", 16), data.batches("test", 16))
    large, also_varied = data.at(64), varied.at(64).to("cpu")
    at_64 = [next(iter(images.train_batches(EPOCH)))[0] for images in (large, also_varied)]
    assert not torch.equal(*at_64)
