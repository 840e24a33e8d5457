"""Images streamed from tar files (shards) through timm's reader, decoded by worker processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from timm.data import create_dataset
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from pipeline.errors import DataError
from pipeline.images.epoch import Epoch, Step
from pipeline.images.image_data import Batch, ImageData, Original, Split
from pipeline.images.photo import (
    Pixels,
    reduced_side,
    to_inputs,
    to_pixels,
    to_reduced,
    to_rgb,
    to_varied_pixels,
)
from pipeline.images.randomness import generator_for, seed_for
from pipeline.images.workers import reading_workers

# Pixels of an image, and its class.
_Item = tuple[Pixels, int]

# timm's list of a WebDataset's shards and classes.
INFO = "_info.json"


class Shards(NamedTuple):
    """Tar files of one split, and the number of images in each."""

    filenames: tuple[str, ...]
    lengths: tuple[int, ...]

    @property
    def images(self) -> int:
        """Images in all of them."""
        return sum(self.lengths)

    @property
    def timm_split(self) -> str:
        """The shards in the notation timm takes for a split."""
        return f"{'::'.join(self.filenames)}|{self.images}"

    def take(self, places: Sequence[int]) -> Shards:
        """Those at these places, in the order they have here."""
        chosen = sorted(places)
        return Shards(
            tuple(self.filenames[i] for i in chosen), tuple(self.lengths[i] for i in chosen)
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class StreamedImages(ImageData):
    """Images streamed from tar files.

    timm's reader skips an image it cannot decode, with a warning on the log. Which those are is not
    known before the shards are read, so the record names none of them.

    Worker processes read, as many as `reading_workers` says, and which images meet in a training
    batch depends on how many there are: the parts of several processes make up the batch of one
    that has as many workers as each of them, and processes that share batches must have as many.

    A stream has no way around its images: those before an epoch's `start` and those of other
    processes are read and dropped.

    Attributes:
        folder: Where the shards are.
        splits: The shards of each split.
    """

    folder: Path
    splits: Mapping[Split, Shards]

    def _train_batches(self, epoch: Epoch, steps: list[Step]) -> Iterator[Batch]:
        if not steps:
            return iter(())
        shards, seed = self.splits["train"], seed_for(epoch.seed, "epoch", epoch.number)
        images = _images(self.folder, shards, epoch.batch_size, seed)
        stream = _Varied(images, seed, epoch.batch_size, steps, self.rand_augment)
        generator = generator_for(seed, "workers")
        loader = self._loader(stream, shards, epoch.batch_size // epoch.part[1], generator)
        return self._given(islice(loader, steps[0].number, steps[-1].number + 1))

    def batches(self, split: Split, batch_size: int) -> Iterator[Batch]:
        """See `ImageData`."""
        shards = self.splits[split]
        if not shards.filenames:
            return iter(())
        images = _images(self.folder, shards, batch_size, None)
        stream = _Whole(images, self.record.preprocessing.resolution)
        return self._given(iter(self._loader(stream, shards, batch_size, None)))

    def originals(self, split: Split, n: int) -> list[Original]:
        """See `ImageData`."""
        shards = self.splits[split]
        if not shards.filenames:
            return []
        # Which images come first depends on the size of a batch and on the worker processes.
        stream = _Originals(_images(self.folder, shards, n, None))
        loader = self._loader(stream, shards, n, None, collate=list)
        return list(islice(chain.from_iterable(loader), n))

    def _loader(
        self,
        stream: IterableDataset[Any],
        shards: Shards,
        rows: int,
        generator: torch.Generator | None,
        collate: Callable[[list[Any]], Any] | None = None,
    ) -> DataLoader[Any]:
        return DataLoader(
            stream,
            batch_size=rows,
            collate_fn=collate or _stacked,
            num_workers=min(reading_workers(), len(shards.filenames)),
            generator=generator,
            pin_memory=self.device.type == "cuda",
        )

    def _given(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        for pixels, labels in batches:
            if int(labels.max()) >= self.num_classes:
                raise DataError(
                    f"{self.folder}: an image of class {int(labels.max())} among "
                    f"{self.num_classes} class_names",
                    hint=f"list all classes in {INFO}",
                )
            pixels = pixels.to(self.device, non_blocking=True)
            inputs = to_inputs(pixels, self.record.preprocessing)
            yield inputs, labels.to(self.device, non_blocking=True)


def _images(folder: Path, shards: Shards, batch_size: int, seed: int | None) -> Any:
    """One pass over the images of shards and their labels; shuffled if there is a seed."""
    # Made anew for each pass: the reader's own shuffling goes on from pass to pass, which a run
    # that was killed could not take up.
    images = create_dataset(
        "wds/",
        root=str(folder),
        split=shards.timm_split,
        is_training=seed is not None,
        batch_size=batch_size,
        seed=0 if seed is None else seed % 2**31,
        input_img_mode="",
    )
    # In a process group the reader would give each process shards of its own, and no two would
    # agree on what a batch is.
    images.reader.dist_rank, images.reader.dist_num_replicas = 0, 1
    return images


class _Whole(IterableDataset[Any]):
    """Images as they are evaluated, in a worker process."""

    def __init__(self, images: Any, resolution: int) -> None:
        self._images = images
        self._resolution = resolution

    def __iter__(self) -> Iterator[_Item]:
        for image, label in self._images:
            yield to_pixels(to_rgb(image), self._resolution), int(label)


class _Originals(IterableDataset[Any]):
    """Images as a person would see them, in a worker process."""

    def __init__(self, images: Any) -> None:
        self._images = images

    def __iter__(self) -> Iterator[Original]:
        for image, label in self._images:
            yield Original(np.array(to_rgb(image)), int(label))


class _Varied(IterableDataset[Any]):
    """Images as they are trained on, in a worker process: its share of the batches it makes.

    The loader takes a batch from each worker in turn, and all workers make as many.
    """

    def __init__(
        self,
        images: Any,
        seed: int,
        batch_size: int,
        steps: Sequence[Step],
        rand_augment: str | None,
    ) -> None:
        self._images = images
        self._rand_augment = rand_augment
        self._seed = seed
        self._batch_size = batch_size
        self._rows = range(batch_size)[steps[0].share]
        self._native = steps[0].resolution
        self._resolutions = {step.number: step.resolution for step in steps}

    def __iter__(self) -> Iterator[_Item]:
        worker = get_worker_info()
        place, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        for number, (image, label) in enumerate(self._images):
            turn, row = divmod(number, self._batch_size)
            if row not in self._rows:
                continue
            # Steps before the first and after the last are dropped: any size will do.
            resolution = self._resolutions.get(turn * workers + place, self._native)
            of_image = seed_for(self._seed, place, number)
            reduced, how = to_reduced(image, reduced_side(resolution)), self._rand_augment
            yield to_varied_pixels(reduced, resolution, of_image, how), int(label)


def _stacked(items: list[_Item]) -> Batch:
    pixels, labels = zip(*items, strict=True)
    return torch.from_numpy(np.stack(pixels)), torch.tensor(labels)
