"""Every image file is read once before anything is trained on it, and the verdicts are kept.

A file is read to its end, decoded and hashed; what it was found to be stays true as long as its
size and time of change stay the same. Verdicts are lines of a file in the cache, written a few
hundred images at a time: a check that is stopped goes on where it was, and the next run reads only
what is new. Processes that check the same data set take turns.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import PIL

from pipeline.device.target import usable_cores
from pipeline.files.cache_folder import cache_dir
from pipeline.files.whole import digest_of, storage_errors, write_atomic
from pipeline.images.held import held
from pipeline.images.photo import unreadable
from pipeline.work.progress import ProgressFactory, silent

# Raised when the same file would be judged otherwise.
_VERSION = 1
_IMAGES_A_LINE = 256


class Verdict(NamedTuple):
    """What a file was found to be.

    Attributes:
        size_bytes: When it was read.
        changed_ns: Time of its last change then, in nanoseconds.
        digest: BLAKE2b of its content, 16 bytes in hexadecimal; empty where it could not even be
            read, which is tried anew each time.
        reason: Why it is no usable image; None where it is one.
    """

    size_bytes: int
    changed_ns: int
    digest: str
    reason: str | None


def check_images(root: Path, files: Sequence[str], progress: ProgressFactory) -> list[Verdict]:
    """Finds out which files are usable images, reading those that were not read before.

    Args:
        root: The data set.
        files: Paths within it.
        progress: Told about files that are read; not where all are known.

    Returns:
        A verdict a file.

    Raises:
        StorageError: The verdicts cannot be kept.
    """
    path = _kept_at(root, ".jsonl")
    with held(path) as file:
        known = _read(file)
        unread = [name for name in files if not _holds(root / name, known.get(name))]
        new: dict[str, Verdict] = {}
        advance = progress("checking images") if unread else silent
        with ThreadPoolExecutor(usable_cores()) as pool:
            for start in range(0, len(unread), _IMAGES_A_LINE):
                names = unread[start : start + _IMAGES_A_LINE]
                verdicts = pool.map(_read_through, map(root.joinpath, names))
                new |= zip(names, verdicts, strict=True)
                line = {name: new[name] for name in names if new[name].digest}
                with storage_errors(path):
                    os.write(file, b"\n" + json.dumps(line).encode())
                advance(len(new), len(unread), _note(new))
    return [new.get(name) or known[name] for name in files]


def _note(verdicts: dict[str, Verdict]) -> str:
    unusable = [name for name, verdict in verdicts.items() if verdict.reason is not None]
    return f"{len(unusable)} cannot be read, first {unusable[0]}" if unusable else ""


def write_skipped(root: Path, skipped: dict[str, str]) -> str:
    """Writes a list of files that are left out, with the reasons.

    Returns:
        Its path within the cache folder.

    Raises:
        StorageError: It cannot be written.
    """
    path = _kept_at(root, "-skipped.txt")
    write_atomic(path, "".join(f"{name}: {reason}\n" for name, reason in skipped.items()))
    return path.relative_to(cache_dir()).as_posix()


def _kept_at(root: Path, suffix: str) -> Path:
    # Another version of Pillow may read what this one cannot.
    digest = digest_of([str(root.resolve()), _VERSION, PIL.__version__])[:12]
    name = re.sub(r"[^A-Za-z0-9]+", "-", root.resolve().name).strip("-") or "images"
    return cache_dir() / "datasets" / "checked" / f"{name}-{digest}{suffix}"


def _read(file: int) -> dict[str, Verdict]:
    """Verdicts by path; a line that was cut when a check was killed counts as not written."""
    found: dict[str, Verdict] = {}
    with os.fdopen(os.dup(file), "rb") as lines:
        for line in lines:
            try:
                of_line = json.loads(line)
            except ValueError:
                continue
            found |= {name: Verdict(*verdict) for name, verdict in of_line.items()}
    return found


def _holds(path: Path, verdict: Verdict | None) -> bool:
    if verdict is None:
        return False
    try:
        now = path.stat()
    except OSError:
        return False
    return (now.st_size, now.st_mtime_ns) == (verdict.size_bytes, verdict.changed_ns)


def _read_through(path: Path) -> Verdict:
    try:
        now = path.stat()
        if not stat.S_ISREG(now.st_mode):
            return Verdict(now.st_size, now.st_mtime_ns, "", "is no regular file")
        content = path.read_bytes()
    except OSError as error:
        return Verdict(0, 0, "", error.strerror or str(error))
    digest = hashlib.blake2b(content, digest_size=16).hexdigest()
    return Verdict(now.st_size, now.st_mtime_ns, digest, unreadable(content))
