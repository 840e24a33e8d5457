"""Images that are trained on are decoded once, and kept in the cache where there is room."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import PIL

from pipeline.files.cache_folder import cache_dir
from pipeline.files.whole import digest_of, storage_errors
from pipeline.images.by_index import ImagesByIndex
from pipeline.images.held import held
from pipeline.images.kept import KeptImages, keep, kept_images
from pipeline.images.photo import reduced_size, to_reduced
from pipeline.work.progress import ProgressFactory

# Raised when the same file would be kept otherwise.
_VERSION = 1
_MOST_BYTES = 16 << 30
_MOST_SHARE_OF_FREE = 0.5
# Their mean tells the bytes of all to a few percent.
_SAMPLED = 256


class Decoding:
    """How the training images of one data set are decoded.

    Args:
        name: Of the data set.
        checksum: Of its images; None where they were not read through, and what is kept could be of
            others.
        progress: Told about images that are decoded to be kept, and why they are not kept.
    """

    def __init__(self, name: str, checksum: str | None, progress: ProgressFactory) -> None:
        self._checksum = checksum
        self._progress = progress
        self._folder = _folder(name, checksum or "")
        self._known: dict[int, KeptImages | None] = {}

    def kept(self, images: ImagesByIndex, side: int) -> KeptImages | None:
        """All these images, reduced to a side; decodes those that are not kept yet.

        Args:
            images: What is trained on, the same at every call.
            side: As `to_reduced` takes it.

        Returns:
            None where they are not kept.

        Raises:
            DataError: An image cannot be read.
            StorageError: The cache cannot be written.
        """
        if side not in self._known:
            self._known[side] = self._kept(images, side)
        return self._known[side]

    def _kept(self, images: ImagesByIndex, side: int) -> KeptImages | None:
        if self._checksum is None:
            self._tell(images, "there is no checksum to know them by")
            return None
        with held(self._folder.with_suffix(".lock")):
            kept = self._read()
            wanted = np.sort(images.indices).tolist()
            missing = [number for number in wanted if not kept.has(number, side)]
            if not missing:
                return kept
            if reason := _no_room(self._folder, images, len(missing), side):
                self._tell(images, reason)
                return None
            advance = self._progress("decoding images")
            decode = partial(images.read, convert=partial(to_reduced, side=side))
            for done in keep(self._folder, missing, side, decode):
                advance(done, len(missing))
            return self._read(kept.shards)

    def _read(self, written: Sequence[Path] = ()) -> KeptImages:
        checked = {path for kept in self._known.values() if kept for path in kept.shards}
        return kept_images(self._folder, [*checked, *written])

    def _tell(self, images: ImagesByIndex, reason: str) -> None:
        count = len(images.indices)
        self._progress("decoding images")(count, count, f"in every epoch: {reason}")


def _folder(name: str, checksum: str) -> Path:
    # Another version of Pillow may decode to other pixels.
    digest = digest_of([checksum, _VERSION, PIL.__version__])[:16]
    words = re.sub(r"[^A-Za-z0-9]+", "-", Path(name).resolve().name).strip("-") or "images"
    return cache_dir() / "datasets" / "decoded" / f"{words}-{digest}"


def _no_room(folder: Path, images: ImagesByIndex, missing: int, side: int) -> str | None:
    """Why images are not kept; None where they may be."""
    mean = _mean_bytes(images, side)
    if (size := mean * len(images.indices)) > _MOST_BYTES:
        return f"{_gib(size)} are more than {_gib(_MOST_BYTES)}"
    with storage_errors(folder):
        free = shutil.disk_usage(folder).free
    if mean * missing > _MOST_SHARE_OF_FREE * free:
        return f"{_gib(mean * missing)} are more than half of what is free"
    return None


def _mean_bytes(images: ImagesByIndex, side: int) -> float:
    # The order of a split is shuffled, so its first images are a fair sample.
    sizes = [
        images.read(index, lambda image: reduced_size(image.size, side))[0]
        for index in images.indices[:_SAMPLED].tolist()
    ]
    return 3 * sum(width * height for width, height in sizes) / len(sizes)


def _gib(size: float) -> str:
    return f"{size / 2**30:.1f} GiB"
