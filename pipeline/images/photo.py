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

Training takes a crop in place of step 4 (`to_varied_pixels`), of an image that was reduced first
where it is much larger than the input (`to_reduced`).
"""

from __future__ import annotations

import io
import math
import struct
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import BinaryIO, TypeVar

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
Read = TypeVar("Read")

# The crop of Szegedy et al. (2015), less drastic: small networks trained for few epochs gain
# nothing from seeing 8 % of an image.
_CROP_AREA = (0.35, 1.0)
_CROP_RATIO = (3 / 4, 4 / 3)
_LEAST_REDUCED_SIDE = 128

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


def read_photo(file: BinaryIO, name: str, convert: Callable[[Image.Image], Read]) -> Read:
    """Opens an image file; step 1 of what this module says.

    Args:
        file: Is closed at the end.
        name: Says in errors which one it is.
        convert: Makes something of the image, of which nothing but the size has been read yet:
            `to_rgb`, or `to_reduced`.

    Raises:
        DataError: It is no image, or a damaged one.
    """
    try:
        with file, Image.open(file, formats=_formats()) as image:
            return convert(image)
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


def reduced_side(resolution: int) -> int:
    """What images that are trained on are reduced to; 128 pixels times a power of two.

    Twice the input's side at least: the sides of most crops are more than half of the image's, and
    are not to be enlarged. Input sizes near each other have the same, so what is decoded serves all
    of them.
    """
    return max(_LEAST_REDUCED_SIDE, 1 << (2 * resolution - 1).bit_length())


def reduced_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Size of an image, the shorter side no longer than `side`, in the same proportions."""
    shorter = min(size)
    if shorter <= side:
        return size
    width, height = (round(own * side / shorter) for own in size)
    return width, height


def to_reduced(image: Image.Image, side: int) -> Image.Image:
    """An image as training crops it; steps 2 and 3, and fewer pixels where it has many.

    Args:
        image: As it was opened.
        side: Of `reduced_side`.
    """
    # A JPEG is decoded at a half, a quarter or an eighth where that leaves pixels enough: for a
    # photograph of twelve million pixels in a sixth of the time.
    image.draft(None, (side, side))
    rgb = to_rgb(image)
    size = reduced_size(rgb.size, side)
    # Half the time of the bicubic filter, and the crop's own filter follows.
    return rgb if size == rgb.size else rgb.resize(size, Image.Resampling.HAMMING)


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
        image: RGB, of `to_reduced`.
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
