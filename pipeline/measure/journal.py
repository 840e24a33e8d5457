"""The append-only journal of a measuring campaign: one JSON line a visit, synced as measured.

A kill loses at most the visit being made. Each line carries a checksum. A last line that was cut
is dropped when measuring goes on, and is an error for whoever only reads; a damaged line anywhere
else is always an error. One process writes at a time: others wait for the lock, which the system
releases when its holder dies.
"""

from __future__ import annotations

import datetime
import fcntl
import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.errors import TableError
from pipeline.files.whole import storage_errors
from pipeline.measure.statistics import Visit

Header = Mapping[str, Any]
Differences = Callable[[Header, Header], list[str]]
SCHEMA_VERSION = 2
_SEAL = b'{"crc":"'


def read_journal(path: Path) -> tuple[dict[str, Any], list[Visit]]:
    """Reads a finished journal.

    Returns:
        The header (the conditions of the campaign) and the visits.

    Raises:
        StorageError: The file cannot be read.
        TableError: A line is damaged; the message names it.
    """
    header, visits, damaged_last = _parse(path)
    if damaged_last is not None:
        raise TableError(
            f"{path}:{damaged_last}: the line is cut; measuring was interrupted",
            hint="measure on: the same profile command drops the line and makes that visit again",
        )
    return header, visits


class Journal:
    """A journal open for appending; use it in a `with` block.

    Args:
        path: The file; made with its folder if absent.
        header: Conditions of the campaign. A journal made under other conditions is refused.
        on_wait: Called once if another process holds the journal, before waiting for it.
        differences: Says in what the conditions found and given differ where it matters.

    Raises:
        StorageError: The file cannot be written.
        TableError: It was made under other conditions, or a line before the last is damaged.
    """

    def __init__(
        self,
        path: Path,
        header: Header,
        on_wait: Callable[[], None] = lambda: None,
        differences: Differences | None = None,
    ) -> None:
        self.path = path
        self._differences = differences or field_differences
        self.visits: list[Visit] = []
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            self._lock(on_wait)
            self._take_up(header)
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._file)

    @property
    def done(self) -> set[tuple[int, str]]:
        """Visits made: (sweep, key)."""
        return {(visit.sweep, visit.key) for visit in self.visits}

    def append(self, visit: Visit) -> None:
        """Writes a visit and syncs it to the disk.

        Raises:
            StorageError: It could not be written; the file holds what it held before.
        """
        self._write({"visit": visit.model_dump(exclude_defaults=True)})
        self.visits.append(visit)

    def _lock(self, on_wait: Callable[[], None]) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(self._file, fcntl.LOCK_EX)

    def _take_up(self, header: Header) -> None:
        with storage_errors(self.path):
            content = self.path.read_bytes()
            if b"\n" not in content and _SEAL.startswith(content[: len(_SEAL)]):
                os.ftruncate(self._file, 0)  # cut while the header was written
        if os.fstat(self._file).st_size == 0:
            self._write({"header": _as_kept(header)})
            return
        found, self.visits, damaged_last = _parse(self.path)
        differing = self._differences(found, _as_kept(header))
        if differing:
            raise TableError(
                f"{self.path} was measured under other conditions: " + "; ".join(differing),
                hint="measure anew beside it: move the file away, then run the same command",
            )
        if damaged_last is not None:
            self._drop_last_line(content)

    def _drop_last_line(self, content: bytes) -> None:
        last = content.splitlines(keepends=True)[-1]
        with storage_errors(self.path):
            os.ftruncate(self._file, len(content) - len(last))
            os.fsync(self._file)

    def _write(self, content: dict[str, Any]) -> None:
        line = _seal(content)
        end = os.fstat(self._file).st_size
        with storage_errors(self.path):
            try:
                written = 0
                while written < len(line):
                    written += os.write(self._file, line[written:])
                os.fsync(self._file)
            except OSError:
                os.ftruncate(self._file, end)
                raise


def set_aside(path: Path, header: Header, differences: Differences) -> Path | None:
    """Renames a journal that was made under other conditions, with the files named after it.

    Nothing measured is lost: `x.jsonl` becomes `x.before-<time>.jsonl` beside it.

    Args:
        path: The journal.
        header: The conditions now.
        differences: As for `Journal`.

    Returns:
        Its new path; None where it is not there yet, was made under these conditions, or is being
        measured into.

    Raises:
        StorageError: It cannot be read or renamed.
        TableError: It is damaged.
    """
    if not path.exists() or b"\n" not in path.read_bytes():
        return None  # nothing is in it: at most a header that was cut
    found, _, _ = _parse(path)
    if not differences(found, _as_kept(header)):
        return None
    time = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S%f")
    with storage_errors(path), path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None  # another process measures into it; `Journal` waits for it
        for beside in path.parent.glob(f"{path.stem}.*"):
            if ".before-" in beside.name:
                continue
            ending = beside.name.removeprefix(path.stem)
            beside.rename(path.with_name(f"{path.stem}.before-{time}{ending}"))
    return path.with_name(f"{path.stem}.before-{time}{path.suffix}")


