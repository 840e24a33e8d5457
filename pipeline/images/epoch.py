"""An epoch of training: which images each of its steps shows to which process, and at what size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.errors import DataError, UsageError
from pipeline.images.randomness import generator_for
from pipeline.records.dataset import DatasetRecord
from pipeline.space.search_space import check_resolution


@dataclass(frozen=True)
class Step:
    """What one process is given at one step of an epoch.

    Attributes:
        number: Place of the step in the epoch.
        batch: Where the whole batch lies in the epoch's order of images.
        share: Rows of the batch this process is given.
        resolution: Input size in pixels.
    """

    number: int
    batch: slice
    share: slice
    resolution: int


@dataclass(frozen=True)
class Epoch:
    """One pass over the training images, or what one process is given of the rest of it.

    Attributes:
        batch_size: Images of a step, all processes together.
        seed: Of the order and the augmentation.
        number: Place in the run, from 0.
        start: First step to give, where a run goes on within an epoch; nothing is given if it is
            the number of steps.
        part: This process's place from 0 and the number of processes, which divides `batch_size`.
            Of each batch it is given rows place × batch_size / number to
            (place + 1) × batch_size / number.
        resolution_at: Input size of each step, with the same mirroring and, up to a pixel, the same
            crops at any size; None for the data's own.
    """

    batch_size: int
    seed: int
    number: int
    start: int = 0
    part: tuple[int, int] = (0, 1)
    resolution_at: Callable[[int], int] | None = None

    def steps(self, record: DatasetRecord) -> list[Step]:
        """The steps from `start` on over these images.

        Raises:
            UsageError: `start` or `part` is out of range, or the processes cannot share a batch.
            ArchitectureError: The spaces are not defined at one of the sizes.
            DataError: Several processes are to share fewer images than a batch.
        """
        total, size = num_steps(record, self.batch_size), self.batch_size
        if not 0 <= self.start <= total:
            raise UsageError(f"start is {self.start}; expected 0 to {total}, the number of steps")
        share = self._share(record.num_train)
        steps = []
        for number in range(self.start, total):
            resolution = record.preprocessing.resolution
            if self.resolution_at is not None:
                resolution = self.resolution_at(number)
                check_resolution(resolution)
            batch = slice(number * size, (number + 1) * size)
            steps.append(Step(number, batch, share, resolution))
        return steps

    def order(self, images: int) -> Tensor:
        """The order in which so many images are shown; int64 of shape (images,)."""
        return torch.randperm(images, generator=generator_for(self.seed, "order", self.number))

    def _share(self, images: int) -> slice:
        (index, count), size = self.part, self.batch_size
        if not 0 <= index < count:
            raise UsageError(
                f"part is {index} of {count} processes; expected a place from 0 to the number of "
                "processes less 1"
            )
        if size % count:
            raise UsageError(
                f"a batch of {size} images cannot be shared evenly by {count} processes",
                hint=f"set batch_size to a multiple of {count}",
            )
        if count > 1 and images < size:
            raise DataError(
                f"{images} training images do not fill one batch of {size}, which "
                f"{count} processes are to share",
                hint="lower batch_size, or train in one process",
            )
        return slice(index * size // count, (index + 1) * size // count)


def num_steps(record: DatasetRecord, batch_size: int) -> int:
    """Steps of an epoch, all processes together; an incomplete last one is dropped."""
    return max(1, record.num_train // batch_size)
