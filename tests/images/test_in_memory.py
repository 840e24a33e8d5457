"""Images in memory: how they are varied and preprocessed."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from pipeline.images.in_memory import Augmentation, preprocess, random_views
from pipeline.images.randomness import generator_for
from pipeline.records.dataset import Preprocessing


@settings(max_examples=40)
@given(st.integers(0, 3), st.booleans(), st.integers(0, 100))
def test_augmented_images_are_shifted_and_mirrored_ones(padding: int, flip: bool, seed: int):
    pixels = torch.arange(1, 2 * 5 * 6 + 1, dtype=torch.uint8).reshape(2, 5, 6)
    varied = random_views((2, 5, 6), Augmentation(padding, flip), generator_for(seed)).of(pixels)
    padded = F.pad(pixels, (padding,) * 4)
    for one, many in zip(varied, padded, strict=True):
        windows = many.unfold(0, 5, 1).unfold(1, 6, 1).flatten(0, 1)
        if flip:
            windows = torch.cat([windows, windows.flip(2)])
        assert (windows == one).all(dim=(1, 2)).any()


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
