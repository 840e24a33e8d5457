"""Images read from disk when a batch needs them, decoded once or by worker processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pipeline.errors import PipelineError
from pipeline.images.by_index import ImagesByIndex
from pipeline.images.decoding import Decoding
from pipeline.images.epoch import Epoch, Step
from pipeline.images.image_data import Batch, ImageData, Original, Split
from pipeline.images.kept import KeptImages
from pipeline.images.photo import (
    Pixels,
    reduced_side,
    to_inputs,
    to_pixels,
    to_reduced,
    to_rgb,
    to_varied_pixels,
)
from pipeline.images.randomness import seed_for
from pipeline.images.workers import reading_workers

# Fewer images are read before worker processes have started.
_WORTH_WORKERS = 4096


class _Job(NamedTuple):
    """An image to train on.

    Attributes:
        image: Which of the reader's images.
        resolution: Size to bring it to, in pixels.
        seed: Of its augmentation.
    """

    image: int
    resolution: int
    seed: int


@dataclass(frozen=True, kw_only=True, eq=False)
class IndexedImages(ImageData):
    """Images that are read from disk when a batch needs them.

    Attributes:
        splits: The images of each split.
        decoding: Of those that are trained on.
    """

    splits: Mapping[Split, ImagesByIndex]
    decoding: Decoding

    def _train_batches(self, epoch: Epoch, steps: list[Step]) -> Iterator[Batch]:
        train = self.splits["train"]
        sides = {reduced_side(step.resolution) for step in steps}
        kept = {side: self.decoding.kept(train, side) for side in sorted(sides)}
        order = epoch.order(len(train.indices)).numpy()
        jobs = (
            [
                _Job(i, step.resolution, seed_for(epoch.seed, "augmentation", epoch.number, i))
                for i in train.indices[order[step.batch][step.share]].tolist()
            ]
            for step in steps
        )
        # What is only copied costs a training on the CPU less than worker processes do.
        is_copied = self.device.type == "cpu" and None not in kept.values()
        images = 0 if is_copied else len(steps) * epoch.batch_size // epoch.part[1]
        return self._read(partial(_varied, train, kept, self.rand_augment), jobs, images)

    def batches(self, split: Split, batch_size: int) -> Iterator[Batch]:
        """See `ImageData`."""
        images, resolution = self.splits[split], self.record.preprocessing.resolution
        jobs = (
            images.indices[first : first + batch_size].tolist()
            for first in range(0, len(images.indices), batch_size)
        )
        return self._read(partial(_whole, images, resolution), jobs, len(images.indices))

    def originals(self, split: Split, n: int) -> list[Original]:
        """See `ImageData`."""
        images = self.splits[split]
        found = (images.read(index, to_rgb) for index in images.indices[:n].tolist())
        return [Original(np.array(photo), label) for photo, label in found]

    def _read(
        self, one: Callable[[Any], _Item], batches: Iterator[list[Any]], images: int
    ) -> Iterator[Batch]:
        loader: Iterable[_Decoded | PipelineError] = DataLoader(
            _Decoder(one),
            batch_sampler=batches,
            collate_fn=_unchanged,
            num_workers=reading_workers() if images >= _WORTH_WORKERS else 0,
            pin_memory=self.device.type == "cuda",
        )
        for batch in loader:
            if isinstance(batch, PipelineError):
                raise batch
            pixels = batch.pixels.to(self.device, non_blocking=True)
            labels = batch.labels.to(self.device, non_blocking=True)
            yield to_inputs(pixels, self.record.preprocessing), labels


# Pixels of an image, and its class.
_Item = tuple[Pixels, int]


class _Decoded(NamedTuple):
    pixels: Tensor
    labels: Tensor


class _Decoder(Dataset[Any]):
    """Reads the images of a batch; runs in worker processes."""

    def __init__(self, one: Callable[[Any], _Item]) -> None:
        self._one = one

    def __getitems__(self, jobs: Sequence[Any]) -> _Decoded | PipelineError:
        """Reads a batch; an unreadable image is returned as data, to be raised by the parent."""
        try:
            pixels, labels = zip(*map(self._one, jobs), strict=True)
        except PipelineError as error:
            return error
        return _Decoded(torch.from_numpy(np.stack(pixels)), torch.tensor(labels))


def _whole(images: ImagesByIndex, resolution: int, index: int) -> _Item:
    return images.read(index, lambda image: to_pixels(to_rgb(image), resolution))


def _varied(
    images: ImagesByIndex,
    kept: Mapping[int, KeptImages | None],
    rand_augment: str | None,
    job: _Job,
) -> _Item:
    side = reduced_side(job.resolution)
    source = kept[side]
    photo, label = (
        source.read(job.image, side)
        if source
        else images.read(job.image, partial(to_reduced, side=side))
    )
    return to_varied_pixels(photo, job.resolution, job.seed, rand_augment), label


def _unchanged(batch: Any) -> Any:
    return batch
