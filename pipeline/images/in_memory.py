"""Small gray images in memory, varied and preprocessed a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.images.epoch_steps import (
    Part,
    ResolutionAt,
    Step,
    num_batches,
    record_at,
    sized,
    steps_of,
)
from pipeline.images.image_data import Batch, Original, Split, sample_of, standardized
from pipeline.images.rand_augment import rand_augmented_gray
from pipeline.images.randomness import generator_for
from pipeline.records.dataset import DatasetRecord, Preprocessing


@dataclass(frozen=True)
class Augmentation:
    """How training images are varied.

    Attributes:
        crop_padding: Pixels an image may be shifted by, at the size it is stored in.
        flip: Whether half the images are mirrored left to right.
        rand_augment: timm's description of RandAugment; None for none.
    """

    crop_padding: int
    flip: bool
    rand_augment: str | None = None


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
        there = indices.to(self.labels.device, non_blocking=True)
        return GrayImages(self.pixels[there], self.labels[there])

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str) -> GrayImages:
        """The same images on a device."""
        return GrayImages(self.pixels.to(device), self.labels.to(device))

    def padded(self, pad: int) -> GrayImages:
        """The same images with `pad` pixels of zero on each side."""
        return GrayImages(F.pad(self.pixels, (pad, pad, pad, pad)), self.labels)


class InMemoryImages:
    """Small gray images, kept as bytes and preprocessed a batch at a time.

    Args:
        splits: The images of each split on one device, padded as the record says, in the order
            `batches` gives them.
        record: What they are, with the preprocessing to apply.
        augmentation: How training images are varied.
    """

    def __init__(
        self,
        splits: Mapping[Split, GrayImages],
        record: DatasetRecord,
        augmentation: Augmentation,
    ) -> None:
        self.record = record
        self.num_classes = len(record.class_names)
        self._augmentation = augmentation
        self._splits = splits

    def at(self, resolution: int) -> InMemoryImages:
        """See `ImageData`."""
        return InMemoryImages(self._splits, record_at(self.record, resolution), self._augmentation)

    def to(self, device: torch.device | str) -> InMemoryImages:
        """See `ImageData`."""
        splits = {split: images.to(device) for split, images in self._splits.items()}
        return InMemoryImages(splits, self.record, self._augmentation)

    def varied(self, rand_augment: str) -> InMemoryImages:
        """See `ImageData`."""
        augmentation = replace(self._augmentation, rand_augment=rand_augment)
        return InMemoryImages(self._splits, self.record, augmentation)

    def num_train_batches(self, batch_size: int) -> int:
        """See `ImageData`."""
        return num_batches(self.record, batch_size)

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
        """See `ImageData`; what is not given is not touched."""
        steps = steps_of(
            self.record, batch_size, start=start, part=part, resolution_at=resolution_at
        )
        images = len(self._splits["train"])
        order = torch.randperm(images, generator=generator_for(seed, "order", epoch))
        return (self._train_batch(order[step.batch], step, seed, epoch) for step in steps)

    def _train_batch(self, indices: Tensor, step: Step, seed: int, epoch: int) -> Batch:
        train = self._splits["train"]
        generator = generator_for(seed, "augmentation", epoch, step.number)
        shape = (len(indices), *train.pixels.shape[1:])
        views = random_views(shape, self._augmentation, generator)
        batch = train[indices[step.share]]
        pixels = views[step.share].of(batch.pixels)
        if self._augmentation.rand_augment:
            place = (seed, "rand augment", epoch, step.number, step.share.start)
            pixels = rand_augmented_gray(pixels, self._augmentation.rand_augment, *place)
        return preprocess(pixels, sized(self.record.preprocessing, step.resolution)), batch.labels

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

    def originals(self, split: Split, n: int) -> list[Original]:
        """See `ImageData`; gray, without the padding they are kept with."""
        images, pad = self._splits[split], self.record.preprocessing.pad
        height, width = (side - pad for side in images.pixels.shape[1:])
        shown = images.pixels[:n, pad:height, pad:width].cpu().numpy()
        return [
            Original(pixels, label)
            for pixels, label in zip(shown, images.labels[:n].tolist(), strict=True)
        ]


@dataclass(frozen=True)
class Views:
    """What is shown of each of n images.

    Attributes:
        padding: Pixels of zero on each side that images are given first.
        rows: int64 of shape (n, h), the rows shown of the padded image.
        columns: int64 of shape (n, w), the columns; they fall where the image is mirrored.
    """

    padding: int
    rows: Tensor
    columns: Tensor

    def __getitem__(self, share: slice) -> Views:
        return Views(self.padding, self.rows[share], self.columns[share])

    def of(self, pixels: Tensor) -> Tensor:
        """What is shown of images of shape (n, h, w): the same shape, on the same device."""
        device, pad = pixels.device, self.padding
        rows = self.rows.to(device, non_blocking=True)
        columns = self.columns.to(device, non_blocking=True)
        images = torch.arange(len(pixels), device=device)
        padded = F.pad(pixels, (pad, pad, pad, pad))
        return padded[images[:, None, None], rows[:, :, None], columns[:, None, :]]


def random_views(
    shape: tuple[int, int, int], augmentation: Augmentation, generator: torch.Generator
) -> Views:
    """Shifts and mirrors images at random, each on its own.

    Args:
        shape: (n, h, w) of the images.
        augmentation: By how much.
        generator: Where the randomness comes from.

    Returns:
        Views on the CPU, whatever device the images are on: a GPU's generator draws other numbers.
    """
    n, height, width = shape
    pad = augmentation.crop_padding
    shifts = torch.randint(0, 2 * pad + 1, (2, n, 1), generator=generator)
    mirrored = torch.rand((n, 1), generator=generator) < 0.5
    rows = shifts[0] + torch.arange(height)
    columns = shifts[1] + torch.arange(width)
    if augmentation.flip:
        columns = torch.where(mirrored, columns.flip(1), columns)
    return Views(pad, rows, columns)


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
    images = standardized(images.expand(-1, 3, -1, -1), how)
    return images.contiguous(memory_format=torch.channels_last)
