"""What `train` tells: the hypernetwork was trained."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipeline.device.fingerprint import Environment
from pipeline.files.record import Record
from pipeline.records.dataset import DatasetRecord
from pipeline.records.scores import ScoreSpread
from pipeline.space.architecture import Architecture


class EpochRecord(Record):
    """One pass over the training images.

    Attributes:
        loss: Mean training loss.
        accuracy_percent: Top-1 on search-validation after the epoch; None where not evaluated.
    """

    epoch: int
    loss: float
    accuracy_percent: float | None
    learning_rate: float
    images_per_second: float


class PrioritizedPath(Record):
    """A path of the board when training ended, the best of its input size first.

    Attributes:
        accuracy_percent: Top-1 on the held-out images that paths of the board are compared on.
        latency_ms: Predicted; None where no table was given.
    """

    architecture: Architecture
    accuracy_percent: float
    macs: int
    latency_ms: float | None


class TrainRecord(Record):
    """The hypernetwork was trained.

    Attributes:
        resolution: The first of the input sizes.
        resolutions: All input sizes it was trained at.
        left_out: Input sizes of the recipe at which there were no paths to train, and why.
        board: Empty where the method has none.
        scores: How far the log-losses of a few random paths were apart in the end; None in records
            of earlier versions.
        remarks: What should be known before the hypernetwork is searched, a sentence each.
        compute: Device and precision.
        processes: How many trained together.
    """

    method: Literal["single-path", "cream", "sandwich"]
    space: str
    max_depth: int
    resolution: int
    resolutions: tuple[int, ...]
    left_out: dict[int, str] = Field(default_factory=dict)
    num_classes: int
    params: int
    epochs: tuple[EpochRecord, ...]
    board: tuple[PrioritizedPath, ...] = ()
    scores: ScoreSpread | None = None
    remarks: tuple[str, ...] = ()
    dataset: DatasetRecord
    compute: str
    processes: int = 1
    checkpoint: str
    seconds: float
    environment: Environment
