"""Images read from disk when a batch needs them, decoded by worker processes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pipeline.device import usable_cores
from pipeline.errors import DataError, PipelineError
from pipeline.records import DatasetRecord
from pipeline.training.image_data import Batch, Split, sample_of
from pipeline.training.photo import Pixels, read_photo, to_inputs, to_pixels, to_varied_pixels
from pipeline.training.randomness import generator_for, seed_for
from pipeline.training.splits import Indices

# Fewer images are read before worker processes have started.
_WORTH_WORKERS = 4096

# Index of an image, and the seed of its augmentation where it is to be varied.
_Job = tuple[int, int | None]


class ImagesByIndex(NamedTuple):
    """Images of one split.

    Attributes:
        reader: timm's reader: `reader[index]` is an open file and a label, `reader.filename(index)`
            its name.
        indices: Which of the reader's images, in the order they are evaluated.
    """

    reader: Any
    indices: Indices


class IndexedImages:
    """Images that are read from disk when a batch needs them.

    Args:
        splits: The images of each split.
        record: What they are.
    """

    def __init__(self, splits: dict[Split, ImagesByIndex], record: DatasetRecord) -> None:
        self.record = record
        self.num_classes = len(record.class_names)
        self._splits = splits

    def num_train_batches(self, batch_size: int) -> int:
        """See `ImageData`."""
        return max(1, self.record.num_train // batch_size)

    def train_batches(self, batch_size: int, *, seed: int, epoch: int) -> Iterator[Batch]:
        """See `ImageData`."""
        indices = self._splits["train"].indices
        order = torch.randperm(len(indices), generator=generator_for(seed, "order", epoch))
        used = indices[order[: self.num_train_batches(batch_size) * batch_size].numpy()]
        jobs = ((int(i), seed_for(seed, "augmentation", epoch, int(i))) for i in used)
        return self._read("train", jobs, len(used), batch_size)

    def batches(self, split: Split, batch_size: int) -> Iterator[Batch]:
        """See `ImageData`."""
        indices = self._splits[split].indices
        jobs = ((int(index), None) for index in indices)
        return self._read(split, jobs, len(indices), batch_size)

    def sample(self, split: Split, n: int) -> Tensor:
        """See `ImageData`."""
        return sample_of(self, split, n)[0]

    def _read(
        self, split: Split, jobs: Iterator[_Job], images: int, batch_size: int
    ) -> Iterator[Batch]:
        preprocessing = self.record.preprocessing
        batches = (list(islice(jobs, batch_size)) for _ in range(0, images, batch_size))
        loader: Iterable[_Decoded | PipelineError] = DataLoader(
            _Decoder(self._splits[split].reader, preprocessing.resolution),
            batch_sampler=batches,
            collate_fn=_unchanged,
            num_workers=usable_cores() if images >= _WORTH_WORKERS else 0,
        )
        for batch in loader:
            if isinstance(batch, PipelineError):
                raise batch
            yield to_inputs(batch.pixels, preprocessing), batch.labels


class _Decoded(NamedTuple):
    pixels: Tensor
    labels: Tensor


class _Decoder(Dataset[Any]):
    """Reads images by (index, seed of the augmentation or None); runs in worker processes."""

    def __init__(self, reader: Any, resolution: int) -> None:
        self._reader = reader
        self._resolution = resolution

    def __getitems__(self, jobs: Sequence[_Job]) -> _Decoded | PipelineError:
        """Reads a batch; an unreadable image is returned as data, to be raised by the parent."""
        try:
            pixels, labels = zip(*(self._one(*job) for job in jobs), strict=True)
        except PipelineError as error:
            return error
        return _Decoded(torch.from_numpy(np.stack(pixels)), torch.tensor(labels))

    def _one(self, index: int, seed: int | None) -> tuple[Pixels, int]:
        name = self._reader.filename(index, absolute=True) or f"image {index}"
        try:
            file, label = self._reader[index]
        except OSError as error:
            raise DataError(f"{name}: cannot be read: {error}") from None
        image = read_photo(file, name)
        if seed is None:
            return to_pixels(image, self._resolution), int(label)
        return to_varied_pixels(image, self._resolution, seed), int(label)


def _unchanged(batch: Any) -> Any:
    return batch
