"""Engines that were built before: building one takes from seconds to minutes.

An engine holds for one file, one GPU, one version and one way of building only; all of that is in
its name. Nothing is ever removed: the folder `engines` in the cache may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Union

from pipeline.errors import StorageError

Facts = Mapping[str, Union[str, int, None]]


def engine_file(facts: Facts) -> Path:
    """Where the engine with these facts is kept."""
    return _folder() / f"{_digest(facts)}.plan"


def timing_file(facts: Facts) -> Path:
    """Where the timing cache with these facts is kept."""
    return _folder() / f"{_digest(facts)}.timing"


def read_if_kept(file: Path) -> bytes | None:
    """A kept file's content; None if there is none.

    Raises:
        StorageError: It is there and cannot be read.
    """
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _storage_error(file, error) from None


def keep(file: Path, content: bytes) -> None:
    """Writes a file in one step: another process sees it whole or not at all.

    Raises:
        StorageError: It cannot be written.
    """
    temporary: Path | None = None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(
            dir=file.parent, prefix=f".{file.name}.", suffix=".part", delete=False
        ) as part:
            temporary = Path(part.name)
            part.write(content)
            part.flush()
            os.fsync(part.fileno())
        temporary.chmod(0o644)
        temporary.replace(file)
    except BaseException as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _storage_error(file, error) from None
        raise


def _folder() -> Path:
    # Whoever starts the measuring child names its cache, so that devices need no rule of their own.
    named = os.environ.get("CREAM_PIPELINE_CACHE")
    return (Path(named) if named else Path.home() / ".cache" / "cream-pipeline") / "engines"


def _digest(facts: Facts) -> str:
    text = json.dumps(dict(facts), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _storage_error(file: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{file}: {error.strerror or error}",
        hint="free space, or name another folder in CREAM_PIPELINE_CACHE",
    )
