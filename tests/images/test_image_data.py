"""Batches in memory: layout, preprocessing, augmentation, order, sizes, shares, devices."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from pipeline.errors import ArchitectureError, DataError, PipelineError, UsageError
from pipeline.images.datasets import open_dataset
from pipeline.images.epoch import Epoch
from pipeline.images.image_data import SPLITS, ImageData
from pipeline.images.in_memory import Augmentation, preprocess, random_views
from pipeline.images.randomness import generator_for
from pipeline.records.dataset import Preprocessing


@pytest.fixture(scope="module")
def matched() -> ImageData:
    """320 training images of 32 pixels, and 45 for the matching network."""
    return open_dataset("digits", resolution=32, seed=0, max_train=320, matching_images=45)


@given(st.integers(0, 3), st.booleans(), st.integers(0, 100))
def test_augmented_images_are_shifted_and_mirrored_ones(padding: int, flip: bool, seed: int):
    pixels = torch.arange(1, 2 * 5 * 6 + 1, dtype=torch.uint8).reshape(2, 5, 6)
    varied = random_views((2, 5, 6), Augmentation(padding, flip), generator_for(seed)).of(pixels)
    padded = F.pad(pixels, (padding,) * 4)
    for one, many in zip(varied, padded, strict=True):
        windows = [
            many[y : y + 5, x : x + 6]
            for y in range(2 * padding + 1)
            for x in range(2 * padding + 1)
        ]
        if flip:
            windows += [window.flip(1) for window in windows]
        assert any(torch.equal(one, window) for window in windows)


def test_augmentation_reaches_every_shift_and_both_sides():
    pixels = torch.zeros(2000, 3, 3, dtype=torch.uint8)
    pixels[:, 1, 0] = 1
    varied = random_views((2000, 3, 3), Augmentation(1, flip=True), generator_for(0)).of(pixels)
    seen = {tuple(spot) for spot in varied.nonzero()[:, 1:].tolist()}
    assert seen == {(y, x) for y in range(3) for x in range(3)}


@pytest.mark.parametrize("resolution", [32, 64])
def test_preprocessing_is_what_the_record_says(resolution: int):
    how = Preprocessing(
        resolution=resolution, grayscale_to_rgb=True, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7)
    )
    pixels = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8)
    inputs = preprocess(pixels, how)
    assert inputs.shape == (3, 3, resolution, resolution)
    assert inputs.dtype == torch.float32
    assert inputs.is_contiguous(memory_format=torch.channels_last)
    scaled = F.interpolate(pixels[:, None] / 255, size=resolution, mode="bilinear")
    for channel, (mean, std) in enumerate(zip(how.mean, how.std, strict=True)):
        expected = (scaled[:, 0] - mean) / std
        torch.testing.assert_close(inputs[:, channel], expected)


def test_training_batches_depend_on_seed_and_epoch_only(digits: ImageData):
    once = list(digits.train_batches(Epoch(64, seed=3, number=1)))
    again = list(digits.train_batches(Epoch(64, seed=3, number=1)))
    assert len(once) == digits.num_train_batches(64) == 5
    for (images, labels), (same, of) in zip(once, again, strict=True):
        assert torch.equal(images, same)
        assert torch.equal(labels, of)
    for seed, epoch in ((3, 2), (4, 1)):
        other = next(iter(digits.train_batches(Epoch(64, seed=seed, number=epoch))))
        assert not torch.equal(once[0][0], other[0])


def test_an_epoch_shows_every_class_as_often_as_there_are_images(digits: ImageData):
    labels = torch.cat([of for _, of in digits.train_batches(Epoch(64, seed=0, number=0))])
    shown = torch.cat([of for _, of in digits.batches("train", 100)])
    assert torch.equal(labels.bincount(), shown.bincount())


def test_a_batch_larger_than_the_data_holds_all_of_it(digits: ImageData):
    ((images, _),) = digits.train_batches(Epoch(1000, seed=0, number=0))
    assert len(images) == digits.record.num_train


def test_an_epoch_is_the_one_it_always_was(digits: ImageData, digest: Callable[..., str]):
    # Fourfold enlargement of bytes is exact in float32: the digest is the same on every CPU.
    assert digest(digits.train_batches(Epoch(64, seed=3, number=1))) == (
        "e5433f3e5116d6529bf2c09c5eb81aa274804232be6adf65f60fdba2479681ba"
    )
    assert digest(digits.batches("search-validation", 50)) == (
        "ac837d584f642dfd108409d656976cf9640ce2c20f5c431069817c77c10c4434"
    )


@settings(max_examples=20)
@given(
    st.integers(1, 4),
    st.integers(8, 40),
    st.integers(0, 40),
    st.lists(st.sampled_from([32, 64, 96]), min_size=40, max_size=40),
)
def test_a_step_is_the_same_from_any_start_in_any_parts(
    digits: ImageData, count: int, rows: int, start: int, sizes: list[int]
):
    size = count * rows
    steps = digits.num_train_batches(size)
    start = min(start, steps)
    plain = list(digits.train_batches(Epoch(size, seed=1, number=2)))
    whole = list(
        digits.train_batches(Epoch(size, seed=1, number=2, resolution_at=lambda s: sizes[s]))
    )
    assert len(plain) == len(whole) == steps
    for step, (images, labels) in enumerate(whole):
        assert images.shape == (size, 3, sizes[step], sizes[step])
        assert torch.equal(labels, plain[step][1])
        assert sizes[step] != 32 or torch.equal(images, plain[step][0])
    parts = [
        list(
            digits.train_batches(
                Epoch(
                    size,
                    seed=1,
                    number=2,
                    start=start,
                    part=(index, count),
                    resolution_at=lambda s: sizes[s],
                )
            )
        )
        for index in range(count)
    ]
    joined = [
        tuple(torch.cat(tensors) for tensors in zip(*of_step, strict=True))
        for of_step in zip(*parts, strict=True)
    ]
    assert len(joined) == steps - start
    for (images, labels), (expected, of) in zip(joined, whole[start:], strict=True):
        assert torch.equal(images, expected)
        assert torch.equal(labels, of)


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


def test_at_another_size_it_is_as_if_opened_there(matched: ImageData):
    large = matched.at(64)
    opened = open_dataset("digits", resolution=64, seed=0, max_train=320, matching_images=45)
    assert large.record == opened.record
    assert matched.record.preprocessing.resolution == 32
    for split in SPLITS:
        assert torch.equal(large.sample(split, 100), opened.sample(split, 100))
    steps = zip(
        large.train_batches(Epoch(64, seed=0, number=0)),
        opened.train_batches(Epoch(64, seed=0, number=0)),
        matched.train_batches(Epoch(64, seed=0, number=0, resolution_at=lambda _: 64)),
        strict=True,
    )
    for (one, _), (other, _), (third, _) in steps:
        assert torch.equal(one, other)
        assert torch.equal(one, third)
    with pytest.raises(ArchitectureError, match="resolution 100"):
        matched.at(100)


def test_on_a_device_everything_is_made_there(matched: ImageData, digest: Callable[..., str]):
    there = matched.to("cpu")
    for split in SPLITS:
        assert digest(there.batches(split, 50)) == digest(matched.batches(split, 50))
    assert digest(there.train_batches(Epoch(64, seed=0, number=0))) == digest(
        matched.train_batches(Epoch(64, seed=0, number=0))
    )
    # Tensors on `meta` hold no numbers, and refuse to be combined with tensors of a CPU.
    nowhere = matched.to("meta").at(64)
    for split in SPLITS:
        assert nowhere.sample(split, 7).device.type == "meta"
    for images, labels in nowhere.train_batches(Epoch(64, seed=0, number=0, part=(1, 2))):
        assert images.device.type == labels.device.type == "meta"
        assert images.shape == (32, 3, 64, 64)
        assert images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("split", SPLITS)
def test_batches_cover_a_split_in_one_order(matched: ImageData, split):
    in_tens = [torch.cat(parts) for parts in zip(*matched.batches(split, 10), strict=True)]
    in_seventies = [torch.cat(parts) for parts in zip(*matched.batches(split, 70), strict=True)]
    assert torch.equal(in_tens[0], in_seventies[0])
    assert torch.equal(in_tens[1], in_seventies[1])
    assert torch.equal(matched.sample(split, 13), in_tens[0][:13])
    assert len(matched.sample(split, 10**6)) == len(in_tens[0])


def test_nothing_is_held_out_for_matching_unless_asked(digits: ImageData):
    assert digits.record.num_matching_validation == 0
    assert list(digits.batches("matching-validation", 10)) == []
    with pytest.raises(DataError, match="there are no images in matching-validation") as caught:
        digits.sample("matching-validation", 1)
    assert "matching_images" in (caught.value.hint or "")


@settings(max_examples=10)
@given(st.integers(0, 2**31), st.integers(1, 1293))
def test_the_splits_are_a_partition_of_the_data(seed: int, matching: int):
    data = open_dataset("digits", resolution=32, seed=seed, matching_images=matching)
    record = data.record
    sizes = [
        record.num_train,
        record.num_matching_validation,
        record.num_search_validation,
        record.num_test,
    ]
    assert sizes == [1294 - matching, matching, 143, 360]
    parts = [torch.cat([of for of, _ in data.batches(split, 500)]) for split in SPLITS]
    assert [len(part) for part in parts] == sizes
    everything = torch.cat(parts)[:, 0].flatten(1).double().sum(1).numpy()
    bundle = _all_digits()
    np.testing.assert_allclose(np.sort(everything), np.sort(bundle), rtol=1e-6)


def test_the_test_split_does_not_depend_on_the_seed():
    one, other = (open_dataset("digits", resolution=32, seed=seed) for seed in (0, 1))
    assert torch.equal(one.sample("test", 360), other.sample("test", 360))
    assert not torch.equal(
        one.sample("search-validation", 143), other.sample("search-validation", 143)
    )


def _all_digits() -> np.ndarray:
    """Sum over the preprocessed pixels of each image: as good as a name for it."""
    from sklearn.datasets import load_digits

    record = open_dataset("digits", resolution=32, seed=0).record
    pixels = np.round(load_digits().images * (255 / 16)).astype(np.uint8)
    inputs = preprocess(torch.from_numpy(pixels), record.preprocessing)
    return inputs[:, 0].flatten(1).double().sum(1).numpy()
