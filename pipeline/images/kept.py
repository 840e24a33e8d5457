"""Decoded images as bytes in files that are memory-mapped.

They lie in shards of some 64 MiB: how many images there are, a row for each (its number, the side
it was reduced to or 0, its class, height, width and first byte, eight bytes each), their pixels. A
shard is written whole, named by the SHA-256 of its content and never changed, so one that was cut
or damaged is known by its name; it is removed, and its images are missing. Which shard an image is
in does not matter: those that are missing go into new ones. An image that is smaller than a side is
kept once for all larger ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.device.target import usable_cores
from pipeline.files.whole import digest_of_file, storage_errors, write_atomic

_SHARD_BYTES = 64 << 20
_AT_ONCE = 256
_SUFFIX = ".images"
_INTEGER = np.dtype("<i8")
_COLUMNS = 6

# In place of a side, of images that were not reduced.
_WHOLE = 0

Photo = tuple[Image.Image, int]
"""An image in mode RGB, and its class."""


class _Place(NamedTuple):
    shard: int
    label: int
    height: int
    width: int
    start: int


class KeptImages:
    """Images by number and the side they are reduced to; pickled it is a list of files.

    Args:
        shards: Files that are whole.
    """

    def __init__(self, shards: Sequence[Path]) -> None:
        self.shards = shards
        self._maps = [np.memmap(path, np.uint8, mode="r") for path in shards]
        self._places = {
            (number, side): _Place(shard, *place)
            for shard, content in enumerate(self._maps)
            for number, side, *place in _rows(content)
        }

    def __reduce__(self) -> tuple[type[KeptImages], tuple[Sequence[Path]]]:
        return KeptImages, (self.shards,)

    def has(self, number: int, side: int) -> bool:
        """Whether an image is here as it is reduced to a side."""
        return self._key(number, side) in self._places

    def read(self, number: int, side: int) -> Photo:
        """One of the images that are here."""
        shard, label, height, width, start = self._places[self._key(number, side)]
        pixels = self._maps[shard][start : start + height * width * 3]
        return Image.fromarray(pixels.reshape(height, width, 3)), label

    def _key(self, number: int, side: int) -> tuple[int, int]:
        whole = self._places.get((number, _WHOLE))
        is_smaller = whole is not None and min(whole.height, whole.width) < side
        return number, _WHOLE if is_smaller else side


def kept_images(folder: Path, checked: Sequence[Path] = ()) -> KeptImages:
    """What is kept in a folder that no other process writes to meanwhile; the rest is removed.

    Args:
        folder: Is made where it is missing.
        checked: Shards that are known to be whole.

    Raises:
        StorageError: A file cannot be read or removed.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        files = set(folder.iterdir())
    shards = sorted(path for path in files.difference(checked) if path.suffix == _SUFFIX)
    with ThreadPoolExecutor(usable_cores()) as pool:
        digests = list(pool.map(digest_of_file, shards))
    whole = [path for path, of in zip(shards, digests, strict=True) if path.stem == of]
    whole += files.intersection(checked)
    with storage_errors(folder):
        for path in files.difference(whole):
            path.unlink()
        return KeptImages(whole)


def keep(
    folder: Path, images: Sequence[int], side: int, decode: Callable[[int], Photo]
) -> Iterator[int]:
    """Decodes images on all cores and adds them to a folder, a shard at a time.

    Args:
        folder: Where to; no other process writes to it meanwhile.
        images: Their numbers.
        side: What they are reduced to.
        decode: Reads one of them, reduced.

    Yields:
        How many are decoded, now and then.

    Raises:
        StorageError: A shard cannot be written.
    """
    waiting: dict[int, Photo] = {}
    with ThreadPoolExecutor(usable_cores()) as pool:
        for first in range(0, len(images), _AT_ONCE):
            some = images[first : first + _AT_ONCE]
            waiting |= zip(some, pool.map(decode, some), strict=True)
            done = first + len(some)
            size = sum(3 * image.width * image.height for image, _ in waiting.values())
            if size >= _SHARD_BYTES or done == len(images):
                content = _shard(waiting, side)
                write_atomic(folder / f"{hashlib.sha256(content).hexdigest()}{_SUFFIX}", content)
                waiting = {}
            yield done


def _shard(photos: dict[int, Photo], side: int) -> bytes:
    rows, start = [], _INTEGER.itemsize * (1 + _COLUMNS * len(photos))
    for number, (image, label) in photos.items():
        # One whose shorter side is the very side may have been reduced.
        reduced_to = side if min(image.size) == side else _WHOLE
        rows.append((number, reduced_to, label, image.height, image.width, start))
        start += 3 * image.width * image.height
    head = np.array([len(photos), *chain.from_iterable(rows)], _INTEGER)
    return b"".join([head.tobytes(), *(image.tobytes() for image, _ in photos.values())])


def _rows(shard: NDArray[np.uint8]) -> list[list[int]]:
    size = _INTEGER.itemsize
    count = int(shard[:size].view(_INTEGER)[0])
    rows = shard[size : size * (1 + _COLUMNS * count)].view(_INTEGER)
    return rows.reshape(count, _COLUMNS).tolist()
