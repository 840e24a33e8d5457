"""Images of the test split as they are before preprocessing, with the inputs made of them.

The input is made by what training makes it with, so that a device can be held to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import singledispatch
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from pipeline.dataset_record import Preprocessing
from pipeline.errors import DataError
from pipeline.training import streamed_images
from pipeline.training.image_data import ImageData, InMemoryImages, preprocess
from pipeline.training.indexed_images import IndexedImages
from pipeline.training.photo import read_photo, to_inputs, to_pixels, to_rgb
from pipeline.training.streamed_images import StreamedImages


class Original(NamedTuple):
    """One image.

    Attributes:
        picture: In mode L or RGB, without anything else that its file held.
        inputs: float32 of shape (1, 3, r, r).
        label: Index of its class.
    """

    picture: Image.Image
    inputs: NDArray[np.float32]
    label: int


def first_originals(data: ImageData, n: int) -> list[Original]:
    """The first images of the test split, in the order it is evaluated in.

    Args:
        data: At the network's input size.
        n: How many; all where there are fewer.

    Raises:
        DataError: The split is empty, an image cannot be read, or images of this kind are not known
            here.
    """
    found = list(islice(_originals(data), n))
    if not found:
        raise DataError(f"{data.record.name}: there are no images in test")
    return found


@singledispatch
def _originals(data: object) -> Iterator[Original]:
    raise DataError(f"images kept as {type(data).__name__} cannot be had without preprocessing")


@_originals.register
def _(data: InMemoryImages) -> Iterator[Original]:
    how, test = data.record.preprocessing, data._splits["test"]
    for pixels, label in zip(test.pixels.cpu(), test.labels.tolist(), strict=True):
        height, width = (side - how.pad for side in pixels.shape)
        picture = Image.fromarray(pixels[how.pad : height, how.pad : width].contiguous().numpy())
        inputs = preprocess(pixels[None], how)
        yield Original(picture, inputs.contiguous().numpy(), label)


@_originals.register
def _(data: IndexedImages) -> Iterator[Original]:
    reader, indices = data._splits["test"]
    for index in indices.tolist():
        file, label = reader[index]
        photo = read_photo(file, str(reader.filename(index) or f"image {index}"))
        yield _of_photo(photo, int(label), data.record.preprocessing)


@_originals.register
def _(data: StreamedImages) -> Iterator[Original]:
    for photo, label in streamed_images._images(data._folder, data._splits["test"], 1, None):
        yield _of_photo(to_rgb(photo), int(label), data.record.preprocessing)


def _of_photo(photo: Image.Image, label: int, how: Preprocessing) -> Original:
    pixels = torch.from_numpy(to_pixels(photo, how.resolution).copy())
    inputs = to_inputs(pixels[None], how)
    # A new image has no EXIF data, colour profile or comments.
    return Original(Image.fromarray(np.array(photo)), inputs.contiguous().numpy(), label)
