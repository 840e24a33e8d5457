"""Images as batches of tensors: what training sees of a data set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple, Protocol, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.errors import DataError
from pipeline.images.epoch_steps import Part, ResolutionAt
from pipeline.records.dataset import DatasetRecord, Preprocessing

Split = Literal["train", "matching-validation", "search-validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
Batch = tuple[Tensor, Tensor]


class Original(NamedTuple):
    """An image as a person would see it: upright and whole, before any preprocessing.

    Attributes:
        pixels: uint8 of shape (h, w) where it is gray, (h, w, 3) where it is RGB.
        label: Index of its class.
    """

    pixels: NDArray[np.uint8]
    label: int


class ImageData(Protocol):
    """A data set in four disjoint splits.

    Images are float32 of shape (n, 3, r, r) in channels-last layout, preprocessed as the record
    says; labels are int64 of shape (n,). `train` is trained on, and gives batch-norm and
    quantization statistics; the matching network learns from `matching-validation`, which is empty
    unless it was asked for; every choice is made on `search-validation`; `test` is reported only.
    """

    @property
    def record(self) -> DatasetRecord:
        """Which images these are."""

    @property
    def num_classes(self) -> int:
        """Number of classes."""

    def at(self, resolution: int) -> ImageData:
        """The same images in the same splits, preprocessed at another size; nothing is copied.

        Args:
            resolution: Side of the network's input in pixels.

        Raises:
            ArchitectureError: The spaces are not defined at that size.
        """

    def to(self, device: torch.device | str) -> ImageData:
        """The same images, given as tensors on a device.

        Images that are in memory are kept and preprocessed on it; others are moved to it a batch at
        a time. The order and the augmentation do not depend on it: a GPU gives what a CPU gives, up
        to float32 rounding.
        """

    def varied(self, rand_augment: str) -> ImageData:
        """The same images, with RandAugment on those that are trained on.

        Args:
            rand_augment: timm's description, e.g. `rand-m9-mstd0.5`.
        """

    def num_train_batches(self, batch_size: int) -> int:
        """Batches of one epoch, all processes together; an incomplete last one is dropped."""

    def train_batches(
        self,
        batch_size: int,
        *,
        seed: int,
        epoch: int,
        start: int = 0,
        part: Part = (0, 1),
        resolution_at: ResolutionAt | None = None,
    ) -> Iterator[Batch]:
        """One epoch of augmented training images, the same for the same seed and epoch.

        What a step gives depends neither on `start` nor, at the data's own resolution, on
        `resolution_at`; joined, the parts of all processes are the batch that one would be given.

        Args:
            batch_size: Images of a step, all processes together.
            seed: Of the order and the augmentation.
            epoch: Place in the run, from 0.
            start: First step to give, where a run goes on within an epoch; nothing is given if it
                is the number of steps.
            part: This process's place from 0 and the number of processes, which divides
                `batch_size`. Of each batch it is given rows place × batch_size / number to
                (place + 1) × batch_size / number.
            resolution_at: Input size of each step, with the same crops and mirroring at any size;
                None for the data's own.

        Raises:
            UsageError: `start` or `part` is out of range, or the processes cannot share a batch.
            ArchitectureError: The spaces are not defined at one of the sizes.
            DataError: An image cannot be read, or several processes are to share fewer images than
                a batch.
        """

    def batches(self, split: Split, batch_size: int) -> Iterator[Batch]:
        """All images of a split once, in a fixed shuffled order, without augmentation.

        Raises:
            DataError: An image cannot be read.
        """

    def sample(self, split: Split, n: int) -> Tensor:
        """The first `n` images of `batches`, or all where there are fewer; (n, 3, r, r).

        Raises:
            DataError: The split is empty, or an image cannot be read.
        """

    def originals(self, split: Split, n: int) -> list[Original]:
        """The first `n` images of `batches(split, n)` before preprocessing, or all there are.

        Raises:
            DataError: An image cannot be read.
        """


def sample_of(data: ImageData, split: Split, n: int, *, batch_size: int = 128) -> Batch:
    """The first `n` images of a split with their labels, or all where there are fewer.

    Raises:
        DataError: The split is empty, or an image cannot be read.
    """
    images, labels = [], []
    missing = n
    for some, of in data.batches(split, min(batch_size, n)):
        images.append(some[:missing])
        labels.append(of[:missing])
        missing -= len(images[-1])
        if missing <= 0:
            break
    if not images:
        raise DataError(
            f"{data.record.name}: there are no images in {split}",
            hint="matching-validation holds only as many as matching_images asks for",
        )
    layout = torch.channels_last
    return torch.cat(images).contiguous(memory_format=layout), torch.cat(labels)


def standardized(images: Tensor, how: Preprocessing) -> Tensor:
    """Brings pixel values to the scale networks take.

    Args:
        images: float32 of shape (n, 3, r, r), values from 0 to 255.
        how: Mean and standard deviation.

    Returns:
        The same shape, in the same memory layout and on the same device.
    """
    # A blocking copy would hold this process until the device has done all the work queued there.
    mean, std = (
        torch.tensor(values).to(images.device, non_blocking=True).view(1, 3, 1, 1)
        for values in (how.mean, how.std)
    )
    return (images / 255 - mean) / std