def _as_kept(header: Header) -> dict[str, Any]:
    """Conditions as a journal's first line gives them back: JSON knows no tuples."""
    kept: dict[str, Any] = json.loads(json.dumps({"schema_version": SCHEMA_VERSION, **header}))
    return kept


def _seal(content: dict[str, Any]) -> bytes:
    body = json.dumps(content, separators=(",", ":"))
    return f'{{"crc":"{zlib.crc32(body.encode()):08x}","line":{body}}}\n'.encode()


def _unseal(line: bytes) -> dict[str, Any] | None:
    """The content of a line, or None where it is damaged."""
    try:
        outer = json.loads(line)
        body = json.dumps(outer["line"], separators=(",", ":"))
        sound = f"{zlib.crc32(body.encode()):08x}" == outer["crc"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    content = outer["line"]
    return content if sound and isinstance(content, dict) else None


def _parse(path: Path) -> tuple[dict[str, Any], list[Visit], int | None]:
    """Header, visits, and the number of the last line if that line is cut."""
    with storage_errors(path):
        lines = path.read_bytes().splitlines(keepends=True)
    header: dict[str, Any] | None = None
    visits: list[Visit] = []
    for number, line in enumerate(lines, start=1):
        content = _unseal(line)
        if content is None or not line.endswith(b"\n"):
            if number == len(lines) and header is not None:
                return header, visits, number
            raise TableError(
                f"{path}:{number}: the line is damaged: it is no journal line or its checksum "
                "does not match",
                hint="restore the file, or move it away and profile anew",
            )
        if number == 1:
            header = _header(content, path)
        else:
            visits.append(_visit(content, path, number))
    if header is None:
        raise TableError(f"{path}: is empty", hint="measure it: python run_pipeline.py profile")
    return header, visits, None


def _header(content: dict[str, Any], path: Path) -> dict[str, Any]:
    header: dict[str, Any] | None = content.get("header")
    if not isinstance(header, dict):
        raise TableError(f"{path}:1: the first line is no header; this is no latency table")
    version = header.get("schema_version")
    if version not in [*_UPGRADES, SCHEMA_VERSION]:
        raise TableError(
            f"{path}: schema version {version!r}, expected {SCHEMA_VERSION} or, to be upgraded, "
            f"{', '.join(map(str, _UPGRADES))}",
            hint="profile anew with this version of the program",
        )
    while header["schema_version"] in _UPGRADES:
        header = _UPGRADES[header["schema_version"]](header)
    return header


def _with_environment(header: dict[str, Any]) -> dict[str, Any]:
    """Version 1 kept the machine's facts beside the target; they are an environment since.

    Lines of visits need no upgrade: what version 1 did not keep is absent from them.
    """
    facts = ("device", "cpu", "cpu_flags", "cores", "packages")
    moved = {key: header[key] for key in facts if key in header}
    rest = {key: value for key, value in header.items() if key not in moved or key == "device"}
    unkept = {"memory_gib": None, "governor": None, "os": "not kept", "python": "not kept"}
    return {**rest, "schema_version": 2, "environment": {**moved, **unkept}}


_UPGRADES: dict[Any, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _with_environment}


def _visit(content: dict[str, Any], path: Path, number: int) -> Visit:
    try:
        return Visit.model_validate(content.get("visit"))
    except ValidationError:
        raise TableError(f"{path}:{number}: the line holds no visit") from None


def field_differences(found: Header, given: Header) -> list[str]:
    """Every field in which two headers differ, one sentence each."""
    return [f"{name} was {was!r}, is {now!r}" for name, was, now in differing_fields(found, given)]


def differing_fields(
    found: Mapping[str, Any], given: Mapping[str, Any], at: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Fields in which two nested mappings differ: dotted name, found and given value."""
    for key in sorted({*found, *given}):
        was, now = found.get(key), given.get(key)
        if isinstance(was, Mapping) and isinstance(now, Mapping):
            yield from differing_fields(was, now, f"{at}{key}.")
        elif was != now:
            yield f"{at}{key}", was, now
