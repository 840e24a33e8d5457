"""Data sets of Hugging Face, read by timm."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable

import numpy as np
from timm.data import create_dataset

from pipeline.errors import DataError
from pipeline.images.found import Found, Labelled
from pipeline.images.image_folder import TEST_FOLDERS


def find_in_hugging_face(name: str) -> Found:
    """Finds the images of a data set in its splits for training and testing.

    Args:
        name: As timm takes it: `hfds/NAME`.

    Raises:
        DataError: The package `datasets` is missing, or a split cannot be opened.
    """
    if importlib.util.find_spec("datasets") is None:
        raise DataError(f"{name} needs the package `datasets`", hint="pip install datasets")
    train = _read(name, "train")
    test_split = next((s for s in TEST_FOLDERS if s in _splits(train)), None)
    test = _read(name, test_split) if test_split else None
    names = train.reader.class_to_idx or [str(n) for n in range(int(train.labels.max()) + 1)]
    splits = f"train and {test_split}" if test_split else "train"
    return Found(train, test, tuple(names), f"Hugging Face, splits {splits}")


def _splits(images: Labelled) -> Iterable[str]:
    return images.reader.dataset.info.splits or ()


def _read(name: str, split: str) -> Labelled:
    try:
        reader = create_dataset(name, split=split).reader
        labels = reader.dataset[reader.label_key]
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise DataError(
            f"{name}: split {split} cannot be opened: {error}",
            hint="expected a data set with columns `image` and `label`",
        ) from None
    return Labelled(reader, np.array(labels, dtype=np.int64))
