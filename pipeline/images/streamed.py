"""WebDatasets: images streamed from tar files (shards), through timm's reader.

The folder holds the shards and timm's `_info.json`, which lists them with their lengths:

    {"name": "…", "class_names": ["…", …],
     "splits": {"train": {"name": "train", "num_samples": 1234,
                          "filenames": ["train-000.tar", …], "shard_lengths": [617, …]},
                "validation": {…}}}

A stream cannot be split image by image, so whole shards are held out of train. Shards of a
WebDataset are shuffled when they are written, which makes that a fair sample.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from timm.data import create_dataset
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from pipeline.device.target import usable_cores
from pipeline.errors import DataError, StorageError
from pipeline.files.whole import read_record
from pipeline.images.epoch_steps import Part, ResolutionAt, Step, num_batches, record_at, steps_of
from pipeline.images.image_data import Batch, Original, Split, sample_of
from pipeline.images.photo import (
    Pixels,
    photo_preprocessing,
    to_inputs,
    to_pixels,
    to_rgb,
    to_varied_pixels,
)
from pipeline.images.randomness import generator_for, seed_for
from pipeline.images.splits import Splitting, held_out_size
from pipeline.records.dataset import DatasetRecord

# Pixels of an image, and its class.
_Item = tuple[Pixels, int]

_INFO = "_info.json"
_TEST_SPLITS = ("test", "validation", "val")


class _SplitInfo(BaseModel):
    num_samples: int
    filenames: tuple[str, ...]
    shard_lengths: tuple[int, ...]


class _Info(BaseModel):
    """What is needed of timm's `_info.json`; it may hold more."""

    model_config = ConfigDict(extra="ignore")

    class_names: tuple[str, ...]
    splits: dict[str, _SplitInfo]


class _Shards(NamedTuple):
    """Tar files of one split, and the number of images in each."""

    filenames: tuple[str, ...]
    lengths: tuple[int, ...]

    @property
    def images(self) -> int:
        return sum(self.lengths)

    @property
    def timm_split(self) -> str:
        """The shards in the notation timm takes for a split."""
        return f"{'::'.join(self.filenames)}|{self.images}"

    def take(self, places: Sequence[int]) -> _Shards:
        chosen = sorted(places)
        return _Shards(
            tuple(self.filenames[i] for i in chosen), tuple(self.lengths[i] for i in chosen)
        )


