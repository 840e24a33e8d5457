"""Opens WebDatasets, whose images are streamed from tar files (shards).

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
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from pipeline.errors import DataError, StorageError
from pipeline.files.whole import read_record
from pipeline.images.image_data import Split
from pipeline.images.photo import photo_preprocessing
from pipeline.images.randomness import seed_for
from pipeline.images.splits import Splitting, held_out_size
from pipeline.images.streamed import INFO, Shards, StreamedImages
from pipeline.records.dataset import DatasetRecord

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
            f"{folder / INFO}: has splits {', '.join(info.splits) or 'none'}; expected train and "
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
    return StreamedImages(record=record, folder=folder, splits=splits)


def _read_info(folder: Path) -> _Info:
    try:
        return read_record(folder / INFO, _Info)
    except StorageError as error:
        raise DataError(
            error.message, hint=f"a WebDataset needs {INFO} with class_names and splits"
        ) from None


def _shards(folder: Path, info: _SplitInfo) -> Shards:
    missing = [name for name in info.filenames if not (folder / name).is_file()]
    if missing or not info.filenames:
        raise DataError(f"{folder}: shards are missing: {', '.join(missing) or 'all'}")
    if len(info.filenames) != len(info.shard_lengths):
        raise DataError(
            f"{folder / INFO}: {len(info.filenames)} filenames and "
            f"{len(info.shard_lengths)} shard_lengths; expected as many of both"
        )
    return Shards(info.filenames, info.shard_lengths)


def _hold_out_shards(folder: Path, train: Shards, splitting: Splitting) -> dict[Split, Shards]:
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
