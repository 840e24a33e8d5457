"""Images with an index each, which timm's readers find on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from PIL import Image

from pipeline.errors import DataError
from pipeline.images.photo import read_photo
from pipeline.images.splits import Indices

Read = TypeVar("Read")


class ImagesByIndex(NamedTuple):
    """Images of one split.

    Attributes:
        reader: timm's reader: `reader[index]` is an open file and a label, `reader.filename(index)`
            its name.
        indices: Which of the reader's images, in the order they are evaluated.
    """

    reader: Any
    indices: Indices

    def read(self, index: int, convert: Callable[[Image.Image], Read]) -> tuple[Read, int]:
        """What becomes of one of the reader's images, and its label.

        Raises:
            DataError: It cannot be read as an image.
        """
        name = self.reader.filename(index, absolute=True) or f"image {index}"
        try:
            file, label = self.reader[index]
        except OSError as error:
            raise DataError(f"{name}: cannot be read: {error}") from None
        return read_photo(file, name, convert), int(label)
