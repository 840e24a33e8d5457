"""Images read from disk when a batch needs them, decoded by worker processes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pipeline.device.target import usable_cores
from pipeline.errors import DataError, PipelineError
from pipeline.images.epoch import Epoch, Step
from pipeline.images.image_data import Batch, ImageData, Original, Split
from pipeline.images.photo import Pixels, read_photo, to_inputs, to_pixels, to_varied_pixels
from pipeline.images.randomness import seed_for
from pipeline.images.splits import Indices

# Fewer images are read before worker processes have started.
_WORTH_WORKERS = 4096


class ImagesByIndex(NamedTuple):
    """Images of one split.

    Attributes:
        reader: timm's reader: `reader[index]` is an open file and a label, `reader.filename(index)`
            its name.
        indices: Which of the reader's images, in the order they are evaluated.
    """

    reader: Any
    indices: Indices


class _Job(NamedTuple):
    """An image to read.

    Attributes:
        image: Which of the reader's images.
        resolution: Size to bring it to, in pixels.
        seed: Of its augmentation; None where it is not to be varied.
    """

    image: int
    resolution: int
    seed: int | None


@dataclass(frozen=True, kw_only=True, eq=False)
class IndexedImages(ImageData):
    """Images that are read from disk when a batch needs them.

    Attributes:
        splits: The images of each split.
    """

    splits: Mapping[Split, ImagesByIndex]

    def _train_batches(self, epoch: Epoch, steps: list[Step]) -> Iterator[Batch]:
        indices, (_, processes) = self.splits["train"].indices, epoch.part
        order = epoch.order(len(indices)).numpy()
        jobs = (
            [
                _Job(i, step.resolution, seed_for(epoch.seed, "augmentation", epoch.number, i))
                for i in indices[order[step.batch][step.share]].tolist()
            ]
            for step in steps
        )
        images = len(steps) * epoch.batch_size // processes
        return self._read("train", jobs, images, processes)

    def batches(self, split: Split, batch_size: int) -> Iterator[Batch]:
        """See `ImageData`."""
        indices, resolution = self.splits[split].indices, self.record.preprocessing.resolution
        jobs = (
            [_Job(int(index), resolution, None) for index in indices[first : first + batch_size]]
            for first in range(0, len(indices), batch_size)
        )
        return self._read(split, jobs, len(indices))

    def originals(self, split: Split, n: int) -> list[Original]:
        """See `ImageData`."""
        reader, indices = self.splits[split]
        found = (_photo(reader, int(index)) for index in indices[:n])
        return [Original(np.array(photo), label) for photo, label in found]

    def _read(
        self, split: Split, batches: Iterator[list[_Job]], images: int, processes: int = 1
    ) -> Iterator[Batch]:
        # Processes that share batches share the machine's cores as well.
        workers = max(1, usable_cores() // processes) if images >= _WORTH_WORKERS else 0
        loader: Iterable[_Decoded | PipelineError] = DataLoader(
            _Decoder(self.splits[split].reader, self.rand_augment),
            batch_sampler=batches,
            collate_fn=_unchanged,
            num_workers=workers,
            pin_memory=self.device.type == "cuda",
        )
        for batch in loader:
            if isinstance(batch, PipelineError):
                raise batch
            pixels = batch.pixels.to(self.device, non_blocking=True)
            labels = batch.labels.to(self.device, non_blocking=True)
            yield to_inputs(pixels, self.record.preprocessing), labels


class _Decoded(NamedTuple):
    pixels: Tensor
    labels: Tensor


class _Decoder(Dataset[Any]):
    """Reads the images of a batch; runs in worker processes."""

    def __init__(self, reader: Any, rand_augment: str | None) -> None:
        self._reader = reader
        self._rand_augment = rand_augment

    def __getitems__(self, jobs: Sequence[_Job]) -> _Decoded | PipelineError:
        """Reads a batch; an unreadable image is returned as data, to be raised by the parent."""
        try:
            pixels, labels = zip(*(self._one(job) for job in jobs), strict=True)
        except PipelineError as error:
            return error
        return _Decoded(torch.from_numpy(np.stack(pixels)), torch.tensor(labels))

    def _one(self, job: _Job) -> tuple[Pixels, int]:
        image, label = _photo(self._reader, job.image)
        if job.seed is None:
            return to_pixels(image, job.resolution), label
        return to_varied_pixels(image, job.resolution, job.seed, self._rand_augment), label


def _photo(reader: Any, index: int) -> tuple[Image.Image, int]:
    """One of the reader's images in mode RGB, and its label."""
    name = reader.filename(index, absolute=True) or f"image {index}"
    try:
        file, label = reader[index]
    except OSError as error:
        raise DataError(f"{name}: cannot be read: {error}") from None
    return read_photo(file, name), int(label)


def _unchanged(batch: Any) -> Any:
    return batch
