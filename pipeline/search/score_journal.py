"""A search's scores on disk, so that one that was killed asks for none twice."""

from __future__ import annotations

import json
import os
from pathlib import Path

from pipeline.errors import StorageError
from pipeline.files.whole import storage_errors
from pipeline.search.scoring import Scored
from pipeline.space.architecture import Architecture


class ScoreJournal:
    """Scores as they are made, one synced JSON line each; a line that was cut is dropped.

    Args:
        path: The file; made by the first score.

    Attributes:
        known: Scores that were there already, by `Architecture.short`.

    Raises:
        StorageError: The file cannot be read, or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.known: dict[str, Scored] = {}
        whole = b""
        if path.exists():
            with storage_errors(path):
                data = path.read_bytes()
            whole = data[: data.rfind(b"\n") + 1]
            if len(whole) < len(data):
                with storage_errors(path):
                    os.truncate(path, len(whole))
        for line in whole.splitlines():
            try:
                score = json.loads(line)
                self.known[str(score["architecture"])] = Scored(
                    float(score["accuracy_percent"]), float(score["seconds"])
                )
            except (ValueError, KeyError, TypeError):
                raise StorageError(
                    f"{path}: a line is damaged", hint="remove the file; its scores are made again"
                ) from None

    def append(self, architecture: Architecture, scored: Scored) -> None:
        """Adds a score."""
        line = {"architecture": architecture.short, **scored._asdict()}
        with storage_errors(self._path), self._path.open("ab") as file:
            file.write(json.dumps(line).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
