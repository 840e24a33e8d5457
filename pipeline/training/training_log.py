"""What a training run tells while it runs: JSON lines, and the same figures for TensorBoard.

tensorboard --logdir runs/demo/train
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from tensorboardX import SummaryWriter

from pipeline.files.whole import storage_errors

_LINES = "log.jsonl"
_EVENTS = "tensorboard"


class TrainingLog:
    """Figures of a run, by step.

    A run that goes on from a checkpoint drops what was told after it, because it is told again.

    Args:
        folder: Takes `log.jsonl` and `tensorboard/`; None: nothing is written.
        step: Of the checkpoint; 0 for a run that starts.

    Raises:
        StorageError: The files cannot be written.
    """

    def __init__(self, folder: Path | None, step: int) -> None:
        self._path = folder / _LINES if folder else None
        self._events: SummaryWriter | None = None
        if folder and self._path:
            with storage_errors(folder):
                folder.mkdir(parents=True, exist_ok=True)
                _drop_after(self._path, step)
                self._events = SummaryWriter(str(folder / _EVENTS), purge_step=step + 1)

    def tell(self, step: int, figures: Mapping[str, float]) -> None:
        """Adds the figures of one step."""
        if self._path is None or self._events is None:
            return
        with storage_errors(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **figures}) + "\n")
        for name, value in figures.items():
            self._events.add_scalar(name, value, step)

    def __enter__(self) -> TrainingLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._events is not None:
            self._events.close()


def _drop_after(path: Path, step: int) -> None:
    """Cuts a log after the last whole line that is not later than `step`."""
    if not path.exists():
        return
    kept = 0
    for line in path.read_bytes().splitlines(keepends=True):
        if not line.endswith(b"\n") or json.loads(line)["step"] > step:
            break
        kept += len(line)
    os.truncate(path, kept)
