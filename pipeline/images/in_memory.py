"""Small gray images in memory, varied and preprocessed a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.images.epoch import Epoch, Step
from pipeline.images.image_data import Batch, ImageData, Original, Split, sized, standardized
from pipeline.images.rand_augment import rand_augmented_gray
from pipeline.images.randomness import generator_for
from pipeline.records.dataset import Preprocessing


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


@dataclass(frozen=True, kw_only=True, eq=False)
class InMemoryImages(ImageData):
    """Small gray images, kept as bytes and preprocessed a batch at a time.

    Attributes:
        splits: The images of each split on the device, padded as the record says, in the order
            `batches` gives them.
        augmentation: How training images are varied.
    """

    splits: Mapping[Split, GrayImages]
    augmentation: Augmentation

    def to(self, device: torch.device | str) -> Self:
        """See `ImageData`."""
        splits = {split: images.to(device) for split, images in self.splits.items()}
        return replace(super().to(device), splits=splits)

    def _train_batches(self, epoch: Epoch, steps: list[Step]) -> Iterator[Batch]:
        order = epoch.order(len(self.splits["train"]))
        return (self._train_batch(order[step.batch], step, epoch) for step in steps)

    def _train_batch(self, indices: Tensor, step: Step, epoch: Epoch) -> Batch:
        train, place = self.splits["train"], (epoch.number, step.number)
        generator = generator_for(epoch.seed, "augmentation", *place)
        shape = (len(indices), *train.pixels.shape[1:])
        views = random_views(shape, self.augmentation, generator)
        batch = train[indices[step.share]]
        pixels = views[step.share].of(batch.pixels)
        if self.rand_augment:
            share = (epoch.seed, "rand augment", *place, step.share.start)
            pixels = rand_augmented_gray(pixels, self.rand_augment, *share)
        return preprocess(pixels, sized(self.record.preprocessing, step.resolution)), batch.labels

    def batches(self, split: Split, batch_size: int) -> Iterator[Batch]:
        """See `ImageData`."""
        images = self.splits[split]
        for start in range(0, len(images), batch_size):
            part = slice(start, start + batch_size)
            inputs = preprocess(images.pixels[part], self.record.preprocessing)
            yield inputs, images.labels[part]

    def originals(self, split: Split, n: int) -> list[Original]:
        """See `ImageData`; gray, without the padding they are kept with."""
        images, pad = self.splits[split], self.record.preprocessing.pad
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
