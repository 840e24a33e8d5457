"""RandAugment, seeded image by image."""

import numpy as np
import torch
from PIL import Image

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
