"""What `retrain` tells: the winner was trained on its own."""

from __future__ import annotations

from typing import Literal

from pipeline.device.fingerprint import Environment
from pipeline.files.record import Record
from pipeline.records.dataset import DatasetRecord
from pipeline.records.train import EpochRecord
from pipeline.space.architecture import Architecture


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
