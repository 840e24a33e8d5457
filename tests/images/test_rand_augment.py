"""RandAugment, seeded image by image."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pipeline.images.datasets import open_dataset
from pipeline.images.epoch import Epoch
from pipeline.images.image_data import ImageData
from pipeline.images.rand_augment import rand_augmented, rand_augmented_gray

HOW = "rand-m9-mstd0.5"
PIXELS = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (12, 32, 32), np.uint8))


def test_the_same_seed_gives_the_same_image():
    image = Image.fromarray(PIXELS[0].numpy()).convert("RGB")
    varied = {rand_augmented(image, HOW, seed).tobytes() for seed in range(20)}
    assert len(varied) > 10
    assert rand_augmented(image, HOW, 4).tobytes() == rand_augmented(image, HOW, 4).tobytes()


def test_gray_images_stay_gray_bytes_and_each_is_varied_on_its_own():
    same = PIXELS[:1].expand(12, -1, -1)
    varied = rand_augmented_gray(same, HOW, 0, "epoch", 1)
    assert varied.shape == same.shape
    assert varied.dtype == torch.uint8
    assert len({each.numpy().tobytes() for each in varied}) > 6
    assert torch.equal(varied, rand_augmented_gray(same, HOW, 0, "epoch", 1))
    assert not torch.equal(varied, rand_augmented_gray(same, HOW, 0, "epoch", 2))


def test_training_images_are_varied_and_the_others_are_not(digits: ImageData):
    varied = digits.varied(HOW)
    plain, further = (next(d.train_batches(Epoch(32, seed=0, number=0))) for d in (digits, varied))
    again = next(varied.train_batches(Epoch(32, seed=0, number=0)))
    assert torch.equal(plain[1], further[1])
    assert not torch.equal(plain[0], further[0])
    assert torch.equal(further[0], again[0])
    one, other = (next(d.batches("test", 32))[0] for d in (digits, varied))
    assert torch.equal(one, other)


def test_a_run_that_goes_on_within_an_epoch_is_given_the_same(digits: ImageData):
    varied = digits.varied(HOW)
    whole = list(varied.train_batches(Epoch(32, seed=0, number=1)))
    rest = list(varied.train_batches(Epoch(32, seed=0, number=1, start=7)))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(whole[7:], rest, strict=True))


def test_photographs_are_varied_the_same_way_for_the_same_epoch(
    image_folder: Callable[..., Path],
):
    folder = image_folder({"train": {"cat": 20, "dog": 20}})
    data = open_dataset(str(folder), resolution=32, seed=0)
    varied = data.varied(HOW)
    plain, one, other = (
        next(d.train_batches(Epoch(8, seed=0, number=0))) for d in (data, varied, varied)
    )
    assert torch.equal(one[1], plain[1])
    assert torch.equal(one[0], other[0])
    assert not torch.equal(one[0], plain[0])
    resized = varied.at(64).to("cpu")
    assert not torch.equal(
        next(resized.train_batches(Epoch(8, seed=0, number=0)))[0],
        next(data.at(64).train_batches(Epoch(8, seed=0, number=0)))[0],
    )
    assert torch.equal(next(varied.batches("test", 4))[0], next(data.batches("test", 4))[0])
