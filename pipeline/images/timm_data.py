"""Data sets that are found by path or by timm: image folders, Hugging Face, WebDatasets."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from timm.data import create_dataset

from pipeline.errors import DataError, UnknownNameError
from pipeline.images.folder_data import TEST_FOLDERS, find_in_folder
from pipeline.images.image_data import ImageData
from pipeline.images.labelled import Found, Labelled, split_images
from pipeline.images.splits import Splitting
from pipeline.images.webdataset import open_webdataset
from pipeline.work.progress import ProgressFactory

_HUGGING_FACE = "hfds/"
_WEBDATASET = "wds/"


def open_timm_dataset(
    name_or_path: str, resolution: int, splitting: Splitting, progress: ProgressFactory
) -> ImageData:
    """Opens what is no bundled data set; see `pipeline.images.datasets.open_dataset`."""
    if name_or_path.startswith(_WEBDATASET):
        folder = Path(name_or_path.removeprefix(_WEBDATASET))
        return open_webdataset(folder, resolution, splitting)
    if name_or_path.startswith(_HUGGING_FACE):
        found = _hugging_face(name_or_path)
    elif (path := Path(name_or_path)).exists():
        found = find_in_folder(path, progress)
    elif "/" in name_or_path or path.suffix:
        raise DataError(
            f"{name_or_path}: there is no such folder of images",
            hint="expected train/CLASS/image.jpg … and val/CLASS/image.jpg … in it",
        )
    else:
        known = ("fashion-mnist", "digits", "hfds/NAME", "wds/FOLDER", "a folder of images")
        raise UnknownNameError.of("data set", name_or_path, known)
    return split_images(found, name_or_path, resolution, splitting)


def _hugging_face(name: str) -> Found:
    if importlib.util.find_spec("datasets") is None:
        raise DataError(f"{name} needs the package `datasets`", hint="pip install datasets")
    train = _read_hugging_face(name, "train")
    test_split = next((s for s in TEST_FOLDERS if s in _hugging_face_splits(train)), None)
    test = _read_hugging_face(name, test_split) if test_split else None
    names = train.reader.class_to_idx or [str(n) for n in range(int(train.labels.max()) + 1)]
    splits = f"train and {test_split}" if test_split else "train"
    return Found(train, test, tuple(names), f"Hugging Face, splits {splits}")


def _hugging_face_splits(images: Labelled) -> Iterable[str]:
    return images.reader.dataset.info.splits or ()


def _read_hugging_face(name: str, split: str) -> Labelled:
    try:
        reader = create_dataset(name, split=split).reader
        labels = reader.dataset[reader.label_key]
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise DataError(
            f"{name}: split {split} cannot be opened: {error}",
            hint="expected a data set with columns `image` and `label`",
        ) from None
    return Labelled(reader, np.array(labels, dtype=np.int64))
