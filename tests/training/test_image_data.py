"""Batches in memory: layout, preprocessing, augmentation, order."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from pipeline.records import Preprocessing
from pipeline.training.datasets import open_dataset
from pipeline.training.image_data import SPLITS, Augmentation, ImageData, augment, preprocess
from pipeline.training.randomness import generator_for


@given(st.integers(0, 3), st.booleans(), st.integers(0, 100))
def test_augmented_images_are_shifted_and_mirrored_ones(padding: int, flip: bool, seed: int):
    pixels = torch.arange(1, 2 * 5 * 6 + 1, dtype=torch.uint8).reshape(2, 5, 6)
    varied = augment(pixels, Augmentation(padding, flip), generator_for(seed))
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
    varied = augment(pixels, Augmentation(1, flip=True), generator_for(0))
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
    once = list(digits.train_batches(64, seed=3, epoch=1))
    again = list(digits.train_batches(64, seed=3, epoch=1))
    assert len(once) == digits.num_train_batches(64) == 5
    for (images, labels), (same, of) in zip(once, again, strict=True):
        assert torch.equal(images, same)
        assert torch.equal(labels, of)
    for seed, epoch in ((3, 2), (4, 1)):
        other = next(iter(digits.train_batches(64, seed=seed, epoch=epoch)))
        assert not torch.equal(once[0][0], other[0])


def test_an_epoch_shows_every_class_as_often_as_there_are_images(digits: ImageData):
    labels = torch.cat([of for _, of in digits.train_batches(64, seed=0, epoch=0)])
    shown = torch.cat([of for _, of in digits.batches("train", 100)])
    assert torch.equal(labels.bincount(), shown.bincount())


def test_a_batch_larger_than_the_data_holds_all_of_it(digits: ImageData):
    ((images, _),) = digits.train_batches(1000, seed=0, epoch=0)
    assert len(images) == digits.record.num_train


@pytest.mark.parametrize("split", SPLITS)
def test_batches_cover_a_split_in_one_order(digits: ImageData, split):
    in_tens = [torch.cat(parts) for parts in zip(*digits.batches(split, 10), strict=True)]
    in_seventies = [torch.cat(parts) for parts in zip(*digits.batches(split, 70), strict=True)]
    assert torch.equal(in_tens[0], in_seventies[0])
    assert torch.equal(in_tens[1], in_seventies[1])
    assert torch.equal(digits.sample(split, 13), in_tens[0][:13])
    assert len(digits.sample(split, 10**6)) == len(in_tens[0])


@settings(max_examples=10)
@given(st.integers(0, 2**31))
def test_the_three_splits_are_a_partition_of_the_data(seed: int):
    data = open_dataset("digits", resolution=32, seed=seed)
    record = data.record
    sizes = [record.num_train, record.num_search_validation, record.num_test]
    assert sizes == [1294, 143, 360]
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
