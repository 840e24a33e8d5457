"""Images with an index and a label each, split into what training and evaluation take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from pipeline.errors import DataError
from pipeline.images.by_index import ImagesByIndex
from pipeline.images.decoding import Decoding
from pipeline.images.image_data import SPLITS, Split
from pipeline.images.indexed import IndexedImages
from pipeline.images.photo import photo_preprocessing
from pipeline.images.splits import Indices, Splitting, hold_out
from pipeline.records.dataset import MOST_SKIPPED_TOLD, DatasetRecord
from pipeline.work.progress import ProgressFactory

_TEST_SHARE = 0.1


class Labelled(NamedTuple):
    """Images by index.

    Attributes:
        reader: As `ImagesByIndex` takes it.
        labels: Class of each of its images.
    """

    reader: Any
    labels: Indices


@dataclass(frozen=True)
class Found:
    """A data set before anything is held out of train.

    Attributes:
        test: None where it has none.
        source: Where the images were found, in words.
        checksum: Of all images, or None where they were not read through.
        skipped: Files that are left out and why, by path within the data set.
        skipped_list: As in `DatasetRecord`.
        other_files: As in `DatasetRecord`.
    """

    train: Labelled
    test: Labelled | None
    class_names: tuple[str, ...]
    source: str
    checksum: str | None = None
    skipped: dict[str, str] = field(default_factory=dict)
    skipped_list: str | None = None
    other_files: Counter[str] = field(default_factory=Counter)


def split_images(
    found: Found, name: str, resolution: int, splitting: Splitting, progress: ProgressFactory
) -> IndexedImages:
    """Holds images out of train, the same share of every class and at least one.

    Raises:
        DataError: A class has too few images for each split to have one.
    """
    _check_enough(found, name)
    reader, labels = found.train
    source, rest = found.source, np.arange(len(labels))
    if found.test:
        order = np.random.default_rng(0).permutation(len(found.test.labels))
        test = ImagesByIndex(found.test.reader, order)
    else:
        # Which images are the test split must not depend on a run's seed.
        size = int(len(labels) * _TEST_SHARE)
        rest, held = hold_out(labels, size, seed=0, every_class=True)
        test = ImagesByIndex(reader, held)
        source += f"; no test images there, so {len(held)} of the others are held out as test"
    kept, matching, validation = (
        rest[part] for part in replace(splitting, every_class=True).split(labels[rest])
    )
    test_labels = found.test.labels if found.test else labels
    by_split = (labels[kept], labels[matching], labels[validation], test_labels[test.indices])
    counts = {
        split: tuple(np.bincount(of, minlength=len(found.class_names)).tolist())
        for split, of in zip(SPLITS, by_split, strict=True)
    }
    _check_train(counts["train"], found.class_names, name)
    record = DatasetRecord(
        name=name,
        source=source,
        checksum=found.checksum,
        class_names=found.class_names,
        num_train=len(kept),
        num_matching_validation=len(matching),
        num_search_validation=len(validation),
        num_test=len(test.indices),
        images_by_class=counts,
        num_skipped=len(found.skipped),
        skipped=dict(list(found.skipped.items())[:MOST_SKIPPED_TOLD]),
        skipped_list=found.skipped_list,
        other_files=dict(sorted(found.other_files.items())),
        preprocessing=photo_preprocessing(resolution),
    )
    splits: dict[Split, ImagesByIndex] = {
        "train": ImagesByIndex(reader, kept),
        "matching-validation": ImagesByIndex(reader, matching),
        "search-validation": ImagesByIndex(reader, validation),
        "test": test,
    }
    decoding = Decoding(name, found.checksum, progress)
    return IndexedImages(record=record, splits=splits, decoding=decoding)


def _check_enough(found: Found, name: str) -> None:
    parts = ("train", "search-validation") if found.test else ("train", "search-validation", "test")
    _check_counts(found.train.labels, len(parts), ", ".join(parts), found, name)
    if found.test:
        _check_counts(found.test.labels, 1, "test", found, name)


def _check_counts(labels: Indices, needed: int, parts: str, found: Found, name: str) -> None:
    counts = np.bincount(labels, minlength=len(found.class_names))
    few = [f"{found.class_names[i]} has {counts[i]}" for i in np.flatnonzero(counts < needed)]
    if few:
        raise DataError(
            f"{name}: too few images{_without(found.skipped)}: {_first(few)}; each class needs at "
            f"least {needed}, one for each of: {parts}",
            hint="add images of the class, or remove its folder",
        )


def _without(skipped: dict[str, str]) -> str:
    if not skipped:
        return ""
    file, why = next(iter(skipped.items()))
    return f", without {len(skipped)} unreadable, first {file} ({why})"


def _check_train(counts: Sequence[int], class_names: Sequence[str], name: str) -> None:
    without = [name for name, count in zip(class_names, counts, strict=True) if not count]
    if without:
        raise DataError(
            f"{name}: no image of {_first(without)} is left to train on once some are held out",
            hint="lower matching_images, or add images of the class",
        )


def _first(words: Sequence[str], most: int = 10) -> str:
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more
