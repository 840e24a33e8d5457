"""The folder a bundle is made in: a hidden sibling that takes its place when all is well."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import BaseModel, ConfigDict

from pipeline.bundle.card import CARD, FORMAT
from pipeline.errors import ExportError, StorageError, UsageError
from pipeline.files.whole import read_record, storage_errors


class _Marked(BaseModel):
    """What tells a bundle of any version from another folder."""

    model_config = ConfigDict(extra="ignore")

    format: str


def is_bundle(path: Path) -> bool:
    """Whether there is a bundle, of this or another version."""
    try:
        return read_record(path / CARD, _Marked).format == FORMAT
    except StorageError:
        return False


def check_free(into: Path) -> None:
    """Refuses to make a bundle where something else is.

    Raises:
        UsageError: There is a file, or a folder that is neither empty nor a bundle.
    """
    if not (into.exists() or into.is_symlink()) or is_bundle(into):
        return
    if into.is_dir() and not any(into.iterdir()):
        return
    raise UsageError(
        f"{into}: is there and no bundle of this program; only a bundle is replaced",
        hint="name another folder, or move that one away",
    )


@contextmanager
def new_folder(into: Path) -> Iterator[Path]:
    """A folder to fill, which stands at `into` once the block ends without an error.

    Raises:
        UsageError: There is something else than a bundle at `into`.
        StorageError: The folder cannot be made or moved.
    """
    check_free(into)
    # A link is followed: what it points to is replaced, beside where that lies.
    into = into.resolve()
    with storage_errors(into):
        into.parent.mkdir(parents=True, exist_ok=True)
        workplace = TemporaryDirectory(dir=into.parent, prefix=f".{into.name}.")
    with workplace as name:
        folder = Path(name) / "new"
        with storage_errors(into):
            folder.mkdir()
        yield folder
        with storage_errors(into):
            for path in (folder, *folder.rglob("*")):
                path.chmod(0o755 if path.is_dir() else 0o644)
            if into.exists():
                into.replace(Path(name) / "old")
            folder.replace(into)


def check_names_no_place(folder: Path, also: Sequence[str] = ()) -> None:
    """Refuses a folder of which a file names a place of this machine.

    Args:
        folder: All files in it are searched.
        also: Other names, of which absolute paths count.

    Raises:
        ExportError: One does; says which file and what.
    """
    places = [
        str(Path.cwd()),
        str(Path.home()),
        *(name for name in also if Path(name).is_absolute()),
    ]
    names = [place.encode() for place in places if place != os.sep]
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        for name in names:
            if name in content:
                raise ExportError(
                    f"{path.relative_to(folder)} would name {name.decode()}, a place of this "
                    "machine; expected a bundle that names none",
                    hint="look for it in the recipe and in the names of classes",
                )
