"""Image files in one folder a class, as they are found on disk.

    root/cat/a.jpg, root/cat/2024/b.png …   images of class cat

Hidden files and folders are not looked at. Links are followed; a folder that is reached twice
within a class counts once. A class is named by its folder in Unicode's composed form (NFC), so that
folders copied from macOS, whose names come decomposed, mean the same class.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from pipeline.errors import DataError
from pipeline.files.whole import storage_errors
from pipeline.images.splits import Indices

# fmt: off
SUFFIXES = frozenset((
    ".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm",
    ".pbm", ".pnm", ".avif",
))
# fmt: on
_LITTER = frozenset(("thumbs.db", "desktop.ini", "__macosx"))


@dataclass(frozen=True)
class FolderImages:
    """Images by index, as `IndexedImages` reads them.

    Attributes:
        root: Folder that the files' names start from.
        files: Path of each image within it, with forward slashes.
        labels: Class of each image.
    """

    root: Path
    files: Sequence[str]
    labels: Indices

    def __getitem__(self, index: int) -> tuple[BinaryIO, int]:
        return (self.root / self.files[index]).open("rb"), int(self.labels[index])

    def filename(self, index: int, *, absolute: bool = False) -> str:
        """Name of an image's file, within the root or absolute."""
        return str(self.root / self.files[index]) if absolute else self.files[index]

    def without(self, left_out: Sequence[bool]) -> FolderImages:
        """Those that are not left out, in the same order."""
        kept = [index for index, out in enumerate(left_out) if not out]
        return FolderImages(self.root, [self.files[i] for i in kept], self.labels[kept])


@dataclass(frozen=True)
class Listing:
    """What is in a folder of classes.

    Attributes:
        class_names: In the order of the labels.
        other_files: Files that are no images by their suffix, by that suffix.
    """

    images: FolderImages
    class_names: tuple[str, ...]
    other_files: Counter[str]


def list_images(root: Path, folder: str, classes: Sequence[str] | None = None) -> Listing:
    """Lists a folder of classes; no file is opened.

    Args:
        root: The data set.
        folder: Folder of classes within it; empty for the root itself.
        classes: Classes there are, for a folder that must have the same; None to find out.

    Raises:
        DataError: There are no images, or they are not in one folder a class; a class has none, or
            is not among those there are.
        StorageError: A folder cannot be read.
    """
    path = root / folder
    by_class = _class_folders(path)
    names = tuple(classes if classes is not None else by_class)
    if unknown := [name for name in by_class if name not in names]:
        raise DataError(f"{path}: has classes that train lacks: {', '.join(unknown)}")
    found = {name: _Walk() for name in names}
    for name, where in by_class.items():
        found[name].enter(where)
    _check_images(path, {name: walk.images for name, walk in found.items()})
    labelled = sorted(
        (_natural(file := walk.images[i].relative_to(root).as_posix()), file, label)
        for label, walk in enumerate(found.values())
        for i in range(len(walk.images))
    )
    images = FolderImages(
        root,
        [file for _, file, _ in labelled],
        np.array([label for *_, label in labelled], dtype=np.int64),
    )
    return Listing(images, names, sum((walk.other for walk in found.values()), Counter()))


class _Walk:
    """Collects the files under a class's folder."""

    def __init__(self) -> None:
        self.images: list[Path] = []
        self.other: Counter[str] = Counter()
        self._seen: set[str] = set()

    def enter(self, folder: Path) -> None:
        real = os.path.realpath(folder)
        if real in self._seen:
            return
        self._seen.add(real)
        for path in _visible(folder):
            if path.is_dir():
                self.enter(path)
            elif path.suffix.lower() in SUFFIXES:
                self.images.append(path)
            else:
                self.other[path.suffix.lower() or "without a suffix"] += 1


def _visible(folder: Path) -> Iterator[Path]:
    with storage_errors(folder):
        paths = sorted(folder.iterdir())
    for path in paths:
        if not path.name.startswith(".") and path.name.lower() not in _LITTER:
            yield path


def _class_folders(path: Path) -> dict[str, Path]:
    """Folders of classes by the class's name, in natural order."""
    stray = next((p for p in _visible(path) if p.suffix.lower() in SUFFIXES and p.is_file()), None)
    if stray:
        raise DataError(
            f"{path}: has images outside the folders of classes: {stray.name}",
            hint=f"move them to {path}/CLASS/",
        )
    found: dict[str, Path] = {}
    for folder in sorted((p for p in _visible(path) if p.is_dir()), key=_by_name):
        name = _class_name(folder)
        if name in found:
            raise DataError(
                f"{path}: two folders are named {name}, composed and decomposed in Unicode, and "
                "look the same",
                hint=f"move the images of one to the other; ls {path} | cat -v tells them apart",
            )
        found[name] = folder
    return found


def _class_name(folder: Path) -> str:
    try:
        return unicodedata.normalize("NFC", folder.name.encode().decode())
    except UnicodeEncodeError:
        shown = os.fsencode(folder.name).decode(errors="replace")
        raise DataError(
            f"{folder.parent}: the name of the folder {shown} is not UTF-8", hint="rename it"
        ) from None


def _by_name(folder: Path) -> tuple[list[int | str], str]:
    name = unicodedata.normalize("NFC", folder.name)
    return _natural(name), folder.name


def _natural(text: str) -> list[int | str]:
    """Orders file 2 before file 10."""
    parts = re.split(r"([0-9]+)", text.lower())
    return [int(part) if place % 2 else part for place, part in enumerate(parts)]


def _check_images(path: Path, images: dict[str, list[Path]]) -> None:
    if not any(images.values()):
        raise DataError(
            f"{path}: holds no images", hint="expected one folder a class: CLASS/image.jpg …"
        )
    if len(images) < 2:
        raise DataError(f"{path}: has images of {len(images)} class; expected at least 2")
    empty = [name for name, files in images.items() if not files]
    if empty:
        raise DataError(
            f"{path}: no images of class {', '.join(empty)}",
            hint="add images to the folder, or remove it",
        )
