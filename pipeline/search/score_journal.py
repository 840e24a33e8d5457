"""A search's scores on disk, so that one that was killed asks for none twice."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

from pipeline.errors import StorageError
from pipeline.files.whole import storage_errors
from pipeline.search.scoring import Scored
from pipeline.space.architecture import Architecture
from pipeline.training.scoring.network_score import NetworkScore

_HITS_ALONE = {"architecture", "accuracy_percent", "seconds"}
"""What a line holds that was written when hits were all that was counted."""


class ScoreJournal:
    """Scores as they are made, one synced JSON line each; a line that was cut is dropped.

    Lines that hold no log-loss are passed over: those scores are made again.

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
                kept = json.loads(line)
                if set(kept) != _HITS_ALONE:
                    score = NetworkScore(
                        images=int(kept["images"]),
                        log_losses=tuple(map(float, kept["log_losses"])),
                        accuracy_percent=float(kept["accuracy_percent"]),
                    )
                    self.known[str(kept["architecture"])] = Scored(score, float(kept["seconds"]))
            except (ValueError, KeyError, TypeError):
                raise StorageError(
                    f"{path}: a line is damaged", hint="remove the file; its scores are made again"
                ) from None

    def append(self, architecture: Architecture, scored: Scored) -> None:
        """Adds a score."""
        score, seconds = asdict(scored.score), scored.seconds
        line = {"architecture": architecture.short, **score, "seconds": seconds}
        with storage_errors(self._path), self._path.open("ab") as file:
            file.write(json.dumps(line).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
