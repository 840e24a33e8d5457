"""Images as batches of tensors: what training sees of a data set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.records import DatasetRecord, Preprocessing
from pipeline.training.randomness import generator_for

Split = Literal["train", "search-validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
Batch = tuple[Tensor, Tensor]


class ImageData(Protocol):
    """A data set in three disjoint splits.

    Images are float32 of shape (n, 3, r, r) in channels-last layout, preprocessed as the record
    says; labels are int64 of shape (n,). `train` is trained on, and gives batch-norm and
    quantization statistics; every choice is made on `search-validation`; `test` is reported only.
    """

    @property
    def record(self) -> DatasetRecord:
        """Which images these are."""

    @property
    def num_classes(self) -> int:
        """Number of classes."""

    def num_train_batches(self, batch_size: int) -> int:
        """Batches of one epoch; an incomplete last one is dropped."""

    def train_batches(self, batch_size: int, *, seed: int, epoch: int) -> Iterator[Batch]:
        """One epoch of augmented training images, the same for the same seed and epoch.

        Raises:
            DataError: An image cannot be read.
        """

    def batches(self, split: Split, batch_size: int) -> Iterator[Batch]:
        """All images of a split once, in a fixed shuffled order, without augmentation.

        Raises:
            DataError: An image cannot be read.
        """

    def sample(self, split: Split, n: int) -> Tensor:
        """The first `n` images of `batches`, or all where there are fewer; (n, 3, r, r)."""


def sample_of(data: ImageData, split: Split, n: int, *, batch_size: int = 128) -> Batch:
    """The first `n` images of a split with their labels, or all where there are fewer."""
    images, labels = [], []
    missing = n
    for some, of in data.batches(split, min(batch_size, n)):
        images.append(some[:missing])
        labels.append(of[:missing])
        missing -= len(images[-1])
        if missing <= 0:
            break
    layout = torch.channels_last
    return torch.cat(images).contiguous(memory_format=layout), torch.cat(labels)


@dataclass(frozen=True)
class Augmentation:
    """How training images are varied.

    Attributes:
        crop_padding: Pixels an image may be shifted by, at the size it is stored in.
        flip: Whether half the images are mirrored left to right.
    """

    crop_padding: int
    flip: bool


@dataclass(frozen=True)
class GrayImages:
    """Images in memory with their labels.

    Attributes:
        pixels: uint8 of shape (n, h, w).
        labels: int64 of shape (n,).
    """

    pixels: Tensor
    labels: Tensor

    def __getitem__(self, indices: Tensor) -> GrayImages:
        return GrayImages(self.pixels[indices], self.labels[indices])

    def __len__(self) -> int:
        return len(self.labels)


class InMemoryImages:
    """Small gray images, kept as bytes and preprocessed a batch at a time.

    Args:
        splits: The images of each split, in the order `batches` gives them.
        record: What they are, with the preprocessing to apply.
        augmentation: How training images are varied.
    """

    def __init__(
        self,
        splits: Mapping[Split, GrayImages],
        record: DatasetRecord,
        augmentation: Augmentation,
    ) -> None:
        pad = record.preprocessing.pad
        self.record = record
        self.num_classes = len(record.class_names)
        self._augmentation = augmentation
        self._splits = {
            split: GrayImages(F.pad(images.pixels, (pad, pad, pad, pad)), images.labels)
            for split, images in splits.items()
        }

    def num_train_batches(self, batch_size: int) -> int:
        """See `ImageData`."""
        return max(1, len(self._splits["train"]) // batch_size)

    def train_batches(self, batch_size: int, *, seed: int, epoch: int) -> Iterator[Batch]:
        """See `ImageData`."""
        train = self._splits["train"]
        order = torch.randperm(len(train), generator=generator_for(seed, "order", epoch))
        for step in range(self.num_train_batches(batch_size)):
            batch = train[order[step * batch_size : (step + 1) * batch_size]]
            generator = generator_for(seed, "augmentation", epoch, step)
            pixels = augment(batch.pixels, self._augmentation, generator)
            yield preprocess(pixels, self.record.preprocessing), batch.labels

    def batches(self, split: Split, batch_size: int) -> Iterator[Batch]:
        """See `ImageData`."""
        images = self._splits[split]
        for start in range(0, len(images), batch_size):
            part = slice(start, start + batch_size)
            inputs = preprocess(images.pixels[part], self.record.preprocessing)
            yield inputs, images.labels[part]

    def sample(self, split: Split, n: int) -> Tensor:
        """See `ImageData`."""
        return sample_of(self, split, n)[0]


def augment(pixels: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Shifts and mirrors images at random, each on its own.

    Args:
        pixels: Shape (n, h, w).
        augmentation: By how much.
        generator: Where the randomness comes from.

    Returns:
        The same shape; what is shifted in is zero.
    """
    n, height, width = pixels.shape
    pad = augmentation.crop_padding
    padded = F.pad(pixels, (pad, pad, pad, pad))
    shifts = torch.randint(0, 2 * pad + 1, (2, n, 1), generator=generator)
    mirrored = torch.rand((n, 1), generator=generator) < 0.5
    rows = shifts[0] + torch.arange(height)
    columns = shifts[1] + torch.arange(width)
    if augmentation.flip:
        columns = torch.where(mirrored, columns.flip(1), columns)
    return padded[torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]


def preprocess(pixels: Tensor, how: Preprocessing) -> Tensor:
    """Makes network inputs of padded gray images.

    Args:
        pixels: uint8 of shape (n, h, w), padded already.
        how: Size, interpolation, mean and standard deviation.

    Returns:
        float32 of shape (n, 3, r, r), channels-last.
    """
    size = (how.resolution, how.resolution)
    images = pixels.unsqueeze(1).float()
    if images.shape[2:] != size:
        images = F.interpolate(images, size=size, mode=how.resize, align_corners=False)
    mean = torch.tensor(how.mean).view(1, 3, 1, 1)
    std = torch.tensor(how.std).view(1, 3, 1, 1)
    images = (images.expand(-1, 3, -1, -1) / 255 - mean) / std
    return images.contiguous(memory_format=torch.channels_last)
