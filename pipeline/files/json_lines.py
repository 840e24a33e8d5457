"""Results as they are made, a line of JSON each, so that a run that was killed makes none twice."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pipeline.errors import StorageError
from pipeline.files.whole import storage_errors


class JsonLines:
    """A file of objects, each line synced; a last line that was cut is dropped.

    Args:
        path: The file; made by the first object.

    Attributes:
        known: The objects that were there already.

    Raises:
        StorageError: The file cannot be read, or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known: list[dict[str, Any]] = []
        if not path.exists():
            return
        with storage_errors(path):
            data = path.read_bytes()
            whole = data[: data.rfind(b"\n") + 1]
            if len(whole) < len(data):
                os.truncate(path, len(whole))
        try:
            self.known = [dict(json.loads(line)) for line in whole.splitlines()]
        except (ValueError, TypeError):
            raise self.damaged() from None

    def damaged(self) -> StorageError:
        """What to raise where an object is not as it was written."""
        return StorageError(
            f"{self.path}: a line is damaged", hint="remove the file; its results are made again"
        )

    def append(self, value: dict[str, Any]) -> None:
        """Adds an object.

        Raises:
            StorageError: It cannot be written.
        """
        with storage_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                file.write(json.dumps(value).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
