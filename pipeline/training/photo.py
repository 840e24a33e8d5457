"""Photographs as network inputs, with the mean and deviation ImageNet models use."""

from __future__ import annotations

import math
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor

from pipeline.dataset_record import Preprocessing
from pipeline.errors import DataError
from pipeline.training.image_data import standardized

Pixels = NDArray[np.uint8]

# The crop of Szegedy et al. (2015), less drastic: small networks trained for few epochs gain
# nothing from seeing 8 % of an image.
_CROP_AREA = (0.35, 1.0)
_CROP_RATIO = (3 / 4, 4 / 3)

# Pillow's decoders raise any of these for a damaged file.
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


def photo_preprocessing(resolution: int) -> Preprocessing:
    """The whole image squeezed to a square: nothing is cut off, so the record says it all."""
    return Preprocessing(
        resolution=resolution,
        resize="bicubic",
        mean=IMAGENET_DEFAULT_MEAN,
        std=IMAGENET_DEFAULT_STD,
    )


def read_photo(file: BinaryIO, name: str) -> Image.Image:
    """Decodes an image file.

    Raises:
        DataError: It is no image, or a damaged one; `name` says which.
    """
    try:
        with file, Image.open(file) as image:
            return image.convert("RGB")
    except _UNREADABLE as error:
        raise DataError(
            f"{name}: cannot be read as an image: {error}", hint="replace or remove the file"
        ) from None


def to_pixels(image: Image.Image, resolution: int) -> Pixels:
    """An image as it is evaluated; shape (resolution, resolution, 3)."""
    return np.asarray(image.resize((resolution, resolution), Image.Resampling.BICUBIC))


def to_varied_pixels(image: Image.Image, resolution: int, seed: int) -> Pixels:
    """An image as it is trained on: a random crop, mirrored half the time; same shape."""
    random = np.random.default_rng(seed)
    area = image.width * image.height * random.uniform(*_CROP_AREA)
    ratio = math.exp(random.uniform(math.log(_CROP_RATIO[0]), math.log(_CROP_RATIO[1])))
    width = min(image.width, max(1, round(math.sqrt(area * ratio))))
    height = min(image.height, max(1, round(math.sqrt(area / ratio))))
    left = int(random.integers(image.width - width + 1))
    top = int(random.integers(image.height - height + 1))
    box = (left, top, left + width, top + height)
    size = (resolution, resolution)
    pixels: Pixels = np.asarray(image.resize(size, Image.Resampling.BICUBIC, box=box))
    return pixels[:, ::-1] if random.random() < 0.5 else pixels


def to_inputs(pixels: Tensor, how: Preprocessing) -> Tensor:
    """Makes network inputs of pixels.

    Args:
        pixels: uint8 of shape (n, r, r, 3).
        how: Mean and standard deviation.

    Returns:
        float32 of shape (n, 3, r, r), channels-last.
    """
    return standardized(pixels.permute(0, 3, 1, 2).float(), how)
