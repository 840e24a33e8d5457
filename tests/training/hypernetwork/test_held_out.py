"""Images held out for the board and the matching network."""

import pytest
import torch

from pipeline.errors import DataError
from pipeline.images.datasets import open_dataset
from pipeline.images.image_data import ImageData
from pipeline.training.hypernetwork.held_out import HeldOut

CPU = torch.device("cpu")


def test_all_paths_of_a_run_are_compared_on_the_same_images(matched_digits: ImageData):
    held_out = HeldOut.of({32: matched_digits, 64: matched_digits.at(64)}, 140, CPU)
    images, labels = held_out.shared(32)
    assert images.shape == (128, 3, 32, 32)
    larger, same = held_out.shared(64)
    assert larger.shape == (128, 3, 64, 64)
    assert torch.equal(labels, same)
    again = HeldOut.of({32: matched_digits}, 140, CPU).shared(32)[0]
    assert torch.equal(images, again)


def test_a_step_draws_among_all_of_them(matched_digits: ImageData):
    held_out = HeldOut.of({32: matched_digits}, 140, CPU)
    first, second = (held_out.drawn(32, seed=0, at=at)[0] for at in (7, 8))
    assert first.shape == second.shape == (128, 3, 32, 32)
    assert not torch.equal(first, second)
    assert torch.equal(first, held_out.drawn(32, seed=0, at=7)[0])


def test_none_held_out_is_told():
    digits = open_dataset("digits", resolution=32, seed=0, max_train=192)
    with pytest.raises(DataError, match="no images in matching-validation"):
        HeldOut.of({32: digits}, 140, CPU)
