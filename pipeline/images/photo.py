"""Photographs as network inputs, with the mean and deviation ImageNet models use.

What becomes of an image file, in this order; a deployment has to do the same:

1. It is opened by its content, whatever its suffix, as one of `FORMATS`. Of an animation or of
   several pages it is the first. More pixels than Pillow takes for harmless
   (`Image.MAX_IMAGE_PIXELS`) are refused.
2. It is turned as its EXIF orientation says (`ImageOps.exif_transpose`).
3. It is brought to 8-bit RGB (`to_rgb`): 16-bit gray keeps its high byte, transparency is laid over
   white, gray is repeated, CMYK is converted by Pillow without a colour profile.
4. The whole image is squeezed to a square with Pillow's bicubic filter, which averages over the
   pixels it drops (`to_pixels`).
5. Pixel values are scaled to 0..1, and mean and deviation taken out (`to_inputs`).
"""

from __future__ import annotations

import io
import math
import struct
import warnings
from functools import lru_cache
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor

from pipeline.errors import DataError
from pipeline.images.image_data import standardized
from pipeline.images.rand_augment import rand_augmented
from pipeline.images.randomness import seed_for
from pipeline.records.dataset import Preprocessing

Pixels = NDArray[np.uint8]

# The crop of Szegedy et al. (2015), less drastic: small networks trained for few epochs gain
# nothing from seeing 8 % of an image.
_CROP_AREA = (0.35, 1.0)
_CROP_RATIO = (3 / 4, 4 / 3)

# Pillow knows others, of which some run programs (PostScript). AVIF is not in every build.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")

# Pillow's decoders raise any of these for a damaged file.
_UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    KeyError,
    IndexError,
    TypeError,
    OverflowError,
    NotImplementedError,
    struct.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
_TOO_LARGE = (Image.DecompressionBombError, Image.DecompressionBombWarning)

# Pillow only warns of an image that is up to twice as large as it takes for harmless.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


def photo_preprocessing(resolution: int) -> Preprocessing:
    """The whole image squeezed to a square: nothing is cut off, so the record says it all."""
    return Preprocessing(
        resolution=resolution,
        exif_transpose=True,
        transparent_over="white",
        resize="bicubic",
        antialias=True,
        mean=IMAGENET_DEFAULT_MEAN,
        std=IMAGENET_DEFAULT_STD,
    )


def read_photo(file: BinaryIO, name: str) -> Image.Image:
    """Decodes an image file; steps 1 to 3 of what this module says.

    Returns:
        An image in mode RGB.

    Raises:
        DataError: It is no image, or a damaged one; `name` says which.
    """
    try:
        with file, Image.open(file, formats=_formats()) as image:
            return to_rgb(image)
    except _UNREADABLE as error:
        raise DataError(
            f"{name}: cannot be read as an image: {_reason(error)}",
            hint="replace or remove the file",
        ) from None


def unreadable(content: bytes) -> str | None:
    """Why a file with this content cannot be read by `read_photo`; None where it can.

    The reason is the same on every machine and names no place in memory.
    """
    if not content:
        return "is empty"
    try:
        with Image.open(io.BytesIO(content), formats=_formats()) as image:
            # A JPEG at an eighth of its size is read to its end as well, in a fraction of the time.
            image.draft(None, (1, 1))
            to_rgb(image)
    except _UNREADABLE as error:
        return _reason(error)
    return None


def to_rgb(image: Image.Image) -> Image.Image:
    """Turns an image upright and brings it to 8-bit RGB.

    Raises:
        ValueError: Its pixels have no range that says what is white, or its colours are in a space
            that Pillow does not convert.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        # Pillow's own conversion cuts off what is above 255; colour in 16 bits it reads like this.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError(
            f"{'32-bit integer' if image.mode == 'I' else 'floating-point'} pixels have no range "
            "that says what is white; save it with 8 or 16 bits"
        )
    if image.has_transparency_data:
        # What lies under transparent pixels is whatever a program left there.
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


@lru_cache(maxsize=1)
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _reason(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"is no image in a format that is read ({', '.join(_formats())})"
    if isinstance(error, _TOO_LARGE):
        return f"has more than {Image.MAX_IMAGE_PIXELS} pixels"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def to_pixels(image: Image.Image, resolution: int) -> Pixels:
    """An image as it is evaluated; shape (resolution, resolution, 3)."""
    return np.asarray(image.resize((resolution, resolution), Image.Resampling.BICUBIC))


def to_varied_pixels(
    image: Image.Image, resolution: int, seed: int, rand_augment: str | None = None
) -> Pixels:
    """An image as it is trained on: a random crop, mirrored half the time; same shape.

    Args:
        image: RGB.
        resolution: Side in pixels.
        seed: Of everything random.
        rand_augment: timm's description of what else is done to it.
    """
    random = np.random.default_rng(seed)
    area = image.width * image.height * random.uniform(*_CROP_AREA)
    ratio = math.exp(random.uniform(math.log(_CROP_RATIO[0]), math.log(_CROP_RATIO[1])))
    width = min(image.width, max(1, round(math.sqrt(area * ratio))))
    height = min(image.height, max(1, round(math.sqrt(area / ratio))))
    left = int(random.integers(image.width - width + 1))
    top = int(random.integers(image.height - height + 1))
    box = (left, top, left + width, top + height)
    size = (resolution, resolution)
    crop = image.resize(size, Image.Resampling.BICUBIC, box=box)
    if rand_augment:
        crop = rand_augmented(crop, rand_augment, seed_for(seed, "rand augment"))
    pixels: Pixels = np.asarray(crop)
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
