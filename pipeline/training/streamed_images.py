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
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from timm.data import create_dataset
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from pipeline.device import usable_cores
from pipeline.errors import DataError, StorageError
from pipeline.files import read_record
from pipeline.records import DatasetRecord
from pipeline.training.image_data import Batch, Split, sample_of
from pipeline.training.photo import photo_preprocessing, to_inputs, to_pixels, to_varied_pixels
from pipeline.training.randomness import generator_for, seed_for
from pipeline.training.splits import held_out_size

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

    timm's reader skips an image it cannot decode, with a warning on the log.

    Args:
        folder: Where the shards are.
        splits: The shards of each split.
        record: What they are.
    """

    def __init__(self, folder: Path, splits: dict[Split, _Shards], record: DatasetRecord) -> None:
        self.record = record
        self.num_classes = len(record.class_names)
        self._folder = folder
        self._splits = splits

    def num_train_batches(self, batch_size: int) -> int:
        """See `ImageData`."""
        return max(1, self.record.num_train // batch_size)

    def train_batches(self, batch_size: int, *, seed: int, epoch: int) -> Iterator[Batch]:
        """See `ImageData`."""
        batches = self._read("train", batch_size, seed_for(seed, "epoch", epoch))
        return islice(batches, self.num_train_batches(batch_size))

    def batches(self, split: Split, batch_size: int) -> Iterator[Batch]:
        """See `ImageData`."""
        return self._read(split, batch_size, None)

    def sample(self, split: Split, n: int) -> Tensor:
        """See `ImageData`."""
        return sample_of(self, split, n)[0]

    def _read(self, split: Split, batch_size: int, seed: int | None) -> Iterator[Batch]:
        shards, preprocessing = self._splits[split], self.record.preprocessing
        stream = _Stream(self._folder, shards, preprocessing.resolution, batch_size, seed)
        loader = DataLoader(
            stream,
            batch_size=batch_size,
            collate_fn=_stacked,
            num_workers=min(usable_cores(), len(shards.filenames)),
            generator=None if seed is None else generator_for(seed, "workers"),
        )
        for pixels, labels in loader:
            if int(labels.max()) >= self.num_classes:
                raise DataError(
                    f"{self._folder}: an image of class {int(labels.max())} among "
                    f"{self.num_classes} class_names",
                    hint=f"list all classes in {_INFO}",
                )
            yield to_inputs(pixels, preprocessing), labels


class _Stream(IterableDataset[Any]):
    """One pass over the shards, in a worker process; shuffled and varied if there is a seed."""

    def __init__(
        self, folder: Path, shards: _Shards, resolution: int, batch_size: int, seed: int | None
    ) -> None:
        self._resolution = resolution
        self._seed = seed
        # Made anew for each pass: the reader's own shuffling goes on from pass to pass, which a
        # run that was killed could not take up.
        self._dataset = create_dataset(
            "wds/",
            root=str(folder),
            split=shards.timm_split,
            is_training=seed is not None,
            batch_size=batch_size,
            seed=0 if seed is None else seed % 2**31,
        )

    def __iter__(self) -> Iterator[tuple[np.ndarray, int]]:
        worker = get_worker_info()
        for number, (image, label) in enumerate(self._dataset):
            if self._seed is None:
                pixels = to_pixels(image, self._resolution)
            else:
                of_image = seed_for(self._seed, worker.id if worker else 0, number)
                pixels = to_varied_pixels(image, self._resolution, of_image)
            yield pixels, int(label)


def _stacked(items: list[tuple[np.ndarray, int]]) -> Batch:
    pixels, labels = zip(*items, strict=True)
    return torch.from_numpy(np.stack(pixels)), torch.tensor(labels)


def open_webdataset(
    folder: Path, *, resolution: int, seed: int, max_train: int | None
) -> StreamedImages:
    """Opens a WebDataset; see `pipeline.training.datasets.open_dataset`.

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
    kept, held = _hold_out_shards(folder, train, seed)
    test = _shards(folder, info.splits[test_name])
    record = DatasetRecord(
        name=f"wds/{folder}",
        source=f"WebDataset, splits train and {test_name}; {len(held.filenames)} of "
        f"{len(train.filenames)} train shards held out",
        checksum=None,
        class_names=info.class_names,
        num_train=min(kept.images, max_train or kept.images),
        num_search_validation=held.images,
        num_test=test.images,
        preprocessing=photo_preprocessing(resolution),
    )
    splits: dict[Split, _Shards] = {"train": kept, "search-validation": held, "test": test}
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


def _hold_out_shards(folder: Path, train: _Shards, seed: int) -> tuple[_Shards, _Shards]:
    order = np.random.default_rng(seed_for(seed, "hold out")).permutation(len(train.filenames))
    filled = np.cumsum(np.array(train.lengths)[order])
    held = 1 + int(np.searchsorted(filled, held_out_size(train.images)))
    if held >= len(train.filenames):
        raise DataError(
            f"{folder}: {len(train.filenames)} train shards are too few to hold some out",
            hint="write the training images in 10 shards or more",
        )
    return train.take(order[held:].tolist()), train.take(order[:held].tolist())
