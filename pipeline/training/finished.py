"""Training that is done stays done: its record is kept beside the weights.

A run may be killed after the last epoch and before its caller has written anything down. Called
again with the same inputs it returns the record it kept, and trains nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from pipeline.files.whole import (
    digest_of,
    digest_of_file,
    read_record,
    storage_errors,
    write_atomic,
    write_record,
)
from pipeline.records.retrain import OffTheShelfRecord, RetrainRecord
from pipeline.records.train import TrainRecord
from pipeline.training.checkpoint import checkpoint_file
from pipeline.training.context import TrainingContext

RecordType = TypeVar("RecordType", TrainRecord, RetrainRecord, OffTheShelfRecord)

_FINISHED = "finished.json"


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


def trained_once(
    context: TrainingContext,
    inputs: str,
    kind: type[RecordType],
    train: Callable[[str], RecordType],
) -> RecordType:
    """The record of a training, which is run if it was not finished before.

    Args:
        context: Its folder is looked into, and takes the record.
        inputs: Digest of what the result depends on.
        kind: Of the record.
        train: Trains, given `inputs`, and writes the weights that its record names.

    Returns:
        The record of a run that was asked the same and finished, if its weights are still there;
        else that of `train`.

    Raises:
        StorageError: What is kept cannot be read or written.
    """
    # Nothing is written before all have seen what is there.
    context.processes.wait()
    record = _finished(context.folder, inputs, kind)
    if record is None:
        record = train(inputs)
        if context.processes.is_first:
            _finish(context.folder, inputs, record)
    return record


def take_up(folder: Path, into: Path) -> None:
    """Lets a training that has not begun go on from what another folder's came to.

    Args:
        folder: Where it was trained so far.
        into: Where it is to be trained to the end. Several processes may do it at once: what
            appears is whole, and the same.

    Raises:
        StorageError: It cannot be copied.
    """
    source, copy = checkpoint_file(folder), checkpoint_file(into)
    # A training that is finished has dropped its own.
    if source.exists() and not copy.exists() and not (into / _FINISHED).exists():
        with storage_errors(source):
            content = source.read_bytes()
        write_atomic(copy, content)


def _finished(folder: Path, inputs: str, kind: type[RecordType]) -> RecordType | None:
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


def _finish(folder: Path, inputs: str, record: RecordType) -> None:
    """Keeps the record of a run whose weights are written, and drops its checkpoint."""
    finished = _Finished(
        inputs=inputs,
        weights_sha256=digest_of_file(folder / record.checkpoint),
        record=record.model_dump(mode="json"),
    )
    write_record(folder / _FINISHED, finished)
    checkpoints = checkpoint_file(folder).parent
    with storage_errors(checkpoints):
        shutil.rmtree(checkpoints)
