"""The steps of a training epoch: which images each shows to which process, and at what size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.errors import DataError, UsageError
from pipeline.records.dataset import DatasetRecord, Preprocessing
from pipeline.space.search_space import check_resolution

# A process's place among those that share each batch, and how many they are.
Part = tuple[int, int]
# Input size in pixels at each step of an epoch.
ResolutionAt = Callable[[int], int]


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


def steps_of(
    record: DatasetRecord,
    batch_size: int,
    *,
    start: int,
    part: Part,
    resolution_at: ResolutionAt | None,
) -> list[Step]:
    """The steps of an epoch from `start` on; see `ImageData.train_batches`.

    Raises:
        UsageError: `start` or `part` is out of range, or the processes cannot share a batch.
        ArchitectureError: The spaces are not defined at one of the sizes.
        DataError: Several processes are to share fewer images than a batch.
    """
    total = num_batches(record, batch_size)
    if not 0 <= start <= total:
        raise UsageError(f"start is {start}; expected 0 to {total}, the number of steps")
    share = _share(record, batch_size, part)
    steps = []
    for number in range(start, total):
        resolution = record.preprocessing.resolution
        if resolution_at is not None:
            resolution = resolution_at(number)
            check_resolution(resolution)
        batch = slice(number * batch_size, (number + 1) * batch_size)
        steps.append(Step(number, batch, share, resolution))
    return steps


def num_batches(record: DatasetRecord, batch_size: int) -> int:
    """Steps of an epoch; see `ImageData.num_train_batches`."""
    return max(1, record.num_train // batch_size)


def _share(record: DatasetRecord, batch_size: int, part: Part) -> slice:
    index, count = part
    if not 0 <= index < count:
        raise UsageError(
            f"part is {index} of {count} processes; expected a place from 0 to the number of "
            "processes less 1"
        )
    if batch_size % count:
        raise UsageError(
            f"a batch of {batch_size} images cannot be shared evenly by {count} processes",
            hint=f"set batch_size to a multiple of {count}",
        )
    if count > 1 and record.num_train < batch_size:
        raise DataError(
            f"{record.num_train} training images do not fill one batch of {batch_size}, which "
            f"{count} processes are to share",
            hint="lower batch_size, or train in one process",
        )
    return slice(index * batch_size // count, (index + 1) * batch_size // count)


def record_at(record: DatasetRecord, resolution: int) -> DatasetRecord:
    """The record of the same images at another size; see `ImageData.at`."""
    check_resolution(resolution)
    return record.model_copy(update={"preprocessing": sized(record.preprocessing, resolution)})


def sized(how: Preprocessing, resolution: int) -> Preprocessing:
    """The same preprocessing to another size in pixels."""
    return how.model_copy(update={"resolution": resolution})
