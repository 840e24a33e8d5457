"""A folder of images as a data set: listed, every file checked, what cannot be read left out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.errors import DataError
from pipeline.images.checks import Verdict, check_images, write_skipped
from pipeline.images.class_folders import FolderImages, list_images
from pipeline.images.found import Found, Labelled
from pipeline.work.progress import ProgressFactory

TRAIN_FOLDERS = ("train", "training")
TEST_FOLDERS = ("test", "validation", "val", "valid", "eval", "evaluation")


def find_in_folder(root: Path, progress: ProgressFactory) -> Found:
    """Finds the images of `root/train/CLASS/`, `root/val/CLASS/`, or of `root/CLASS/` alone.

    Splits are made of the images that can be read: a file that is skipped changes as much as one
    that is not there.

    Raises:
        DataError: It is no folder of classes, or too little of it can be used.
        StorageError: A folder cannot be read, or the cache not be written.
    """
    if root.is_file():
        raise DataError(f"{root}: is a file; expected a folder of images")
    train_folder = _inner(root, TRAIN_FOLDERS) or ""
    test_folder = _inner(root, TEST_FOLDERS) if train_folder else None
    train = list_images(root, train_folder)
    listings = [train]
    if test_folder:
        listings.append(list_images(root, test_folder, train.class_names))
    files = [name for listing in listings for name in listing.images.files]
    verdicts = dict(zip(files, check_images(root, files, progress), strict=True))
    skipped = {_shown(name): it.reason for name, it in verdicts.items() if it.reason is not None}
    usable = [_readable(listing.images, verdicts) for listing in listings]
    folders = " and ".join(f"{folder or root.name}/" for folder in (train_folder, test_folder)
                           if folder is not None)  # fmt: skip
    return Found(
        train=Labelled(usable[0], usable[0].labels),
        test=Labelled(usable[1], usable[1].labels) if test_folder else None,
        class_names=train.class_names,
        source=f"{folders}, one folder a class",
        checksum=_checksum((name, verdicts[name]) for images in usable for name in images.files),
        skipped=skipped,
        skipped_list=write_skipped(root, skipped) if skipped else None,
        other_files=sum((it.other_files for it in listings[1:]), listings[0].other_files),
    )


def _inner(root: Path, names: Sequence[str]) -> str | None:
    return next((name for name in names if (root / name).is_dir()), None)


def _readable(images: FolderImages, verdicts: dict[str, Verdict]) -> FolderImages:
    return images.without([verdicts[name].reason is not None for name in images.files])


def _shown(name: str) -> str:
    """A path as text, whatever bytes it is made of."""
    return name.encode("utf-8", "backslashreplace").decode()


def _checksum(files: Iterable[tuple[str, Verdict]]) -> str:
    digest = hashlib.sha256()
    for name, verdict in files:
        digest.update(f"{_shown(name)}\0{verdict.digest}\n".encode())
    return digest.hexdigest()