class StreamedImages:
    """Images streamed from tar files.

    timm's reader skips an image it cannot decode, with a warning on the log. Which those are is not
    known before the shards are read, so the record names none of them. One worker process a
    core reads, and which images meet in a training batch depends on how many there are.

    Args:
        folder: Where the shards are.
        splits: The shards of each split.
        record: What they are.
        device: Where batches are given.
        rand_augment: timm's description of what training images go through; None for nothing.
    """

    def __init__(
        self,
        folder: Path,
        splits: dict[Split, _Shards],
        record: DatasetRecord,
        device: torch.device | str = "cpu",
        rand_augment: str | None = None,
    ) -> None:
        self.record = record
        self.num_classes = len(record.class_names)
        self._folder = folder
        self._splits = splits
        self._device = torch.device(device)
        self._rand_augment = rand_augment

    def at(self, resolution: int) -> StreamedImages:
        """See `ImageData`."""
        return self._with(record=record_at(self.record, resolution))

    def to(self, device: torch.device | str) -> StreamedImages:
        """See `ImageData`."""
        return self._with(device=device)

    def varied(self, rand_augment: str) -> StreamedImages:
        """See `ImageData`."""
        return self._with(rand_augment=rand_augment)

    def _with(
        self,
        *,
        record: DatasetRecord | None = None,
        device: torch.device | str | None = None,
        rand_augment: str | None = None,
    ) -> StreamedImages:
        return StreamedImages(
            self._folder,
            self._splits,
            record or self.record,
            device or self._device,
            rand_augment or self._rand_augment,
        )

    def num_train_batches(self, batch_size: int) -> int:
        """See `ImageData`."""
        return num_batches(self.record, batch_size)

    def train_batches(
        self,
        batch_size: int,
        *,
        seed: int,
        epoch: int,
        start: int = 0,
        part: Part = (0, 1),
        resolution_at: ResolutionAt | None = None,
    ) -> Iterator[Batch]:
        """See `ImageData`.

        A stream has no way around its images: those before `start` and those of other processes are
        read and dropped. Processes that share batches must see as many cores each.
        """
        steps = steps_of(
            self.record, batch_size, start=start, part=part, resolution_at=resolution_at
        )
        if not steps:
            return iter(())
        shards, of_epoch = self._splits["train"], seed_for(seed, "epoch", epoch)
        images = _images(self._folder, shards, batch_size, of_epoch)
        stream = _Varied(images, of_epoch, batch_size, steps, self._rand_augment)
        generator = generator_for(of_epoch, "workers")
        loader = self._loader(stream, shards, batch_size // part[1], generator)
        return self._given(islice(loader, steps[0].number, steps[-1].number + 1))

    def batches(self, split: Split, batch_size: int) -> Iterator[Batch]:
        """See `ImageData`."""
        shards = self._splits[split]
        if not shards.filenames:
            return iter(())
        images = _images(self._folder, shards, batch_size, None)
        stream = _Whole(images, self.record.preprocessing.resolution)
        return self._given(iter(self._loader(stream, shards, batch_size, None)))

    def sample(self, split: Split, n: int) -> Tensor:
        """See `ImageData`."""
        return sample_of(self, split, n)[0]

    def originals(self, split: Split, n: int) -> list[Original]:
        """See `ImageData`."""
        shards = self._splits[split]
        if not shards.filenames:
            return []
        # Which images come first depends on the size of a batch and on the worker processes.
        stream = _Originals(_images(self._folder, shards, n, None))
        loader = self._loader(stream, shards, n, None, collate=list)
        return list(islice(chain.from_iterable(loader), n))

    def _loader(
        self,
        stream: IterableDataset[Any],
        shards: _Shards,
        rows: int,
        generator: torch.Generator | None,
        collate: Callable[[list[Any]], Any] | None = None,
    ) -> DataLoader[Any]:
        return DataLoader(
            stream,
            batch_size=rows,
            collate_fn=collate or _stacked,
            num_workers=min(usable_cores(), len(shards.filenames)),
            generator=generator,
            pin_memory=self._device.type == "cuda",
        )

    def _given(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        for pixels, labels in batches:
            if int(labels.max()) >= self.num_classes:
                raise DataError(
                    f"{self._folder}: an image of class {int(labels.max())} among "
                    f"{self.num_classes} class_names",
                    hint=f"list all classes in {_INFO}",
                )
            pixels = pixels.to(self._device, non_blocking=True)
            inputs = to_inputs(pixels, self.record.preprocessing)
            yield inputs, labels.to(self._device, non_blocking=True)


def _images(folder: Path, shards: _Shards, batch_size: int, seed: int | None) -> Any:
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
            rgb, how = to_rgb(image), self._rand_augment
            yield to_varied_pixels(rgb, resolution, of_image, how), int(label)


def _stacked(items: list[_Item]) -> Batch:
    pixels, labels = zip(*items, strict=True)
    return torch.from_numpy(np.stack(pixels)), torch.tensor(labels)


def open_webdataset(folder: Path, resolution: int, splitting: Splitting) -> StreamedImages:
    """Opens a WebDataset; see `pipeline.images.datasets.open_dataset`.

    Raises:
        DataError: The package `webdataset` is missing, or the folder is not one.
    """
    if importlib.util.find_spec("webdataset") is None:
        raise DataError(
            f"wds/{folder} needs the package `webdataset`", hint="pip install webdataset"
        )
    info = _read_info(folder)
    test_name = next((name for name in _TEST_SPLITS if name in info.splits), None)
    if "train" not in info.splits or test_name is None:
        raise DataError(
            f"{folder / _INFO}: has splits {', '.join(info.splits) or 'none'}; expected train and "
            f"one of {', '.join(_TEST_SPLITS)}"
        )
    train = _shards(folder, info.splits["train"])
    splits = _hold_out_shards(folder, train, splitting)
    splits["test"] = _shards(folder, info.splits[test_name])
    kept = splits["train"]
    record = DatasetRecord(
        name=f"wds/{folder}",
        source=f"WebDataset, splits train and {test_name}; "
        f"{len(train.filenames) - len(kept.filenames)} of {len(train.filenames)} train shards held "
        "out",
        checksum=None,
        class_names=info.class_names,
        num_train=min(kept.images, splitting.max_train or kept.images),
        num_matching_validation=splits["matching-validation"].images,
        num_search_validation=splits["search-validation"].images,
        num_test=splits["test"].images,
        preprocessing=photo_preprocessing(resolution),
    )
    return StreamedImages(folder, splits, record)


def _read_info(folder: Path) -> _Info:
    try:
        return read_record(folder / _INFO, _Info)
    except StorageError as error:
        raise DataError(
            error.message, hint=f"a WebDataset needs {_INFO} with class_names and splits"
        ) from None


def _shards(folder: Path, info: _SplitInfo) -> _Shards:
    missing = [name for name in info.filenames if not (folder / name).is_file()]
    if missing or not info.filenames:
        raise DataError(f"{folder}: shards are missing: {', '.join(missing) or 'all'}")
    if len(info.filenames) != len(info.shard_lengths):
        raise DataError(
            f"{folder / _INFO}: {len(info.filenames)} filenames and "
            f"{len(info.shard_lengths)} shard_lengths; expected as many of both"
        )
    return _Shards(info.filenames, info.shard_lengths)


def _hold_out_shards(folder: Path, train: _Shards, splitting: Splitting) -> dict[Split, _Shards]:
    seed = seed_for(splitting.seed, "hold out")
    order = np.random.default_rng(seed).permutation(len(train.filenames))
    filled = np.cumsum(np.array(train.lengths)[order])
    validation = matching = 1 + int(np.searchsorted(filled, held_out_size(train.images)))
    if splitting.matching_images:
        enough = filled[validation - 1] + splitting.matching_images
        matching = 1 + int(np.searchsorted(filled, enough))
    if matching >= len(train.filenames):
        raise DataError(
            f"{folder}: {len(train.filenames)} train shards are too few to hold some out",
            hint="write the training images in 10 shards or more"
            + (", or lower matching_images" if splitting.matching_images else ""),
        )
    return {
        "train": train.take(order[matching:].tolist()),
        "matching-validation": train.take(order[validation:matching].tolist()),
        "search-validation": train.take(order[:validation].tolist()),
    }
