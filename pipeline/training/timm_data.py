"""Data sets that timm reads: image folders, Hugging Face data sets, WebDatasets."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from timm.data import create_dataset

from pipeline.dataset_record import DatasetRecord
from pipeline.errors import DataError, UnknownNameError
from pipeline.training.image_data import ImageData, Split
from pipeline.training.indexed_images import ImagesByIndex, IndexedImages
from pipeline.training.photo import photo_preprocessing
from pipeline.training.splits import Indices, Splitting, hold_out
from pipeline.training.streamed_images import open_webdataset

_HUGGING_FACE = "hfds/"
_WEBDATASET = "wds/"
_TRAIN_FOLDERS = ("train", "training")
_TEST_FOLDERS = ("test", "validation", "val", "valid", "eval", "evaluation")
_TEST_SHARE = 0.1


def open_timm_dataset(name_or_path: str, resolution: int, splitting: Splitting) -> ImageData:
    """Opens what timm reads; see `pipeline.training.datasets.open_dataset`."""
    if name_or_path.startswith(_WEBDATASET):
        folder = Path(name_or_path.removeprefix(_WEBDATASET))
        return open_webdataset(folder, resolution, splitting)
    if name_or_path.startswith(_HUGGING_FACE):
        found = _hugging_face(name_or_path)
    elif (path := Path(name_or_path)).exists():
        found = _folder(path)
    elif "/" in name_or_path or path.suffix:
        raise DataError(
            f"{name_or_path}: there is no such folder of images",
            hint="expected train/CLASS/image.jpg … and val/CLASS/image.jpg … in it",
        )
    else:
        known = ("fashion-mnist", "digits", "hfds/NAME", "wds/FOLDER", "a folder of images")
        raise UnknownNameError.of("data set", name_or_path, known)
    return _split(found, name_or_path, resolution, splitting)


class _Labelled(NamedTuple):
    """Images by index: timm's reader, and the class of each image."""

    reader: Any
    labels: Indices


@dataclass(frozen=True)
class _Found:
    """A data set before anything is held out of train; `test` is None where it has none."""

    train: _Labelled
    test: _Labelled | None
    class_names: tuple[str, ...]
    source: str


def _split(found: _Found, name: str, resolution: int, splitting: Splitting) -> IndexedImages:
    reader, labels = found.train
    source, rest = found.source, np.arange(len(labels))
    if found.test:
        order = np.random.default_rng(0).permutation(len(found.test.labels))
        test = ImagesByIndex(found.test.reader, order)
    else:
        # Which images are the test split must not depend on a run's seed.
        rest, held = hold_out(labels, int(len(labels) * _TEST_SHARE), seed=0)
        test = ImagesByIndex(reader, held)
        source += f"; no test images there, so {len(held)} of the others are held out as test"
    kept, matching, validation = (rest[part] for part in splitting.split(labels[rest]))
    record = DatasetRecord(
        name=name,
        source=source,
        checksum=None,
        class_names=found.class_names,
        num_train=len(kept),
        num_matching_validation=len(matching),
        num_search_validation=len(validation),
        num_test=len(test.indices),
        preprocessing=photo_preprocessing(resolution),
    )
    splits: dict[Split, ImagesByIndex] = {
        "train": ImagesByIndex(reader, kept),
        "matching-validation": ImagesByIndex(reader, matching),
        "search-validation": ImagesByIndex(reader, validation),
        "test": test,
    }
    return IndexedImages(splits, record)


def _folder(path: Path) -> _Found:
    if path.is_file():
        raise DataError(f"{path}: is a file; expected a folder of images")
    train_path = _inner(path, _TRAIN_FOLDERS) or path
    train = _read_folder(train_path, None)
    classes: dict[str, int] = train.reader.class_to_idx
    _check_classes(train_path, train, classes)
    test_path = _inner(path, _TEST_FOLDERS) if train_path != path else None
    test = None
    if test_path:
        _check_same_classes(test_path, classes)
        test = _read_folder(test_path, classes)
    source = f"{train_path.name}/ and {test_path.name}/" if test_path else f"{train_path.name}/"
    return _Found(train, test, tuple(classes), f"{source} as timm reads them")


def _inner(path: Path, names: Sequence[str]) -> Path | None:
    return next((path / name for name in names if (path / name).is_dir()), None)


def _read_folder(path: Path, classes: dict[str, int] | None) -> _Labelled:
    try:
        dataset: Any = create_dataset("", str(path), search_split=False, class_map=classes or {})
    except RuntimeError as error:
        raise DataError(
            f"{path}: holds no images: {error}",
            hint="expected one folder a class: CLASS/image.jpg …",
        ) from None
    reader = dataset.reader
    return _Labelled(reader, np.array([label for _, label in reader.samples], dtype=np.int64))


def _class_folders(path: Path) -> list[Path]:
    """Folders whose names are classes."""
    return sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))


def _check_classes(path: Path, images: _Labelled, classes: dict[str, int]) -> None:
    if "" in classes:
        raise DataError(
            f"{path}: has images outside the folders of classes",
            hint=f"move them to {path}/CLASS/",
        )
    if len(classes) < 2:
        raise DataError(f"{path}: has images of {len(classes)} class; expected at least 2")
    files = [Path(name).parts for name in images.reader.filenames()]
    used = {parts[0] for parts in files}
    empty = [folder.name for folder in _class_folders(path) if folder.name not in used]
    if empty:
        raise DataError(
            f"{path}: no images of class {', '.join(empty)}",
            hint="add images to the folder, or remove it",
        )


def _check_same_classes(path: Path, classes: dict[str, int]) -> None:
    unknown = [folder.name for folder in _class_folders(path) if folder.name not in classes]
    if unknown:
        raise DataError(f"{path}: has classes that train lacks: {', '.join(unknown)}")


def _hugging_face(name: str) -> _Found:
    if importlib.util.find_spec("datasets") is None:
        raise DataError(f"{name} needs the package `datasets`", hint="pip install datasets")
    train = _read_hugging_face(name, "train")
    test_split = next((s for s in _TEST_FOLDERS if s in _hugging_face_splits(train)), None)
    test = _read_hugging_face(name, test_split) if test_split else None
    names = train.reader.class_to_idx or [str(n) for n in range(int(train.labels.max()) + 1)]
    splits = f"train and {test_split}" if test_split else "train"
    return _Found(train, test, tuple(names), f"Hugging Face, splits {splits}")


def _hugging_face_splits(images: _Labelled) -> Iterable[str]:
    return images.reader.dataset.info.splits or ()


def _read_hugging_face(name: str, split: str) -> _Labelled:
    try:
        reader = create_dataset(name, split=split).reader
        labels = reader.dataset[reader.label_key]
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise DataError(
            f"{name}: split {split} cannot be opened: {error}",
            hint="expected a data set with columns `image` and `label`",
        ) from None
    return _Labelled(reader, np.array(labels, dtype=np.int64))
