"""Images as batches of tensors: what training sees of a data set."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Self, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.errors import DataError
from pipeline.images.epoch import Epoch, Step, num_steps
from pipeline.records.dataset import DatasetRecord, Preprocessing
from pipeline.space.search_space import check_resolution

Split = Literal["train", "matching-validation", "search-validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
Batch = tuple[Tensor, Tensor]

_CPU = torch.device("cpu")
_SAMPLED_AT_ONCE = 128


class Original(NamedTuple):
    """An image as a person would see it: upright and whole, before any preprocessing.

    Attributes:
        pixels: uint8 of shape (h, w) where it is gray, (h, w, 3) where it is RGB.
        label: Index of its class.
    """

    pixels: NDArray[np.uint8]
    label: int


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageData(ABC):
    """A data set in four disjoint splits.

    Images are float32 of shape (n, 3, r, r) in channels-last layout, preprocessed as the record
    says; labels are int64 of shape (n,). `train` is trained on, and gives batch-norm and
    quantization statistics; the matching network learns from `matching-validation`, which is empty
    unless it was asked for; every choice is made on `search-validation`; `test` is reported only.

    Attributes:
        record: Which images these are.
        device: Where batches are given.
        rand_augment: timm's description of the RandAugment that training images go through; None
            for none.
    """

    record: DatasetRecord
    device: torch.device = _CPU
    rand_augment: str | None = None

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.record.class_names)

    def at(self, resolution: int) -> Self:
        """The same images in the same splits, preprocessed at another size; nothing is copied.

        Args:
            resolution: Side of the network's input in pixels.

        Raises:
            ArchitectureError: The spaces are not defined at that size.
        """
        check_resolution(resolution)
        preprocessing = sized(self.record.preprocessing, resolution)
        return replace(self, record=self.record.model_copy(update={"preprocessing": preprocessing}))

    def to(self, device: torch.device | str) -> Self:
        """The same images, given as tensors on a device.

        Images that are in memory are kept and preprocessed on it; others are moved to it a batch at
        a time. The order and the augmentation do not depend on it: a GPU gives what a CPU gives, up
        to float32 rounding.
        """
        return replace(self, device=torch.device(device))

    def varied(self, rand_augment: str) -> Self:
        """The same images, with RandAugment on those that are trained on.

        Args:
            rand_augment: timm's description, e.g. `rand-m9-mstd0.5`.
        """
        return replace(self, rand_augment=rand_augment)

    def num_train_batches(self, batch_size: int) -> int:
        """Batches of one epoch, all processes together; an incomplete last one is dropped."""
        return num_steps(self.record, batch_size)

    def train_batches(self, epoch: Epoch) -> Iterator[Batch]:
        """An epoch's augmented training images, the same for the same seed and number.

        What a step gives depends neither on `start` nor, at the data's own resolution, on
        `resolution_at`; joined, the parts of all processes are the batch that one would be given.

        Raises:
            UsageError: `start` or `part` is out of range, or the processes cannot share a batch.
            ArchitectureError: The spaces are not defined at one of the sizes.
            DataError: An image cannot be read, or several processes are to share fewer images than
                a batch.
        """
        return self._train_batches(epoch, epoch.steps(self.record))

    @abstractmethod
    def _train_batches(self, epoch: Epoch, steps: list[Step]) -> Iterator[Batch]:
        """The batches of these steps."""

    @abstractmethod
    def batches(self, split: Split, batch_size: int) -> Iterator[Batch]:
        """All images of a split once, in a fixed shuffled order, without augmentation.

        Raises:
            DataError: An image cannot be read.
        """

    def labelled_sample(self, split: Split, n: int) -> Batch:
        """The first `n` images of `batches` with their labels, or all where there are fewer.

        Raises:
            DataError: The split is empty, or an image cannot be read.
        """
        images, labels = [], []
        missing = n
        for some, of in self.batches(split, min(_SAMPLED_AT_ONCE, n)):
            images.append(some[:missing])
            labels.append(of[:missing])
            missing -= len(images[-1])
            if missing <= 0:
                break
        if not images:
            raise DataError(
                f"{self.record.name}: there are no images in {split}",
                hint="matching-validation holds only as many as matching_images asks for",
            )
        layout = torch.channels_last
        return torch.cat(images).contiguous(memory_format=layout), torch.cat(labels)

    def sample(self, split: Split, n: int) -> Tensor:
        """The images of `labelled_sample`; (n, 3, r, r)."""
        return self.labelled_sample(split, n)[0]

    @abstractmethod
    def originals(self, split: Split, n: int) -> list[Original]:
        """The first `n` images of `batches(split, n)` before preprocessing, or all there are.

        Raises:
            DataError: An image cannot be read.
        """


def sized(how: Preprocessing, resolution: int) -> Preprocessing:
    """The same preprocessing to another size in pixels."""
    return how.model_copy(update={"resolution": resolution})


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
