"""Opens a data set by name or path: bundled digits, Fashion-MNIST, or anything timm reads."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.datasets import load_digits

from pipeline.files.whole import digest_of
from pipeline.images import fashion_mnist
from pipeline.images.image_data import ImageData, Split
from pipeline.images.in_memory import Augmentation, GrayImages, InMemoryImages
from pipeline.images.splits import Splitting, hold_out
from pipeline.images.timm_data import open_timm_dataset
from pipeline.records.dataset import DatasetRecord, Preprocessing
from pipeline.space.search_space import check_resolution
from pipeline.work.progress import ProgressFactory, unwatched

FASHION_MNIST = "fashion-mnist"
DIGITS = "digits"
_DIGITS_TEST_IMAGES = 360


def open_dataset(
    name_or_path: str,
    *,
    resolution: int,
    seed: int,
    max_train: int | None = None,
    matching_images: int = 0,
    progress: ProgressFactory = unwatched,
) -> ImageData:
    """Opens a data set in four disjoint splits.

    Args:
        name_or_path: `fashion-mnist`, `digits` (scikit-learn's, bundled), a folder of images in
            one folder a class, or a timm name such as `hfds/NAME` or `wds/FOLDER`.
        resolution: Side of the network's input in pixels.
        seed: Decides which images are held out of train.
        max_train: Train on so many images only; the other splits stay as they are.
        matching_images: Hold so many images out of train as `matching-validation`, the same share
            of every class; of a WebDataset as many whole shards as it takes. The other splits stay
            as they are.
        progress: Told about the images of a folder that are read through to check them.

    Raises:
        DataError: Images are missing, empty or damaged; the message says where, the hint what to
            do.
        UnknownNameError: Neither a known name nor a path.
    """
    check_resolution(resolution)
    splitting = Splitting(seed=seed, matching_images=matching_images, max_train=max_train)
    if name_or_path == FASHION_MNIST:
        return _in_memory(_fashion_mnist(), resolution, splitting)
    if name_or_path == DIGITS:
        return _in_memory(_digits(), resolution, splitting)
    return open_timm_dataset(name_or_path, resolution, splitting, progress)


@dataclass(frozen=True)
class _Gray:
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


def _fashion_mnist() -> _Gray:
    files = fashion_mnist.read_fashion_mnist()
    return _Gray(
        name=FASHION_MNIST,
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


def _digits() -> _Gray:
    bundle = load_digits()
    pixels = np.round(bundle.images * (255 / 16)).astype(np.uint8)
    labels = bundle.target.astype(np.int64)
    images = GrayImages(torch.from_numpy(pixels), torch.from_numpy(labels))
    # Which images are the test split must not depend on a run's seed.
    train, test = hold_out(labels, _DIGITS_TEST_IMAGES, seed=0)
    return _Gray(
        name=DIGITS,
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


def _in_memory(gray: _Gray, resolution: int, splitting: Splitting) -> InMemoryImages:
    parts = splitting.split(gray.train.labels.numpy())
    in_order = torch.randperm(len(gray.test), generator=torch.Generator().manual_seed(0))
    train, test = gray.train.padded(gray.pad), gray.test.padded(gray.pad)
    splits: dict[Split, GrayImages] = {
        "train": train[torch.from_numpy(parts.train)],
        "matching-validation": train[torch.from_numpy(parts.matching_validation)],
        "search-validation": train[torch.from_numpy(parts.search_validation)],
        "test": test[in_order],
    }
    record = DatasetRecord(
        name=gray.name,
        source=gray.source,
        checksum=gray.checksum,
        class_names=gray.class_names,
        num_train=len(splits["train"]),
        num_matching_validation=len(splits["matching-validation"]),
        num_search_validation=len(splits["search-validation"]),
        num_test=len(splits["test"]),
        images_by_class={
            split: tuple(images.labels.bincount(minlength=len(gray.class_names)).tolist())
            for split, images in splits.items()
        },
        preprocessing=Preprocessing(
            resolution=resolution,
            pad=gray.pad,
            grayscale_to_rgb=True,
            mean=(gray.mean,) * 3,
            std=(gray.std,) * 3,
        ),
    )
    return InMemoryImages(record=record, splits=splits, augmentation=gray.augmentation)
