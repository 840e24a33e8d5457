"""Images held out of a split: seeded, and the same share of every class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import DataError
from pipeline.images.randomness import seed_for

Indices = NDArray[np.int64]

# Enough that the accuracy of good networks is known to about half a percent.
MOST_HELD_OUT = 5000
_HELD_OUT_SHARE = 0.1


class TrainSplits(NamedTuple):
    """Indices of training images in three disjoint parts, each in a shuffled order."""

    train: Indices
    matching_validation: Indices
    search_validation: Indices


@dataclass(frozen=True)
class Splitting:
    """How training images are split; `search-validation` depends on the seed alone.

    Attributes:
        seed: Decides which images are held out.
        matching_images: Images held out for the matching network; 0 where none is trained.
        max_train: Train on so many of the rest only; None for all of them.
        every_class: Whether `train` and `search-validation` are to have images of every class,
            however rare: at least one, and more than the share where it takes that.

    Raises:
        DataError: A number of images is out of range.
    """

    seed: int
    matching_images: int = 0
    max_train: int | None = None
    every_class: bool = False

    def __post_init__(self) -> None:
        if self.max_train is not None and self.max_train < 1:
            raise DataError(f"max_train is {self.max_train}; expected at least 1 image")
        if self.matching_images < 0:
            raise DataError(f"matching_images is {self.matching_images}; expected 0 or more")

    def split(self, labels: Indices) -> TrainSplits:
        """Splits images of these classes.

        Raises:
            DataError: There are too few images to hold any out, or for every class to have one.
        """
        size = held_out_size(len(labels))
        kept, validation = hold_out(labels, size, seed=self.seed, every_class=self.every_class)
        kept, matching = self._without_matching(labels, kept)
        if self.max_train is not None and self.max_train < len(kept):
            self._check_max_train(labels)
            part = hold_out(
                labels[kept], self.max_train, seed=self.seed, every_class=self.every_class
            )[1]
            kept = kept[part]
        return TrainSplits(kept, matching, validation)

    def _check_max_train(self, labels: Indices) -> None:
        classes = len(np.unique(labels))
        if self.every_class and self.max_train is not None and self.max_train < classes:
            raise DataError(
                f"max_train is {self.max_train}; expected at least an image for each of "
                f"{classes} classes"
            )

    def _without_matching(self, labels: Indices, kept: Indices) -> tuple[Indices, Indices]:
        if self.matching_images == 0:
            return kept, kept[:0]
        if self.matching_images >= len(kept):
            raise DataError(
                f"{len(kept)} training images are too few to hold {self.matching_images} out of "
                "them for the matching network",
                hint="lower matching_images, or add training images",
            )
        seed = seed_for(self.seed, "matching-validation")
        rest, matching = hold_out(labels[kept], self.matching_images, seed=seed)
        return kept[rest], kept[matching]


def held_out_size(images: int) -> int:
    """How many of `images` training images are held out: a tenth, at most 5000."""
    return min(MOST_HELD_OUT, int(images * _HELD_OUT_SHARE))


def hold_out(
    labels: ArrayLike, size: int, *, seed: int, every_class: bool = False
) -> tuple[Indices, Indices]:
    """Splits images in two, stratified by class.

    Args:
        labels: Class of each of n images.
        size: Images to hold out, fewer than n.
        seed: Of the choice.
        every_class: Whether at least one image of each class is held out, before any class gives
            more; there are as many images held out as classes at least.

    Returns:
        Indices of the n − size images kept and of the `size` held out, each shuffled, so that any
        first part of them is itself a fair sample.

    Raises:
        DataError: There are too few images to hold any out.
    """
    classes = np.asarray(labels, dtype=np.int64)
    if every_class:
        size = max(size, len(np.unique(classes)))
    if not 0 < size < len(classes):
        raise DataError(
            f"{len(classes)} images are too few to hold {size} out of them",
            hint="at least 10 training images are needed, better hundreds a class",
        )
    shuffled = np.random.default_rng(seed_for(seed, "hold out")).permutation(len(classes))
    ranks = _rank_within_class(classes[shuffled])
    if every_class:
        ranks[np.unique(classes[shuffled], return_index=True)[1]] = 0
    # The images with the smallest relative rank in their class: every class gives its share, and
    # the rounding is spread over the classes.
    first = np.argsort(ranks, kind="stable")[:size]
    is_held = np.zeros(len(classes), dtype=bool)
    is_held[first] = True
    return shuffled[~is_held], shuffled[is_held]


def _rank_within_class(classes: Indices) -> NDArray[np.float64]:
    """Place of each image among those of its class, from 0 to 1."""
    ranks = np.empty(len(classes))
    for label in np.unique(classes):
        members = np.flatnonzero(classes == label)
        ranks[members] = (np.arange(len(members)) + 0.5) / len(members)
    return ranks
