"""Training that is done stays done: its record is kept beside the weights.

A run may be killed after the last epoch and before its caller has written anything down. Called
again with the same inputs it returns the record it kept, and trains nothing.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from pipeline.files.whole import (
    digest_of,
    digest_of_file,
    read_record,
    storage_errors,
    write_record,
)
from pipeline.records.retrain import RetrainRecord
from pipeline.records.train import TrainRecord

RecordType = TypeVar("RecordType", TrainRecord, RetrainRecord)

_FINISHED = "finished.json"
_CHECKPOINTS = "checkpoint"


class _Finished(BaseModel):
    """What a finished run leaves.

    Attributes:
        inputs: Digest of what it was asked to do.
        weights_sha256: Of the file its record names.
        record: Its record.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    inputs: str
    weights_sha256: str
    record: dict[str, Any]


def inputs_digest(*inputs: object) -> str:
    """SHA-256 over what a run's result depends on: models and JSON-able values."""
    return digest_of([i.model_dump(mode="json") if isinstance(i, BaseModel) else i for i in inputs])


def checkpoint_file(folder: Path) -> Path:
    """Where a run that trains in `folder` keeps its checkpoint."""
    return folder / _CHECKPOINTS / "run.safetensors"


def finished_record(folder: Path, inputs: str, kind: type[RecordType]) -> RecordType | None:
    """The record of a run that was asked the same and finished, if its weights are still there."""
    path = folder / _FINISHED
    if not path.exists():
        return None
    finished = read_record(path, _Finished)
    if finished.inputs != inputs:
        return None
    record = kind.model_validate(finished.record)
    weights = folder / record.checkpoint
    if not weights.exists() or digest_of_file(weights) != finished.weights_sha256:
        return None
    return record


def finish(folder: Path, inputs: str, record: TrainRecord | RetrainRecord) -> None:
    """Keeps the record of a run whose weights are written, and drops its checkpoint."""
    finished = _Finished(
        inputs=inputs,
        weights_sha256=digest_of_file(folder / record.checkpoint),
        record=record.model_dump(mode="json"),
    )
    write_record(folder / _FINISHED, finished)
    checkpoints = folder / _CHECKPOINTS
    with storage_errors(checkpoints):
        shutil.rmtree(checkpoints)
