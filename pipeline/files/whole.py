"""Files that are whole or not there: atomic writes, digests, typed JSON."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from pipeline.errors import StorageError

Model = TypeVar("Model", bound=BaseModel)


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turns an `OSError` about `path` (full disk, no permission …) into a `StorageError`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(
            f"{path}: {reason}", hint="what was written before is intact; free space and run again"
        ) from None


def write_atomic(path: Path, content: str | bytes) -> None:
    """Replaces a file in one step, synced: after a crash it is the old one or the new one.

    Raises:
        StorageError: The file cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary: Path | None = None
        try:
            with NamedTemporaryFile(
                dir=path.parent, prefix=f".{path.name}.", suffix=".part", delete=False
            ) as file:
                temporary = Path(file.name)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
        except BaseException:
            if temporary is not None:
                temporary.unlink(missing_ok=True)
            raise


def write_record(path: Path, record: BaseModel) -> None:
    """Writes a record as indented JSON, atomically."""
    write_atomic(path, record.model_dump_json(indent=2) + "\n")


def read_record(path: Path, model: type[Model]) -> Model:
    """Reads a record.

    Raises:
        StorageError: The file is missing, is not JSON, or is not such a record.
    """
    with storage_errors(path):
        content = path.read_bytes()
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise StorageError(
            f"{path}: is not a readable {model.__name__}: {where}: {problem['msg']}"
        ) from None


def digest_of_file(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal.

    Raises:
        StorageError: The file cannot be read.
    """
    with storage_errors(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(value: object) -> str:
    """SHA-256 of a JSON-able value, independent of key order."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
