"""The data sets that are known by name: small gray images, kept in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.datasets import load_digits

from pipeline.files.whole import digest_of
from pipeline.images import fashion_mnist
from pipeline.images.image_data import Split
from pipeline.images.in_memory import Augmentation, GrayImages, InMemoryImages
from pipeline.images.splits import Splitting, hold_out
from pipeline.records.dataset import DatasetRecord, Preprocessing

_DIGITS_TEST_IMAGES = 360


@dataclass(frozen=True)
class GraySet:
    """A data set of gray images before it is split.

    Attributes:
        mean: Of the padded training images' pixels, scaled to 0..1.
        std: Their standard deviation.
    """

    name: str
    train: GrayImages
    test: GrayImages
    source: str
    checksum: str
    class_names: tuple[str, ...]
    pad: int
    mean: float
    std: float
    augmentation: Augmentation

    def split(self, resolution: int, splitting: Splitting) -> InMemoryImages:
        """Holds images out of train, the same share of every class.

        Raises:
            DataError: There are too few images to hold any out.
        """
        parts = splitting.split(self.train.labels.numpy())
        in_order = torch.randperm(len(self.test), generator=torch.Generator().manual_seed(0))
        train, test = self.train.padded(self.pad), self.test.padded(self.pad)
        splits: dict[Split, GrayImages] = {
            "train": train[torch.from_numpy(parts.train)],
            "matching-validation": train[torch.from_numpy(parts.matching_validation)],
            "search-validation": train[torch.from_numpy(parts.search_validation)],
            "test": test[in_order],
        }
        record = DatasetRecord(
            name=self.name,
            source=self.source,
            checksum=self.checksum,
            class_names=self.class_names,
            num_train=len(splits["train"]),
            num_matching_validation=len(splits["matching-validation"]),
            num_search_validation=len(splits["search-validation"]),
            num_test=len(splits["test"]),
            images_by_class={
                split: tuple(images.labels.bincount(minlength=len(self.class_names)).tolist())
                for split, images in splits.items()
            },
            preprocessing=Preprocessing(
                resolution=resolution,
                pad=self.pad,
                grayscale_to_rgb=True,
                mean=(self.mean,) * 3,
                std=(self.std,) * 3,
            ),
        )
        return InMemoryImages(record=record, splits=splits, augmentation=self.augmentation)


def find_fashion_mnist() -> GraySet:
    """Fashion-MNIST (Xiao et al., 2017), fetched where it is not on this machine yet.

    Raises:
        DataError: A file is damaged, or cannot be found anywhere.
        StorageError: The cache cannot be written.
    """
    files = fashion_mnist.read_fashion_mnist()
    return GraySet(
        name="fashion-mnist",
        train=files.train,
        test=files.test,
        source=files.origin,
        checksum=digest_of(fashion_mnist.CONTENT_SHA256),
        class_names=fashion_mnist.CLASS_NAMES,
        pad=2,
        mean=0.2190,
        std=0.3318,
        augmentation=Augmentation(crop_padding=2, flip=True),
    )


def find_digits() -> GraySet:
    """The handwritten digits that are bundled with scikit-learn."""
    bundle = load_digits()
    pixels = np.round(bundle.images * (255 / 16)).astype(np.uint8)
    labels = bundle.target.astype(np.int64)
    images = GrayImages(torch.from_numpy(pixels), torch.from_numpy(labels))
    # Which images are the test split must not depend on a run's seed.
    train, test = hold_out(labels, _DIGITS_TEST_IMAGES, seed=0)
    return GraySet(
        name="digits",
        train=images[torch.from_numpy(train)],
        test=images[torch.from_numpy(test)],
        source="bundled with scikit-learn; 360 images held out as test",
        checksum=hashlib.sha256(pixels.tobytes() + labels.tobytes()).hexdigest(),
        class_names=tuple(str(name) for name in bundle.target_names),
        pad=0,
        mean=0.3053,
        std=0.3759,
        augmentation=Augmentation(crop_padding=1, flip=False),
    )


# The data sets by the names they are opened by.
GRAY_SETS: Mapping[str, Callable[[], GraySet]] = {
    "fashion-mnist": find_fashion_mnist,
    "digits": find_digits,
}
