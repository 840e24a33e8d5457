"""What `retrain` tells: the winner was trained on its own."""

from __future__ import annotations

from typing import Literal

from pipeline.device.fingerprint import Environment
from pipeline.files.record import Record
from pipeline.records.dataset import DatasetRecord
from pipeline.records.train import EpochRecord
from pipeline.space.architecture import Architecture


class OffTheShelfRecord(Record):
    """A network of timm that the winner stands beside, trained from nothing as it was.

    Attributes:
        name: timm's.
        resolution: Side of its input in pixels.
        accuracy_percent: Top-1 on search-validation.
        test_accuracy_percent: Top-1 on test, reported and never used to decide.
    """

    name: str
    resolution: int
    epochs: tuple[EpochRecord, ...]
    accuracy_percent: float
    test_accuracy_percent: float
    checkpoint: str
    seconds: float


class RetrainRecord(Record):
    """The winner was trained on its own.

    Attributes:
        method: How: by which of the methods of `pipeline.training.settings`.
        warm_start: Whether it began with the hypernetwork's weights.
        teacher: Who taught it besides the labels; None for nobody.
        accuracy_percent: Top-1 on search-validation.
        test_accuracy_percent: Top-1 on test, reported and never used to decide.
        test_accuracy_by_class_percent: The same for each class.
        compute: Device and precision; None in records of earlier versions.
        processes: How many trained together.
        off_the_shelf: The best network of timm of the trials after the same training; None where
            none was trained.
    """

    architecture: Architecture
    method: Literal["short", "paper"] = "short"
    warm_start: bool
    teacher: str | None = None
    epochs: tuple[EpochRecord, ...]
    accuracy_percent: float
    test_accuracy_percent: float
    test_accuracy_by_class_percent: dict[str, float]
    dataset: DatasetRecord
    compute: str | None = None
    processes: int = 1
    checkpoint: str
    seconds: float
    environment: Environment
    off_the_shelf: OffTheShelfRecord | None = None
